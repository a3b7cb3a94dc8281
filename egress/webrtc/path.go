package webrtc

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rave/egress/capture"
	"rave/engine/media"
)

// Names of renditions: what is made of a stream for viewers that cannot have it as it is.
const (
	Browser = "browser" // the picture as H.264 without B-frames
	Low     = "low"     // a small picture at a low bitrate
	Opus    = "opus"    // the sound
)

// PathConfig describes a Path.
type PathConfig struct {
	// OnKeyframe asks for a keyframe: a viewer has joined, has lost something or has fallen behind and waits for one. It is
	// called twice a second at most. It may be nil and must not block.
	OnKeyframe func()
	// OnViewers says that the path has its first viewer, or none any more: Stats tells which, since it may have changed
	// again. It may be nil and must not block.
	OnViewers func()
	// KeepGOP keeps the last group of pictures and sends it to a new viewer first, so that it starts at once.
	KeepGOP bool
	// Renditions names those that OnDemand can make; what they hold is written to Path.Rendition.
	Renditions []string
	// OnDemand says that a rendition has its first viewer, or has none any more. It must not block.
	OnDemand func(rendition string, wanted bool)
}

// Stats counts what a Path has done. Counters only grow; Viewers is the present number, of whom Renditions tells how many
// get which.
type Stats struct {
	Viewers    int
	Renditions map[string]int
	Frames     uint64            // video access units written to the path
	Bytes      uint64            // RTP payload bytes sent to viewers
	Dropped    map[string]uint64 // access units not sent, by reason; "slow_viewer" counts once per viewer
}

// Path is one stream of a Server: a media.Sink. Its methods may be called from any goroutine. The order of a track's
// packets is that in which Write was called.
type Path struct {
	server *Server
	name   string
	cfg    PathConfig
	log    *slog.Logger
	base   uint32 // RTP timestamp of stream time 0, but for the clock rate
	sent   atomic.Uint64
	wall   capture.Clock
	demand sync.Mutex // held while OnDemand is called, so that its calls come in order

	mu          sync.Mutex
	unavailable string
	main        *feed
	renditions  map[string]*feed
	viewers     map[string]*viewer // by id
	frames      uint64
	dropped     map[string]uint64
	asked       time.Time // when a keyframe was asked for last
	shifted     bool      // a viewer has moved from one feed to another
}

var (
	_ media.Sink = (*Path)(nil)
	_ media.Sink = (*feed)(nil)
)

func newPath(s *Server, name string, cfg PathConfig) *Path {
	p := &Path{
		server: s, name: name, cfg: cfg, log: s.log.With("stream", streamOf(name), "path", name), base: s.offset(name),
		viewers: map[string]*viewer{}, dropped: map[string]uint64{}, renditions: map[string]*feed{},
	}
	p.main = &feed{path: p, keep: cfg.KeepGOP}
	for _, r := range cfg.Renditions {
		p.renditions[r] = &feed{path: p, name: r, keep: r == Browser} // its keyframes are as far apart as a camera's
	}
	return p
}

// Open announces the tracks. Viewers stay if the codecs are the same as before; others are disconnected. After Open viewers
// get nothing until a keyframe comes. What cannot be sent is left out: viewers are told when they come.
func (p *Path) Open(tracks []media.Track) error { return p.main.Open(tracks) }

// Write takes one packet to the viewers. It never waits.
func (p *Path) Write(pkt media.Packet) error { return p.main.Write(pkt) }

// Rendition returns where the packets of a rendition go: those of one video or one sound track, with the stream's own
// times. It is nil if PathConfig.Renditions does not name it.
func (p *Path) Rendition(name string) media.Sink {
	if f := p.renditions[name]; f != nil {
		return f
	}
	return nil
}

// RTPTime is the RTP timestamp of a picture at a stream time, the same for all paths of a stream.
func (p *Path) RTPTime(pts time.Duration) uint32 {
	return p.base + uint32(media.Ticks(pts, media.VideoClockRate))
}

