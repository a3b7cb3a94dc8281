package soak

import (
	"time"

	"rave/bench/camera"
	"rave/bench/reader"
)

// picture is one that a reader saw, joined with its sending.
type picture struct {
	n        int64 // the camera's number, counted on over loops
	sent, at time.Time
	lost     int64 // pictures between the one before and this that were never seen
	backward bool  // one with a higher number came before, or this one did
}

func (p picture) age() time.Duration { return p.at.Sub(p.sent) }

// tracker joins what a camera sends with what a reader sees while both go on. A number comes again with each loop of
// the clip, and with each start of the camera; the picture is the last one with its number that had been sent.
type tracker struct {
	loop   int64
	recent map[int64][]camera.Sent // by number drawn; the last few
	newest int64                   // seen; -1 before the first
}

func newTracker(loop int64) *tracker {
	return &tracker{loop: loop, recent: map[int64][]camera.Sent{}, newest: -1}
}

func (t *tracker) send(s camera.Sent) {
	const enough = 4
	n := s.N % t.loop
	t.recent[n] = append(t.recent[n], s)
	if extra := len(t.recent[n]) - enough; extra > 0 {
		t.recent[n] = append(t.recent[n][:0], t.recent[n][extra:]...)
	}
}

// see returns false for a picture without a number that was sent.
func (t *tracker) see(s reader.Seen) (picture, bool) {
	if s.Err != nil {
		return picture{}, false
	}
	list := t.recent[int64(s.N)]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Time.After(s.At) {
			continue
		}
		p := picture{n: list[i].N, sent: list[i].Time, at: s.At}
		if t.newest >= 0 {
			p.backward = p.n <= t.newest
			p.lost = max(0, p.n-t.newest-1)
		}
		t.newest = max(t.newest, p.n)
		return p, true
	}
	return picture{}, false
}

// restart forgets the order, when the camera or the reader starts again.
func (t *tracker) restart() { t.newest = -1 }
