package webrtc

import (
	"testing"
	"time"

	"rave/engine/media"
)

// B-frames step back again and again; a camera whose clock is set back does so once, or now and then.
func TestOrder(t *testing.T) {
	for _, c := range []struct {
		name   string
		repeat int // of the pictures, each time later by as many as they are
		times  []int
		after  int // pictures; 0: never mixed
	}{
		{"in order", 100, []int{0, 1, 2, 3}, 0},
		{"one B-frame", 9, []int{1, 0}, 4},
		{"B-frames", 9, []int{3, 1, 2}, 5},
		{"B-frames that others refer to", 9, []int{3, 1, 0, 2}, 3},
		{"as many B-frames as x264 makes", 9, []int{16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, 19},
		{"one from the past", 1, []int{0, 1, 2, 1, 4, 5, 6}, 0},
		{"one from the future", 1, []int{0, 1, 2, 90, 4, 5, 6}, 0},
		{"set back", 1, []int{10, 11, 12, 2, 3, 4, 5}, 0},
		{"set back now and then", 3, []int{1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32}, 0},
	} {
		var o order
		at, n := 0, 0
		for i := range c.repeat {
			for _, number := range c.times {
				n++
				if o.add(media.Packet{PTS: time.Duration(i*len(c.times)+number) * frameTime}); o.mixed && at == 0 {
					at = n
				}
			}
		}
		if at != c.after {
			t.Errorf("%s: mixed after %d pictures, want %d", c.name, at, c.after)
		}
	}
	var o order
	for i := range 10 {
		o.add(media.Packet{PTS: time.Duration(10-i) * frameTime, Discontinuity: true})
	}
	if o.mixed {
		t.Error("new beginnings are taken for B-frames")
	}
}
