package main

import (
	"fmt"
	"testing"
	"time"

	"rave/engine/media"
)

// TestHold plays a camera that sends a picture every so often and then none, and looks twice a second: when the last picture
// is shown again, and for which times.
func TestHold(t *testing.T) {
	const frame = 40 * time.Millisecond
	for _, c := range []struct {
		name   string
		every  time.Duration // between two pictures
		limit  time.Duration
		lost   bool // the connection has ended with the last picture
		first  time.Duration
		last   time.Duration // 0: it is not shown again
		burst  bool          // the camera's pictures come all at once
		reused bool          // it was away before, for an hour
	}{
		{name: "lost", every: frame, limit: 10 * time.Second, lost: true, first: time.Second, last: 9500 * time.Millisecond},
		{name: "stalled", every: frame, limit: 10 * time.Second, first: 2 * time.Second, last: 9500 * time.Millisecond},
		{name: "stalled, its pictures come in bursts", every: frame, limit: 10 * time.Second, first: 2 * time.Second, last: 9500 * time.Millisecond, burst: true},
		{name: "slow", every: 2 * time.Second, limit: 10 * time.Second, first: 6 * time.Second, last: 9500 * time.Millisecond},
		{name: "slow and lost", every: 2 * time.Second, limit: 10 * time.Second, lost: true, first: time.Second, last: 9500 * time.Millisecond},
		{name: "very slow", every: 4 * time.Second, limit: 10 * time.Second},
		{name: "not held", every: frame, limit: 0, lost: true},
		{name: "the first absence says nothing of how slow it is", every: frame, limit: 10 * time.Second, first: 2 * time.Second, last: 9500 * time.Millisecond, reused: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h hold
			now, pts := time.Now(), time.Duration(0)
			if away, until := h.look(now, time.Hour); away || until != 0 {
				t.Error("a camera that never came is away")
			}
			for i := range 10 {
				if !c.burst {
					now = now.Add(c.every)
				}
				pts += c.every
				gap := c.reused && i == 9
				if gap {
					now, pts = now.Add(time.Hour), pts+time.Hour
				}
				h.came(media.Packet{PTS: pts, Discontinuity: gap}, now)
				h.came(media.Packet{PTS: pts - c.every/2}, now) // a B-frame
			}
			if c.lost {
				h.left()
			}
			var first, last time.Duration
			for gone := time.Duration(0); gone < time.Minute; gone += holdEvery {
				away, until := h.look(now.Add(gone), c.limit)
				if until == 0 {
					continue
				}
				if until != pts+gone-holdEvery || !away {
					t.Errorf("%v after the last picture at %v one of %v is due, away %v", gone, pts, until, away)
				}
				if last = gone; first == 0 {
					first = gone
				}
			}
			if first != c.first || last != c.last {
				t.Errorf("shown again from %v to %v, want %v to %v", first, last, c.first, c.last)
			}
			h.came(media.Packet{PTS: pts + time.Minute, Discontinuity: true}, now.Add(time.Minute))
			if away, _ := h.look(now.Add(time.Minute+holdAfter), c.limit); away {
				t.Error("the camera is back and away")
			}
		})
	}
}

// TestRecent: a session that starts in the middle of a group of pictures is given it from its keyframe on, and makes a
// picture of the newest only; nothing if there is no keyframe, if the group is too large to be kept, or past.
func TestRecent(t *testing.T) {
	now := time.Now()
	pic := func(n int, bytes int) media.Packet {
		return media.Packet{PTS: time.Duration(n) * time.Second, Keyframe: n%10 == 0, Data: make([]byte, bytes), Arrival: now}
	}
	for _, c := range []struct {
		name    string
		packets []media.Packet
		later   time.Duration
		want    string // the seconds; those that are wanted with a !
	}{
		{"from the last keyframe", []media.Packet{pic(8, 1), pic(9, 1), pic(10, 1), pic(11, 1), pic(12, 1)}, 0, "10 11 12!"},
		{"a keyframe alone", []media.Packet{pic(9, 1), pic(10, 1)}, 0, "10!"},
		{"a B-frame is not the newest", []media.Packet{pic(10, 1), pic(13, 1), pic(12, 1)}, 0, "10 13! 12"},
		{"not before a keyframe", []media.Packet{pic(8, 1), pic(9, 1)}, 0, ""},
		{"too many bytes", []media.Packet{pic(10, 1), pic(11, maxRecentBytes), pic(12, 1)}, 0, ""},
		{"too long", []media.Packet{pic(10, 1), pic(23, 1), pic(24, 1)}, 0, ""},
		{"a new one after that", []media.Packet{pic(10, maxRecentBytes+1), pic(20, 1)}, 0, "20!"},
		{"the camera is away", []media.Packet{pic(10, 1)}, maxRecentAge + 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r recent
			for _, p := range c.packets {
				r.add(p)
			}
			got := ""
			for i, p := range r.begin(now.Add(c.later)) {
				if i > 0 {
					got += " "
				}
				if got += fmt.Sprint(int(p.PTS / time.Second)); !p.DecodeOnly {
					got += "!"
				}
				if p.Discontinuity != (i == 0) {
					t.Errorf("packet %d: discontinuity %v", i, p.Discontinuity)
				}
			}
			if got != c.want {
				t.Errorf("begins with %q, want %q", got, c.want)
			}
			for _, p := range r.packets {
				if p.DecodeOnly || p.Discontinuity {
					t.Error("what is kept was changed")
				}
			}
		})
	}
}
