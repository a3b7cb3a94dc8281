package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	web "rave/egress/http"
	"rave/engine"
)

// snapshot answers web.Config.Snapshot.
func (a *app) snapshot(ctx context.Context, name, variant string, width int) (web.Snapshot, error) {
	streams := a.streams.streams()
	i := slices.IndexFunc(streams, func(s *stream) bool { return s.name == name })
	if i < 0 {
		return web.Snapshot{}, web.ErrNoStream
	}
	shot, err := streams[i].snapshot(ctx, variant, width)
	if err != nil {
		return web.Snapshot{}, err
	}
	return web.Snapshot{JPEG: shot.JPEG, Age: time.Since(shot.At), Enhancer: shot.Enhancer}, nil
}

// snapshot returns the latest picture of a stream as an image at most width wide (0: as wide as it is). Variants are those of
// package engine; engine.ErrNoPicture: there is none yet. It wakes nothing: of a stream that is asleep the last snapshot
// from before is all there is.
func (s *stream) snapshot(ctx context.Context, variant string, width int) (engine.Snapshot, error) {
	s.mu.Lock()
	r, last, onDemand := s.running, s.shots[variant], s.now.cfg.OnDemand
	s.mu.Unlock()
	switch {
	case r != nil:
	case last.JPEG != nil && (width == 0 || last.Width <= width):
		return last, nil
	case s.asleep():
		return engine.Snapshot{}, fmt.Errorf("stream %s: %w: it is asleep, since nobody watches (on_demand)", s.name, engine.ErrNoPicture)
	default:
		return engine.Snapshot{}, fmt.Errorf("stream %s: %w: its camera has not answered yet", s.name, engine.ErrNoPicture)
	}
	shot, err := r.session.Snapshot(ctx, variant, width)
	if err != nil {
		return engine.Snapshot{}, fmt.Errorf("stream %s: %w", s.name, err)
	}
	if onDemand {
		s.mu.Lock()
		s.shots[variant] = shot
		s.mu.Unlock()
	}
	return shot, nil
}
