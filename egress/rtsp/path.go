package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"rave/egress/capture"
	"rave/egress/gate"
	"rave/engine/media"
)

// PathConfig describes a Path.
type PathConfig struct {
	// OnReader asks the encoder for a keyframe: a reader has joined or has fallen behind and waits for one. It may be
	// nil and must not block.
	OnReader func()
	// OnReaders says that the path has its first reader, or none any more: Stats tells which, since it may have changed
	// again. It may be nil and must not block.
	OnReaders func()
	// KeepGOP keeps the last group of pictures and sends it to a new reader first, so that it starts at once.
	KeepGOP bool
}

// Stats counts what a Path has done. Counters only grow; Readers is the present number.
type Stats struct {
	Readers int
	Frames  uint64            // video access units written to the path
	Bytes   uint64            // RTP payload bytes handed to readers' connections
	Dropped map[string]uint64 // access units not sent, by reason; "slow_reader" counts once per reader
}

// Path is one stream of a Server: a media.Sink. Its methods may be called from any goroutine, several at once. The order
// of a track's packets is that in which Write was called: calls for one track must come from one goroutine at a time if
// it matters, those for different tracks need not.
type Path struct {
	server *Server
	name   string
	cfg    PathConfig
	log    *slog.Logger
	sent   atomic.Uint64
	wall   capture.Clock

	mu          sync.Mutex
	unavailable string
	gen         *generation // nil: not open
	resync      bool        // since Open no keyframe has come
	readers     map[*gortsplib.ServerSession]*reader
	gop         gate.GOP[*unit]
	frames      uint64
	dropped     map[string]uint64
	complained  bool      // about packets of this generation that cannot be sent
	silent      time.Time // since when nothing may come, see SetSilent; zero: it comes
}

var _ media.Sink = (*Path)(nil)

// streamOf returns the stream that a path belongs to: its first element.
func streamOf(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

func newPath(s *Server, name string, cfg PathConfig) *Path {
	return &Path{
		server: s, name: name, cfg: cfg, log: s.log.With("stream", streamOf(name)),
		readers: map[*gortsplib.ServerSession]*reader{}, dropped: map[string]uint64{},
	}
}

// Open announces the tracks. Readers stay if the formats are the same as before; otherwise they are disconnected and the
// new description is served. After Open readers get nothing until a keyframe comes. Sound that RTSP cannot describe is
// left out.
func (p *Path) Open(tracks []media.Track) error {
	p.mu.Lock()
	old := p.gen
	if old.accepts(tracks) {
		old.update(tracks)
		p.restart(old)
		p.mu.Unlock()
		return nil
	}
	gen, err := newGeneration(p.server.gs, tracks, p.log)
	if err != nil {
		p.mu.Unlock()
		return fmt.Errorf("open path %s: %w", p.name, err)
	}
	p.restart(gen)
	gone := p.takeReaders()
	p.mu.Unlock()
	if old != nil {
		p.log.Info("new format: readers must connect again", "readers", len(gone))
		old.stream.Close()
	}
	p.stopAll(gone)
	return nil
}

// restart needs mu.
func (p *Path) restart(gen *generation) {
	p.gen, p.gop, p.resync, p.complained = gen, gate.GOP[*unit]{}, gen.video, false
}

// SetUnavailable sets what DESCRIBE answers (404) before the first Open: why there is nothing to read. Secrets must
// have been removed from it.
func (p *Path) SetUnavailable(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unavailable = reason
}

// describe returns the stream to read, or why there is none.
func (p *Path) describe() (*gortsplib.ServerStream, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gen != nil:
		return p.gen.stream, ""
	case p.unavailable != "":
		return nil, p.unavailable
	default:
		return nil, p.name + " has not been seen yet"
	}
}

