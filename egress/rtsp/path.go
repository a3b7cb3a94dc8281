package rtsp

import "rave/engine/media"

// PathConfig describes a Path.
type PathConfig struct {
	// OnReader asks the encoder for a keyframe: a reader has joined or has fallen behind and waits for one. It may be
	// nil and must not block.
	OnReader func()
	// KeepGOP keeps the last group of pictures and sends it to a new reader first, so that it starts at once.
	KeepGOP bool
}

// Stats counts what a Path has done. Counters only grow; Readers is the present number.
type Stats struct {
	Readers int
	Frames  uint64            // video access units written to the path
	Bytes   uint64            // RTP payload bytes sent to readers
	Dropped map[string]uint64 // access units not sent to a reader, by reason
}

// Path is one stream of a Server: a media.Sink.
type Path struct{}

// Open announces the tracks. Readers stay if the formats are the same as before; otherwise they are disconnected and the
// new description is served.
func (p *Path) Open(tracks []media.Track) error { return nil }

// SetUnavailable sets what DESCRIBE answers (404) before the first Open: why there is nothing to read. Secrets must
// have been removed from it.
func (p *Path) SetUnavailable(reason string) {}

// Write takes one packet to the readers. It never waits.
func (p *Path) Write(pkt media.Packet) error { return nil }

// Stats returns a snapshot.
func (p *Path) Stats() Stats { return Stats{} }

// Close disconnects the readers. DESCRIBE answers 404 again.
func (p *Path) Close() error { return nil }