// SetUnavailable sets what viewers are told before the first Open: why there is nothing to see. Secrets must have been
// removed from it.
func (p *Path) SetUnavailable(reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unavailable = reason
}

// keyframe asks for one: at most twice a second, whoever wants it.
func (p *Path) keyframe() {
	const period = 500 * time.Millisecond
	p.mu.Lock()
	now := time.Now()
	due := now.Sub(p.asked) >= period
	if due {
		p.asked = now
	}
	p.mu.Unlock()
	if due && p.cfg.OnKeyframe != nil {
		p.cfg.OnKeyframe()
	}
}

// drop counts, without the lock.
func (p *Path) drop(reason string, n int) {
	if n == 0 {
		return
	}
	p.mu.Lock()
	p.dropped[reason] += uint64(n)
	p.mu.Unlock()
	if p.server.cfg.OnDrop != nil {
		p.server.cfg.OnDrop(p.name, reason, n)
	}
}

// attach makes a viewer one, of those tracks. False: it has gone already, or the path has other tracks now, or none.
func (p *Path) attach(v *viewer, tracks []media.Track) bool {
	p.mu.Lock()
	if v.gone || !media.SameTracks(p.main.tracks, tracks) {
		p.mu.Unlock()
		return false
	}
	p.viewers[v.resource.ID] = v
	first := len(p.viewers) == 1
	p.mu.Unlock()
	if first {
		p.tellViewers()
	}
	p.tellDemand()
	return true
}

// detach forgets a viewer.
func (p *Path) detach(v *viewer) {
	p.mu.Lock()
	v.gone = true
	last := p.viewers[v.resource.ID] == v && len(p.viewers) == 1
	delete(p.viewers, v.resource.ID)
	p.mu.Unlock()
	if last {
		p.tellViewers()
	}
	p.tellDemand()
}

func (p *Path) tellViewers() {
	if p.cfg.OnViewers != nil {
		p.cfg.OnViewers()
	}
}

// tellDemand says which renditions have come to be wanted, or are not any more.
func (p *Path) tellDemand() {
	p.demand.Lock()
	defer p.demand.Unlock()
	changed := map[string]bool{}
	p.mu.Lock()
	for name, f := range p.renditions {
		wanted := false
		for _, v := range p.viewers {
			wanted = wanted || v.uses(f)
		}
		if wanted != f.wanted {
			f.wanted, changed[name] = wanted, wanted
		}
	}
	p.mu.Unlock()
	for name, wanted := range changed {
		if p.cfg.OnDemand != nil {
			p.cfg.OnDemand(name, wanted)
		}
	}
}

// viewer returns the one of that id; nil if there is none.
func (p *Path) viewer(id string) *viewer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.viewers[id]
}

// Stats returns a snapshot.
func (p *Path) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := Stats{
		Viewers: len(p.viewers), Renditions: map[string]int{}, Frames: p.frames, Bytes: p.sent.Load(), Dropped: maps.Clone(p.dropped),
	}
	for _, v := range p.viewers {
		for _, name := range v.renditions() {
			st.Renditions[name]++
		}
	}
	return st
}

// Close disconnects the viewers. Nobody can watch until Open is called again.
func (p *Path) Close() error {
	p.mu.Lock()
	p.main.reset()
	gone := slices.Collect(maps.Values(p.viewers))
	p.mu.Unlock()
	end(gone, "the stream has ended")
	return nil
}

// end disconnects viewers, all at once.
func end(viewers []*viewer, reason string) {
	var ending sync.WaitGroup
	for _, v := range viewers {
		ending.Go(func() { v.close(reason) })
	}
	ending.Wait()
}

// errNotOpen is what Write returns before Open.
func (f *feed) errNotOpen() error { return fmt.Errorf("write to path %s: not open", f.path.name) }