// Write takes one packet to the readers: packetise, keep, fan out. It never waits. A packet that cannot be sent, or whose
// track is left out, is dropped and counted; an error means that the path is not open or does not know the track.
func (p *Path) Write(pkt media.Packet) error {
	p.mu.Lock()
	if p.gen == nil {
		p.mu.Unlock()
		return fmt.Errorf("write to path %s: not open", p.name)
	}
	index, ok := p.gen.byID[pkt.Track]
	if !ok {
		p.mu.Unlock()
		return fmt.Errorf("write to path %s: no track %d", p.name, pkt.Track)
	}
	if index == leftOut {
		p.dropped[dropUnsupported]++
		p.mu.Unlock()
		p.tell(map[string]int{dropUnsupported: 1}, false)
		return nil
	}
	t := p.gen.tracks[index]
	video := t.track.Kind == media.Video
	drops := map[string]int{}
	var wanted bool
	if video {
		p.frames++
	}
	if video || !p.gen.video {
		p.wall.Observe(pkt)
	}
	u, err := t.packetize(index, pkt)
	switch {
	case err != nil:
		p.complain(err)
		drops[reasonOf(err)]++
	case video && p.resync && !pkt.Keyframe:
		drops["before_keyframe"]++
	default:
		p.resync = p.resync && !video
		if p.cfg.KeepGOP {
			p.gop.Add(u, u.pts)
		}
		for _, r := range p.readers {
			dropped, waits := r.push(u)
			if dropped > 0 {
				drops["slow_reader"] += dropped
			}
			wanted = wanted || waits
		}
	}
	for reason, n := range drops {
		p.dropped[reason] += uint64(n)
	}
	p.mu.Unlock()
	p.tell(drops, wanted)
	return nil
}

// dropUnsupported is the reason of drops of a track that is left out.
const dropUnsupported = "unsupported_track"

// tell calls back, without the lock.
func (p *Path) tell(drops map[string]int, wanted bool) {
	for reason, n := range drops {
		if p.server.cfg.OnDrop != nil {
			p.server.cfg.OnDrop(p.name, reason, n)
		}
	}
	if wanted && p.cfg.OnReader != nil {
		p.cfg.OnReader()
	}
}

// complain logs the first packet of a generation that cannot be sent. It needs mu.
func (p *Path) complain(err error) {
	if !p.complained {
		p.complained = true
		p.log.Warn("packets that cannot be sent are dropped", "error", err)
	}
}

func reasonOf(err error) string {
	if errors.Is(err, errTooLarge) {
		return "too_large"
	}
	return "malformed"
}

// attach makes a playing session a reader. False: its description is no longer served.
func (p *Path) attach(ss *gortsplib.ServerSession) bool {
	p.mu.Lock()
	gen := p.gen
	if gen == nil || ss.SetuppedStream() != gen.stream || p.readers[ss] != nil {
		again := p.readers[ss] != nil
		p.mu.Unlock()
		return again
	}
	r := gen.newReader(ss, ss.SetuppedMedias())
	r.limits, r.wall, r.sent = p.server.limits, &p.wall, &p.sent
	if t := ss.SetuppedTransport(); t != nil && *t == gortsplib.TransportUDP {
		r.pace = &pacer{}
	}
	p.readers[ss] = r
	first := len(p.readers) == 1
	kept := p.gop.Snapshot()
	if !r.video {
		kept = nil
	}
	r.start(kept)
	p.mu.Unlock()
	if first {
		p.tellReaders()
	}
	if r.video && len(kept) == 0 && p.cfg.OnReader != nil {
		p.cfg.OnReader()
	}
	return true
}

// detach ends a session's reader, if it has one.
func (p *Path) detach(ss *gortsplib.ServerSession) {
	p.mu.Lock()
	r := p.readers[ss]
	delete(p.readers, ss)
	last := r != nil && len(p.readers) == 0
	p.mu.Unlock()
	if r != nil {
		r.stopAndWait()
	}
	if last {
		p.tellReaders()
	}
}

func (p *Path) tellReaders() {
	if p.cfg.OnReaders != nil {
		p.cfg.OnReaders()
	}
}

// takeReaders needs mu.
func (p *Path) takeReaders() map[*gortsplib.ServerSession]*reader {
	gone := p.readers
	p.readers = map[*gortsplib.ServerSession]*reader{}
	return gone
}

func (p *Path) stopAll(readers map[*gortsplib.ServerSession]*reader) {
	for ss, r := range readers {
		ss.Close()
		r.stopAndWait()
	}
	if len(readers) > 0 {
		p.tellReaders()
	}
}

// Stats returns a snapshot.
func (p *Path) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Readers: len(p.readers), Frames: p.frames, Bytes: p.sent.Load(), Dropped: maps.Clone(p.dropped)}
}

// Close disconnects the readers. DESCRIBE answers 404 until Open is called again.
func (p *Path) Close() error {
	p.mu.Lock()
	gen := p.gen
	p.gen, p.gop = nil, gate.GOP[*unit]{}
	gone := p.takeReaders()
	p.mu.Unlock()
	if gen != nil {
		gen.stream.Close()
	}
	p.stopAll(gone)
	return nil
}
