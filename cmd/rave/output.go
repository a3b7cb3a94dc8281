package main

import (
	"fmt"
	"slices"
	"time"

	"rave/engine/media"
	"rave/engine/stats"
)

// observer passes on what a session says, of its enhancers until another session takes over, and tells readers that wait for
// the first picture why there is none.
type observer struct {
	*stats.Stream
	s *stream
	r *running
}

// RungLoaded implements engine.Observer.
func (o observer) RungLoaded(rung string, err error) {
	o.s.turn.Lock()
	defer o.s.turn.Unlock()
	if o.s.current != o.r {
		return
	}
	o.Stream.RungLoaded(rung, err)
	if err != nil {
		o.s.enhanced.SetUnavailable(fmt.Sprintf("stream %s has no enhanced picture yet: %v", o.s.name, err))
	}
}

// RungChanged implements engine.Observer.
func (o observer) RungChanged(from, to, reason string) {
	o.s.turn.Lock()
	defer o.s.turn.Unlock()
	if o.s.current == o.r {
		o.Stream.RungChanged(from, to, reason)
	}
}

// sessionOutput takes a session's packets to the enhanced path, until another session takes over.
type sessionOutput struct {
	s *stream
	r *running
}

// Tracks implements media.Output.
func (o sessionOutput) Tracks(video []media.Track) error {
	o.s.turn.Lock()
	defer o.s.turn.Unlock()
	if o.s.current != o.r {
		return nil
	}
	return o.s.openEnhanced(video)
}

// openEnhanced serves the enhanced video with the camera's sound.
func (s *stream) openEnhanced(video []media.Track) error {
	s.mu.Lock()
	tracks := slices.Concat(video, s.sound) // which does not change while the session runs
	s.mu.Unlock()
	slices.SortFunc(tracks, func(a, b media.Track) int { return a.ID - b.ID })
	if err := s.enhanced.Open(tracks); err != nil {
		return err
	}
	heard := map[int]bool{}
	for _, t := range tracks {
		heard[t.ID] = t.Kind == media.Audio
	}
	s.mu.Lock()
	s.heard = heard
	s.mu.Unlock()
	return nil
}

// Packet implements media.Output.
func (o sessionOutput) Packet(p media.Packet) error {
	s := o.s
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.current != o.r {
		return nil
	}
	if err := s.enhanced.Write(p); err != nil {
		return err
	}
	if p.Held {
		return nil
	}
	s.onScreen.add(s.enhanced.rtpTime(p.PTS), p)
	if !p.Arrival.IsZero() { // a picture that no packet is known of: FFmpeg made up its time
		s.stats.Delivered(time.Since(p.Arrival))
	}
	if s.seen.IsZero() {
		s.mu.Lock()
		s.seen = time.Now()
		s.mu.Unlock()
		s.log.Info("first enhanced frame", "after_start", time.Since(s.app.started).Round(time.Millisecond),
			"enhancer", p.Enhancer, "url", s.app.url(s.name))
	}
	return nil
}
