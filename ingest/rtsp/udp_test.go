package rtsp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"rave/bench/relay"
)

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
			r := &reorderer{next: uint16(c.come[0])}
			now := time.Unix(1000, 0)
			var got []string
			for _, n := range c.come {
				var out []string
				for _, p := range r.push(&rtp.Packet{Header: rtp.Header{SequenceNumber: uint16(n)}}, now) {
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
	r := &reorderer{next: 10}
	r.push(packet(11), now)
	if d := r.deadline(); !d.Equal(now.Add(patience)) {
		t.Errorf("deadline %v after the packet", d.Sub(now))
	}
	if out := r.expire(now.Add(patience - 1)); len(out) != 0 {
		t.Error("released too early")
	}
	if out := r.expire(now.Add(patience)); len(out) != 1 || !r.deadline().IsZero() {
		t.Errorf("released %d", len(out))
	}
	r = &reorderer{next: 20000}
	followed := 0
	for n := range 2 * mostOutdated {
		followed += len(r.push(packet(n), now))
	}
	if followed != mostOutdated {
		t.Errorf("%d packets of a sender that began anew", followed)
	}
	r = &reorderer{}
	for n := range 2 * mostWaiting {
		r.push(packet(2*n+1), now) // every second one is lost, and all come at once
		if len(r.waiting) > mostWaiting {
			t.Fatalf("%d wait", len(r.waiting))
		}
	}
}

// Through a network that only reorders and doubles, every picture arrives; through one that loses as well, those come that
// are whole, in order, and none is held up by a lost one for long.
func TestPullOverABadNetwork(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults relay.Faults
	}{
		{"reordered", relay.Faults{Reorder: 0.1, Distance: 3, Duplicate: 0.05}},
		{"lossy", relay.Faults{Loss: 0.05, Reorder: 0.1, Distance: 3, Duplicate: 0.05}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const pictures, every, first, size = 250, 10 * time.Millisecond, 1000, 1000
			cam := startCamera(t, session(h264Format()))
			between, err := relay.Start(relay.Config{Camera: cam.addr, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			defer between.Close()
			var lost drops
			out := newCollector()
			stop, _ := start(t, newPull(t, PullConfig{URL: "rtsp://" + between.Address() + "/live", Transport: UDP, OnDrop: lost.add}), out)
			enc := h264Encoder(t) // the same all the time: it numbers the packets
			for n := 0; len(out.packets) == 0; n++ {
				cam.send(t, enc, n, [][]byte{idr(n, 10)})
				time.Sleep(every)
			}
			between.SetFaults(c.faults)
			sent := map[int]time.Time{}
			var got []int
			var waited []time.Duration
			take := func(p *collector) {
				for {
					select {
					case pkt := <-p.packets:
						nals := nalsOf(t, pkt.Data)
						nal := nals[len(nals)-1]
						if len(nal) < size {
							continue // of playing
						}
						n := int(nal[4]) | int(nal[5])<<8
						got = append(got, n)
						waited = append(waited, pkt.Arrival.Sub(sent[n]))
					default:
						return
					}
				}
			}
			send := func(n int) {
				nal := idr(0, size)
				nal[4], nal[5] = byte(n), byte(n>>8)
				sent[n] = time.Now()
				cam.send(t, enc, first+n, [][]byte{nal})
			}
			for n := range pictures {
				send(n)
				time.Sleep(every) // its rate
				take(out)
			}
			// The last one comes after a gap, and nothing follows it.
			between.SetFaults(relay.Faults{Loss: 1})
			before := between.Counts().Dropped
			send(pictures)
			for between.Counts().Dropped == before {
				time.Sleep(every)
			}
			between.SetFaults(relay.Faults{})
			send(pictures + 1)
			for limit := time.Now().Add(waitLimit); (len(got) == 0 || got[len(got)-1] <= pictures) && time.Now().Before(limit); time.Sleep(every) {
				take(out)
			}
			_ = stop()
			slices.Sort(waited)
			counts := between.Counts()
			t.Logf("%d of %d pictures, %+v, waited p50 %v p95 %v max %v, %d counted lost", len(got), pictures, counts,
				waited[len(waited)/2], waited[len(waited)*95/100], waited[len(waited)-1], lost.get(dropLoss))
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("not in order, or twice: %v", got)
			}
			// A picture is a packet. What is held back at the end comes too late.
			if want := pictures + 2 - int(counts.Dropped); len(got) > want || len(got) < want-3 || got[len(got)-1] != pictures+1 {
				t.Errorf("%d pictures up to %d; %d were sent, of which %d are lost", len(got), got[len(got)-1], pictures+2, counts.Dropped)
			}
			if n := lost.get(dropLoss); n == 0 || n > int(counts.Dropped)+3 {
				t.Errorf("%d counted as lost", n)
			}
			if p95 := waited[len(waited)*95/100]; p95 > patience {
				t.Errorf("a picture waited for %v", p95)
			}
		})
	}
}
