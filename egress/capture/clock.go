// Package capture says in sender reports when pictures were captured, whatever was done to them since.
package capture

import (
	"sync"
	"time"

	"rave/engine/media"
)

// ReportPeriod is the distance of sender reports.
const ReportPeriod = 5 * time.Second

// Limits of what a change of the wall clock does to readers that are connected.
const (
	slewStep  = time.Millisecond // per ReportPeriod: players do not notice, and no two crystals differ by more
	slewLimit = time.Second      // beyond this it is another clock, and a reader keeps its own
)

// Clock relates the stream's time to the wall clock at capture: the sender's if it is known, else the clock at arrival. It
// is one for all tracks, so that their reports keep them in step whatever happens to packets on the way. Safe for
// concurrent use; its zero value knows nothing yet.
type Clock struct {
	mu      sync.Mutex
	zero    time.Time // wall clock at stream time 0
	capture bool      // zero is the sender's
}

// Observe learns from a packet of video (or of sound, if there is no video). From arrivals the earliest counts, since
// the others were delayed; the clock moves only if the stream has drifted by more than a second.
func (w *Clock) Observe(p media.Packet) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.NTP.IsZero() {
		w.zero, w.capture = p.NTP.Add(-p.PTS), true
		return
	}
	if w.capture || p.Arrival.IsZero() {
		return
	}
	zero := p.Arrival.Round(0).Add(-p.PTS)
	if w.zero.IsZero() || zero.Before(w.zero) || zero.Sub(w.zero) > slewLimit {
		w.zero = zero
	}
}

// Zero is the wall clock at stream time 0.
func (w *Clock) Zero() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.zero.IsZero() {
		w.zero = time.Now().Round(0)
	}
	return w.zero
}

// Reporter is what one reader has been told. Players turn a step in the reports into a step in the picture, so it
// follows the path's clock slowly, and not at all if that becomes another one.
type Reporter struct {
	zero  time.Time
	moved time.Time
}

// At returns the wall clock of a stream time.
func (r *Reporter) At(w *Clock, pts time.Duration, now time.Time) time.Time {
	zero := w.Zero()
	switch d := zero.Sub(r.zero); {
	case r.zero.IsZero():
		r.zero, r.moved = zero, now
	case d.Abs() < slewLimit && now.Sub(r.moved) >= ReportPeriod:
		r.zero, r.moved = r.zero.Add(max(-slewStep, min(slewStep, d))), now
	}
	return r.zero.Add(pts)
}

// NTP converts to seconds since 1900 in 32.32 fixed point (RFC 3550 section 4).
func NTP(t time.Time) uint64 {
	const from1900 = 2208988800
	ns := t.UnixNano()
	return uint64(ns/1e9+from1900)<<32 | uint64(ns%1e9)<<32/1e9
}
