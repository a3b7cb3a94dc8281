// Package webrtc serves streams to browsers: WHEP (draft-ietf-wish-whep) over HTTP, media over one UDP port and one TCP
// port for all peers.
//
// A Path is one stream: a media.Sink. Each access unit is packetised once, when somebody watches, and shared by all viewers.
// Behind that is a gate per viewer, a bounded queue and one goroutine that paces what it sends by what congestion control
// estimates. Write never waits, so no viewer disturbs another: one that is behind loses whole pictures up to a keyframe.
//
// The RTP timestamps of all videos of a stream are its time in 90 kHz ticks plus one offset, which its enhanced picture and
// its original share. A browser can match frames of the two by them.
//
// Packets are not copied: they and their payloads are never changed. Whoever makes a Path closes it; Server.Close ends
// every Path and waits for its viewers.
package webrtc
