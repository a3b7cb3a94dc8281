// Package whip lets those in who publish by WebRTC: WHIP (RFC 9725) over HTTP, H.264 and Opus over SRTP. What is received
// becomes packets in package rtpin, and whose turn it is to publish is package publish's.
//
// A session is one publisher's peer connection. Ordering: packets are put in order, and a missing one is asked for again
// (NACK) and waited for, by 200 ms at most; nothing waits while nothing is missing. Drop policy: what stays away costs its
// access unit, and the publisher is asked for a keyframe (PLI). Who closes: the publisher by DELETE, or by going; the stream's
// source by hanging up; Endpoint.Close ends what is left and waits for it.
package whip
