package rtpin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
)

var waits = Waits{Few: 250 * time.Millisecond, Many: 50 * time.Millisecond}

func TestReorder(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between two packets
		come  []int
		want  string // what has gone on after each packet
	}{
		{"in order", 0, []int{0, 1, 2}, "0 | 1 | 2"},
		{"swapped", 0, []int{0, 2, 1, 3}, "0 | | 1 2 | 3"},
		{"twice", 0, []int{0, 1, 1, 3, 3, 2}, "0 | 1 | | | | 2 3"},
		{"too late", 0, []int{0, 1, 0, 2}, "0 | 1 | | 2"},
		{"lost, few follow", 100 * time.Millisecond, []int{0, 2, 3, 4, 5, 6}, "0 | | | | 2 3 4 5 | 6"}, // 2 waits for 300 ms
		{"lost, many follow", 10 * time.Millisecond, []int{0, 2, 3, 4, 5, 6, 7, 8, 9, 10}, "0 | | | | | | | | 2 3 4 5 6 7 8 9 | 10"},
		{"two lost", 100 * time.Millisecond, []int{0, 2, 4, 5, 6}, "0 | | | | 2"},
		{"wraps", 0, []int{-2, 0, -1, 1}, "-2 | | -1 0 | 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReorderer(uint16(c.come[0]), waits)
			now := time.Unix(1000, 0)
			var got []string
			for _, n := range c.come {
				var out []string
				for _, p := range r.Push(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n)}}, now) {
					out = append(out, fmt.Sprint(int16(p.SequenceNumber)))
				}
				got = append(got, strings.Join(out, " "))
				now = now.Add(c.every)
			}
			if text := strings.Join(got, " | "); strings.ReplaceAll(text, "  ", " ") != c.want {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

// What waits in the end is released by time alone; a sender that starts anew is followed; what waits is bounded.
func TestReorderEnds(t *testing.T) {
	now := time.Unix(1000, 0)
	packet := func(n int) *rtp.Packet { return &rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n)}} }
	r := NewReorderer(10, waits)
	r.Push(packet(11), now)
	if d := r.Deadline(); !d.Equal(now.Add(waits.Few)) {
		t.Errorf("deadline %v after the packet", d.Sub(now))
	}
	if out := r.Expire(now.Add(waits.Few - 1)); len(out) != 0 {
		t.Error("released too early")
	}
	if out := r.Expire(now.Add(waits.Few)); len(out) != 1 || !r.Deadline().IsZero() {
		t.Errorf("released %d", len(out))
	}
	r = NewReorderer(20000, waits)
	followed := 0
	for n := range 2 * mostOutdated {
		followed += len(r.Push(packet(n), now))
	}
	if followed != mostOutdated {
		t.Errorf("%d packets of a sender that began anew", followed)
	}
	r = NewReorderer(0, waits)
	for n := range 2 * mostWaiting {
		r.Push(packet(2*n+1), now) // every second one is lost, and all come at once
		if len(r.waiting) > mostWaiting {
			t.Fatalf("%d wait", len(r.waiting))
		}
	}
}

func TestMissing(t *testing.T) {
	now := time.Unix(1000, 0)
	r := NewReorderer(65534, waits)
	for _, n := range []uint16{65535, 2, 3, 5} {
		r.Push(&rtp.Packet{Header: rtp.Header{SequenceNumber: n}}, now)
	}
	for most, want := range map[int][]uint16{10: {65534, 0, 1, 4}, 2: {65534, 0}} {
		if got := r.Missing(most); !slices.Equal(got, want) {
			t.Errorf("at most %d: %v, want %v", most, got, want)
		}
	}
	r.Push(&rtp.Packet{Header: rtp.Header{SequenceNumber: 65534}}, now)
	if got := r.Missing(10); !slices.Equal(got, []uint16{0, 1, 4}) {
		t.Errorf("once the first has come: %v", got)
	}
	r.Expire(now.Add(waits.Few))
	if got := r.Missing(10); len(got) != 0 {
		t.Errorf("of what was given up: %v", got)
	}
}
