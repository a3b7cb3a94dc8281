package main

import (
	"maps"
	"slices"
	"sync"

	"rave/egress/webrtc"
	"rave/engine"
	"rave/engine/media"
)

// demand is what a stream's viewers want beside the enhanced picture. It outlives sessions: the next is told what the last
// one was.
type demand struct {
	mu      sync.Mutex
	paths   map[string]int // that want a rendition
	session session        // nil before the first
}

// want says that a path has its first viewer of a rendition, or none any more.
func (d *demand) want(rendition string, on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.paths == nil {
		d.paths = map[string]int{}
	}
	if on {
		d.paths[rendition]++
	} else {
		d.paths[rendition]--
	}
	if d.session != nil {
		d.session.Want(rendition, d.paths[rendition] > 0)
	}
}

// follow names the session that makes what is wanted from now on.
func (d *demand) follow(s session) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = s
	for rendition, paths := range d.paths {
		s.Want(rendition, paths > 0)
	}
}

// leave says that there is no session for a while.
func (d *demand) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.session = nil
}

// some reports whether any rendition is wanted.
func (d *demand) some() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, paths := range d.paths {
		if paths > 0 {
			return true
		}
	}
	return false
}

// refresh asks for a keyframe of a rendition.
func (d *demand) refresh(rendition string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != nil {
		d.session.Refresh(rendition)
	}
}

// ofOriginal and ofEnhanced are the session's renditions that viewers of the two paths can get, by the paths' names for them.
func ofOriginal() map[string]string {
	return map[string]string{
		webrtc.Browser: engine.RenditionBrowser, webrtc.Low: engine.RenditionOriginalLow, webrtc.Opus: engine.RenditionOpus,
	}
}

func ofEnhanced() map[string]string {
	return map[string]string{webrtc.Low: engine.RenditionLow, webrtc.Opus: engine.RenditionOpus}
}

// browsers completes what a path is for browsers by what the stream's session can make for them.
func (s *stream) browsers(c webrtc.PathConfig, made map[string]string) webrtc.PathConfig {
	c.Renditions, c.OnDemand = slices.Collect(maps.Keys(made)), func(rendition string, on bool) {
		s.demand.want(made[rendition], on)
		s.ask()
	}
	return c
}

// refreshOriginal asks for a keyframe of what is made of the camera's picture. The camera itself cannot be asked.
func (s *stream) refreshOriginal() {
	s.demand.refresh(engine.RenditionBrowser)
	s.demand.refresh(engine.RenditionOriginalLow)
}

// renditions are where a session's renditions go, until another session takes over.
func (s *stream) renditions(r *running) map[string]media.Output {
	if s.enhanced.browsers == nil { // nobody can want them
		return nil
	}
	sinks := map[string][]media.Sink{}
	collect := func(p *webrtc.Path, made map[string]string) {
		for theirs, name := range made {
			sinks[name] = append(sinks[name], p.Rendition(theirs))
		}
	}
	collect(s.original.browsers, ofOriginal())
	collect(s.enhanced.browsers, ofEnhanced())
	outputs := map[string]media.Output{}
	for name, list := range sinks {
		outputs[name] = renditionOutput{s, r, list}
	}
	return outputs
}

// aac returns the first sound track that can be made Opus of; the zero Track if there is none.
func aac(sound []media.Track) media.Track {
	if i := slices.IndexFunc(sound, engine.Transcodes); i >= 0 {
		return sound[i]
	}
	return media.Track{}
}

// renditionOutput takes a rendition to the paths that have viewers for it.
type renditionOutput struct {
	s     *stream
	r     *running
	sinks []media.Sink
}

// Tracks implements media.Output.
func (o renditionOutput) Tracks(tracks []media.Track) error {
	return o.pass(func(s media.Sink) error { return s.Open(tracks) })
}

// Packet implements media.Output.
func (o renditionOutput) Packet(p media.Packet) error {
	return o.pass(func(s media.Sink) error { return s.Write(p) })
}

func (o renditionOutput) pass(to func(media.Sink) error) error {
	o.s.turn.Lock()
	defer o.s.turn.Unlock()
	if o.s.current != o.r {
		return nil
	}
	for _, s := range o.sinks {
		if err := to(s); err != nil {
			return err
		}
	}
	return nil
}
