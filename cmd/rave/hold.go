package main

import (
	"sync"
	"time"

	"rave/engine/media"
)

const (
	// The last picture is repeated so often,
	holdEvery = 500 * time.Millisecond
	// once none has come for so long: since the connection was lost, or although it lives. A network may stand still for a
	// moment, and a camera may send a picture in several seconds only: so many must be missing.
	holdAfter   = time.Second
	holdStalled = 2 * time.Second
	holdMissing = 3
)

// hold says when the last enhanced picture is to be repeated because the camera is away. Readers are to see it for a while,
// and then nothing, so that a recording does not show a quiet yard where there was no camera.
type hold struct {
	mu    sync.Mutex
	pts   time.Duration // of the newest picture
	at    time.Time     // when the last one came; zero: none has
	usual time.Duration // from one to the next
	lost  bool          // the connection that it came by has ended
}

// came takes note of a picture of the camera's.
func (h *hold) came(p media.Packet, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if step := p.PTS - h.pts; step > 0 {
		if !p.Discontinuity {
			h.usual = step
		}
		h.pts = p.PTS
	}
	h.at, h.lost = now, false
}

// left takes note of the end of a connection.
func (h *hold) left() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost = true
}

// look tells whether the camera is away, and until when a repetition that is due shows the last picture: zero if none is.
// That lies a little in the past, so that a picture which comes late after all is not from before.
func (h *hold) look(now time.Time, limit time.Duration) (away bool, until time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gone, patience := now.Sub(h.at), max(holdStalled, holdMissing*h.usual)
	if h.lost {
		patience = holdAfter
	}
	switch {
	case h.at.IsZero() || gone < patience:
		return false, 0
	case gone >= limit:
		return true, 0
	default:
		return true, h.pts + gone - holdEvery
	}
}

// holdLast repeats the last enhanced picture if that is due, and lets readers be as silent as they are served.
func (s *stream) holdLast(now time.Time) {
	s.mu.Lock()
	r, limit := s.running, s.now.cfg.HoldLastFrame
	s.mu.Unlock()
	away, until := s.hold.look(now, limit)
	s.original.SetSilent(away)
	s.enhanced.SetSilent(away)
	if until > 0 && r != nil {
		s.clock.Reach(until + holdEvery)
		r.session.Repeat(until)
	}
}
