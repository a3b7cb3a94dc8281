// Package media holds the nouns that every part of RAVE shares: tracks, compressed packets, raw frames, and the two
// small interfaces by which packets enter and leave. It depends on the standard library only, so that network code
// needs no C and codec code needs no network.
//
// Compressed packets are the boundary between the network side and the engine: a Packet can be copied, kept, sent to
// another process. A Frame can not: it has exactly one owner and lives inside one Session.
package media

import "context"

// Output receives what a Source reads. Calls come from one goroutine at a time. Tracks is called at each
// (re)connection before the first Packet, with the tracks that follow. An error ends the Source's Run and is returned
// by it.
type Output interface {
	Tracks(tracks []Track) error
	Packet(p Packet) error
}

// Source reads packets from one origin: a camera, a publisher, a file. Run returns when ctx is done (with ctx.Err())
// or when the origin has ended or failed; it may be called again for the next attempt, never twice at once.
type Source interface {
	Run(ctx context.Context, out Output) error
}

// Sink takes packets of one stream to its readers. Open announces the tracks; a second Open with the same codecs
// (other parameter sets, another size) keeps readers. Write never blocks on a reader. A Packet and its Data may be
// kept, never changed. Close ends the readers.
type Sink interface {
	Open(tracks []Track) error
	Write(p Packet) error
	Close() error
}
