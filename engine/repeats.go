package engine

import "time"

// repeats keeps a line that comes again and again from filling the log: the first is written at once, then one in a
// while with the number of those between.
type repeats struct {
	every time.Duration
	at    time.Time // of the last that was written
	held  int
}

// pass reports whether a line may be written now, and how many were not since the last.
func (r *repeats) pass(now time.Time) (held int, ok bool) {
	if !r.at.IsZero() && now.Sub(r.at) < r.every {
		r.held++
		return 0, false
	}
	held, r.held, r.at = r.held, 0, now
	return held, true
}
