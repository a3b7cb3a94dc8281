package webrtc

import (
	"cmp"
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
	tracks  []media.Track
	packers map[int]*packer // by media.Track.ID
	open    bool
	resync  bool // since Open no keyframe has come
	order   order
	profile string // of the video; empty: not known
	unfit   bool   // browsers cannot be given the video as it is: viewers have been moved
	gop     gate.GOP[*unit]
	wanted  bool // as OnDemand was told
}

// Open implements media.Sink.
func (f *feed) Open(tracks []media.Track) error {
	p := f.path
	p.mu.Lock()
	var gone []*viewer
	if f.tracks != nil && !media.SameTracks(f.tracks, tracks) {
		for _, v := range p.viewers {
			if v.uses(f) || v.wants == f {
				gone = append(gone, v)
			}
		}
	}
	f.tracks, f.packers, f.open, f.resync = slices.Clone(tracks), map[int]*packer{}, true, false
	f.gop, f.order, f.profile, f.unfit = gate.GOP[*unit]{}, order{}, "", false
	for _, t := range tracks {
		packer, err := newPacker(t, p.base)
		if err != nil {
			p.mu.Unlock()
			return fmt.Errorf("open path %s: %w", p.name, err)
		}
		f.packers[t.ID] = packer
		if t.Kind == media.Video {
			f.profile = profileOf(t.Codec, slices.Values(t.ParameterSets))
		}
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
	f.learn(packer, pkt)
	if packer.barred { // such as MJPEG: viewers get a rendition
		p.mu.Unlock()
		return nil
	}
	var gone []*viewer
	if f.turned(packer, pkt) {
		gone = p.unfit()
		p.shifted = true
	}
	drops, wanted := f.pass(packer.unit(pkt))
	shifted, flaw := p.shifted, f.flaw()
	p.shifted = false
	p.mu.Unlock()
	for reason, n := range drops {
		p.drop(reason, n)
	}
	if wanted {
		p.keyframe()
	}
	if shifted {
		p.tellDemand()
	}
	for _, v := range gone {
		go v.close("the stream comes " + flaw)
	}
	return nil
}

// learn takes note of a packet's times and size. It needs path.mu.
func (f *feed) learn(packer *packer, pkt media.Packet) {
	video := packer.track.Kind == media.Video
	if f.name == "" && (video || f.track(media.Video) == nil) {
		f.path.wall.Observe(pkt)
	}
	if f.name == "" && video {
		f.path.frames++
	}
	packer.measure(time.Now(), len(pkt.Data))
}

// turned reports that a stream has turned out to be unfit for browsers. It needs path.mu.
func (f *feed) turned(packer *packer, pkt media.Packet) bool {
	if f.name != "" || packer.track.Kind != media.Video {
		return false
	}
	f.order.add(pkt)
	if pkt.Keyframe {
		f.profile = cmp.Or(profileOf(packer.track.Codec, media.NALUs(pkt.Data)), f.profile)
	}
	before := f.unfit
	f.unfit = before || f.flaw() != ""
	return f.unfit && !before
}

// flaw says why browsers do not play the video as it is, whatever they offer; empty: they do. It needs path.mu.
func (f *feed) flaw() string {
	switch t := f.track(media.Video); {
	case f.order.mixed:
		return "with B-frames, which browsers do not show in order"
	case t != nil && t.Codec == media.H264 && f.profile != "" && !slices.Contains([]string{"42", "4d", "58", "64"}, f.profile):
		return "in a profile that browsers do not decode: they take 8 bits a sample and 4:2:0 only"
	default:
		return ""
	}
}

// order watches the times of pictures as they are sent. They are mixed if that is not the order in which they are shown: B-frames
// step back after each picture that they refer to, and x264 makes 16 of them in a row at most. A camera whose clock is set back
// once, or now and then, makes none.
type order struct {
	mixed bool
	last  time.Duration
	backs int // steps back
	since int // pictures since the last one
}

func (o *order) add(pkt media.Packet) {
	const near, enough = 32, 2
	back := pkt.PTS < o.last && !pkt.Discontinuity
	o.last = pkt.PTS
	if o.since++; o.since > near {
		o.backs = 0
	}
	if back {
		o.backs, o.since = o.backs+1, 0
	}
	o.mixed = o.mixed || o.backs >= enough
}

// pass gives a unit to those that take it. It needs path.mu.
func (f *feed) pass(u *unit) (drops map[string]int, wanted bool) {
	if u.Video() && f.resync {
		if !u.Keyframe() {
			if len(f.path.viewers) > 0 { // else nobody misses it
				drops = map[string]int{"before_keyframe": 1}
			}
			return drops, false
		}
		f.resync = false
	}
	if f.keep {
		f.gop.Add(u, u.pkt.PTS)
	}
	now, slow := time.Now(), 0
	for _, v := range f.path.viewers {
		if !v.takes(f, u) {
			continue
		}
		if err := u.pack(); err != nil {
			return map[string]int{"malformed": 1}, false
		}
		dropped, waits := v.gate.Push(u)
		slow += dropped
		if waits && v.slower(now) {
			f.path.shifted = true
		}
		if u.Video() && v.faster(now) {
			f.path.shifted, wanted = true, true
		}
		wanted = wanted || u.Video() && (v.lost.Load() || v.gate.Waits())
	}
	if slow > 0 {
		drops = map[string]int{"slow_viewer": slow}
	}
	return drops, wanted
}

// start returns what a new viewer of the feed begins with. All but the newest picture are there to be decoded only: they get
// timestamps right before its own, else a browser would take the time that they span for delay of the network, and keep it.
// What would take too long to send is of no use: the viewer would fall behind what is live. It needs path.mu.
func (f *feed) start() []*unit {
	const step, most = 90, 4 << 20 // 1 ms; bytes, 0.7 s at the first pace
	kept := f.gop.Snapshot()
	size := 0
	for _, u := range kept {
		size += u.Size()
	}
	if size > most {
		return nil
	}
	units := make([]*unit, len(kept))
	for i, u := range kept {
		if u.pack() != nil {
			return nil
		}
		hurried := *u
		hurried.rtp = kept[len(kept)-1].rtp - uint32(step*(len(kept)-1-i))
		units[i] = &hurried
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
