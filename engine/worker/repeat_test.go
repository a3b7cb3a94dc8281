package worker_test

import (
	"syscall"
	"testing"
	"time"
)

// TestRepeat: a session in a worker repeats its last picture like one in this process. Repetitions are no pictures of the
// camera's: the books still balance when the worker dies, and what it was given again is not made again.
func TestRepeat(t *testing.T) {
	track, packets := footage(t, 20, 20, 1)
	r := inWorker(t, track, spec{}, nil)
	for _, p := range packets[:10] {
		r.step(p)
	}
	last := packets[9].PTS
	for i := range 3 {
		pts := last + time.Duration(i+1)*time.Second
		r.session.Repeat(pts)
		if p := r.next(); p.PTS != pts || !p.Held || !p.Arrival.IsZero() || p.Enhancer == "" {
			t.Errorf("repetition %d: %+v", i, p)
		}
	}
	r.signal(syscall.SIGKILL)
	if reason := receive(t, r.deaths); reason != "killed" {
		t.Errorf("it ended by %s", reason)
	}
	for i, p := range packets[10:] {
		p.PTS += 4 * time.Second
		if made := r.step(p); made.PTS != p.PTS || made.Held || made.Keyframe != (i == 0) {
			t.Errorf("packet %d: %+v, want the time %v", i, made, p.PTS)
		}
	}
	r.accounted(len(packets))
	r.ascending()
}
