// Package ingest keeps sources of live video running and gives their packets one clock.
//
// A media.Source makes one connection to one origin; Keep calls it again for ever, with backoff, and watches that video
// really comes; a Waiter, whose peer comes to it, is called again without backoff. A Clock, owned by a source and outliving its connections, maps the sender's RTP timestamps to the
// stream's time, which never runs backwards. SplitURL and Secrets keep credentials out of everything that is said.
//
// Ownership and ordering: Keep calls Source.Run and the Output's methods never overlap; OnState calls come in order
// from the goroutine that called Keep, or from the one that calls Output.Tracks, never two at once. Nothing is queued
// and nothing dropped here: an Output must take packets without blocking, since RTSP sources call it from the goroutine
// that reads the network. Who closes: cancelling ctx ends Keep and with it the connection.
package ingest
