package rtsp

import (
	"slices"
	"testing"
	"time"

	"rave/bench/relay"

	"rave/ingest/rtpin"
	"rave/ingest/rtpin/rtptest"
)

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
			cam := startCamera(t, session(rtptest.H264()))
			between, err := relay.Start(relay.Config{Camera: cam.addr, Seed: 5})
			if err != nil {
				t.Fatal(err)
			}
			defer between.Close()
			var lost rtptest.Drops
			out := rtptest.NewCollector()
			stop, _ := rtptest.Start(t, newPull(t, PullConfig{URL: "rtsp://" + between.Address() + "/live", Transport: UDP, OnDrop: lost.Add}), out)
			enc := rtptest.Encoder(t) // the same all the time: it numbers the packets
			for n := 0; len(out.Packets) == 0; n++ {
				cam.send(t, enc, n, [][]byte{rtptest.IDR(n, 10)})
				time.Sleep(every)
			}
			between.SetFaults(c.faults)
			sent := map[int]time.Time{}
			var got []int
			var waited []time.Duration
			take := func(p *rtptest.Collector) {
				for {
					select {
					case pkt := <-p.Packets:
						nals := rtptest.NALs(t, pkt.Data)
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
				nal := rtptest.IDR(0, size)
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
				waited[len(waited)/2], waited[len(waited)*95/100], waited[len(waited)-1], lost.Get(rtpin.DropLoss))
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("not in order, or twice: %v", got)
			}
			// A picture is a packet. What is held back at the end comes too late.
			if want := pictures + 2 - int(counts.Dropped); len(got) > want || len(got) < want-3 || got[len(got)-1] != pictures+1 {
				t.Errorf("%d pictures up to %d; %d were sent, of which %d are lost", len(got), got[len(got)-1], pictures+2, counts.Dropped)
			}
			if n := lost.Get(rtpin.DropLoss); n == 0 || n > int(counts.Dropped)+3 {
				t.Errorf("%d counted as lost", n)
			}
			if p95 := waited[len(waited)*95/100]; p95 > waits().Few {
				t.Errorf("a picture waited for %v", p95)
			}
		})
	}
}
