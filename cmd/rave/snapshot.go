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
// package engine; engine.ErrNoPicture: there is none yet.
func (s *stream) snapshot(ctx context.Context, variant string, width int) (engine.Snapshot, error) {
	s.mu.Lock()
	r := s.running
	s.mu.Unlock()
	if r == nil {
		return engine.Snapshot{}, fmt.Errorf("stream %s: %w: its camera has not answered yet", s.name, engine.ErrNoPicture)
	}
	shot, err := r.session.Snapshot(ctx, variant, width)
	if err != nil {
		return engine.Snapshot{}, fmt.Errorf("stream %s: %w", s.name, err)
	}
	return shot, nil
}
