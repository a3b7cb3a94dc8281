package webrtc

import (
	"fmt"
	"slices"
	"time"

	"rave/egress/gate"
	"rave/engine/media"
)

// feed is one form of a path: the stream as it is, or a rendition of it. All feeds of a path share its lock.
type feed struct {
	path *Path
	name string // of the rendition; empty: the stream as it is
	keep bool

	// With path.mu:
	tracks   []media.Track
	packers  map[int]*packer // by media.Track.ID; nil for what cannot be sent
	open     bool
	resync   bool // since Open no keyframe has come
	reorders bool // it has B-frames
	newest   time.Duration
	gop      gate.GOP[*unit]
	wanted   bool // as OnDemand was told
}

// Open implements media.Sink.
func (f *feed) Open(tracks []media.Track) error {
	p := f.path
	p.mu.Lock()
	var gone []*viewer
	if f.tracks != nil && !media.SameTracks(f.tracks, tracks) {
		for _, v := range p.viewers {
			if v.uses(f) {
				gone = append(gone, v)
			}
		}
		f.reorders = false
	}
	f.tracks, f.packers, f.open, f.resync = slices.Clone(tracks), map[int]*packer{}, true, false
	f.gop, f.newest = gate.GOP[*unit]{}, 0
	for _, t := range tracks {
		packer, err := newPacker(t, p.base)
		if err != nil {
			p.mu.Unlock()
			return fmt.Errorf("open path %s: %w", p.name, err)
		}
		f.packers[t.ID] = packer
		f.resync = f.resync || t.Kind == media.Video
	}
	p.mu.Unlock()
	if len(gone) > 0 {
		p.log.Info("new format: viewers must connect again", "viewers", len(gone))
	}
	for _, v := range gone {
		go v.close("the stream has changed its format")
	}
	return nil
}

// reset needs path.mu.
func (f *feed) reset() { f.tracks, f.packers, f.open, f.gop = nil, nil, false, gate.GOP[*unit]{} }

// track returns the first one of a kind; nil if there is none. It needs path.mu.
func (f *feed) track(kind media.Kind) *media.Track {
	for i := range f.tracks {
		if f.tracks[i].Kind == kind {
			return &f.tracks[i]
		}
	}
	return nil
}

// Write implements media.Sink.
func (f *feed) Write(pkt media.Packet) error {
	p := f.path
	p.mu.Lock()
	if !f.open {
		p.mu.Unlock()
		return f.errNotOpen()
	}
	packer, known := f.packers[pkt.Track]
	if !known {
		p.mu.Unlock()
		return fmt.Errorf("write to path %s: no track %d", p.name, pkt.Track)
	}
	if packer == nil { // such as MJPEG: viewers get a rendition
		p.mu.Unlock()
		return nil
	}
	drops, wanted := f.pass(packer, pkt)
	p.mu.Unlock()
	for reason, n := range drops {
		p.drop(reason, n)
	}
	if wanted {
		p.keyframe()
	}
	return nil
}

// pass needs path.mu.
func (f *feed) pass(packer *packer, pkt media.Packet) (drops map[string]int, wanted bool) {
	p := f.path
	video := packer.track.Kind == media.Video
	if video || f.track(media.Video) == nil {
		p.wall.Observe(pkt)
	}
	if video {
		if f.name == "" {
			p.frames++
		}
		if f.resync && !pkt.Keyframe {
			return map[string]int{"before_keyframe": 1}, false
		}
		f.resync = false
		f.reorders = f.reorders || pkt.PTS < f.newest && !pkt.Discontinuity
		f.newest = max(f.newest, pkt.PTS)
	}
	u := packer.unit(pkt)
	if f.keep {
		f.gop.Add(u, pkt.PTS)
	}
	slow := 0
	for _, v := range p.viewers {
		if !v.takes(f, u) {
			continue
		}
		if err := u.pack(); err != nil {
			return map[string]int{"malformed": 1}, false
		}
		dropped, waits := v.gate.Push(u)
		slow += dropped
		wanted = wanted || waits || v.lost.Load()
		if waits {
			v.behind()
		}
	}
	if slow > 0 {
		drops = map[string]int{"slow_viewer": slow}
	}
	return drops, wanted
}

// start returns what a new viewer of the feed begins with. It needs path.mu.
func (f *feed) start() []*unit {
	units := f.gop.Snapshot()
	for _, u := range units {
		if u.pack() != nil {
			return nil
		}
	}
	return units
}

// Close implements media.Sink.
func (f *feed) Close() error {
	f.path.mu.Lock()
	defer f.path.mu.Unlock()
	f.reset()
	return nil
}
