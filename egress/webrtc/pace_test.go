package webrtc

import (
	"testing"
	"testing/synctest"
	"time"
)

type fixed int

func (f *fixed) GetTargetBitrate() int { return int(*f) }

// A viewer's network is found to be too slow when it has been so for seconds, and no more when it carries the stream.
func TestPacerFindsSlowNetworks(t *testing.T) {
	const need = 1_000_000
	type step struct {
		after    time.Duration
		estimate int
		limited  bool
	}
	for name, steps := range map[string][]step{
		"fast":            {{0, need, false}, {time.Minute, 2 * need, false}},
		"a dip":           {{0, need / 2, false}, {shortWithin, need / 2, false}, {time.Millisecond, need * 7 / 10, false}, {shortWithin, need / 2, false}},
		"too slow":        {{0, need / 2, false}, {shortWithin + 1, need / 2, true}, {time.Minute, need * 9 / 10, true}, {time.Second, need, false}},
		"slow once more":  {{0, need / 2, false}, {shortWithin + 1, need / 2, true}, {0, need, false}, {0, need / 2, false}, {shortWithin, need / 2, false}, {1, need / 2, true}},
		"near the border": {{0, need * 6 / 10, false}, {time.Hour, need * 6 / 10, false}},
	} {
		var estimate fixed
		p := &pacer{estimate: &estimate}
		now := time.Now()
		for i, s := range steps {
			now, estimate = now.Add(s.after), fixed(s.estimate)
			p.observe(now, need)
			factor := paceFactor
			if s.limited {
				factor = 1
			}
			if p.limited != s.limited || p.rate != float64(s.estimate)*factor/8 {
				t.Errorf("%s, step %d: limited %v at %.0f bytes/s", name, i, p.limited, p.rate)
			}
		}
	}
}

// What leaves is a burst and then the rate, and waiting ends with the viewer.
func TestPacerSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		estimate := fixed(3_200_000) // 1 MB/s
		p := &pacer{estimate: &estimate}
		p.observe(time.Now(), 0)
		began, stop, pauses := time.Now(), make(chan struct{}), 0
		pause := func() { pauses++ }
		const packets = 1000
		for range packets {
			if !p.wait(1000, stop, pause) {
				t.Fatal("stopped")
			}
		}
		if d := time.Since(began); d < 970*time.Millisecond || d > time.Second {
			t.Errorf("1 MB at 1 MB/s left in %v; the first 20 kB may leave at once", d)
		}
		if pauses < 900 {
			t.Errorf("%d pauses were told", pauses)
		}
		p.credit = -1e6
		time.AfterFunc(10*time.Millisecond, func() { close(stop) })
		if p.wait(1, stop, pause) {
			t.Error("it waited for its turn although the viewer had gone")
		}
	})
}
