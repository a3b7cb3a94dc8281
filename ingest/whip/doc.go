// Package whip lets those in who publish by WebRTC: WHIP (RFC 9725) over HTTP, H.264 and Opus over SRTP. What is received
// becomes packets in package rtpin, and whose turn it is to publish is package publish's.
//
// A session is one publisher's peer connection, with the first track of each kind that comes. Ordering: packets are put in
// order. A missing one of video is asked for again (NACK) and waited for, by 200 ms at most; one of sound is waited for by
// 30 ms, in case it was only overtaken; nothing waits while nothing is missing. Drop policy: what stays away costs its
// access unit, and the publisher is asked for a keyframe (PLI). Who closes: the publisher by DELETE, or by going; the stream's
// source by hanging up; Endpoint.Close ends what is left and waits for it.
package whip
