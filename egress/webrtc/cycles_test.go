package webrtc

import (
	"runtime"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/bench/whep"
)

// Viewers that come and go, politely or not, leave nothing behind.
func TestViewersComeAndGo(t *testing.T) {
	s := serve(t, Config{Silence: 600 * time.Millisecond})
	p := s.Path("cam", PathConfig{KeepGOP: true})
	f := &play{sink: p, size: 1000, keys: 25}
	mustOpen(t, p, h264())
	f.start(t)
	visit := func(i int) {
		e := newEyes(t)
		v, err := whep.Connect(t.Context(), whep.Config{URL: s.url + "/cam/whep", OnPacket: e.packet, TCP: i%3 == 1})
		if err != nil {
			t.Fatal(err)
		}
		e.pictures(t, 1)
		if i%2 == 0 {
			v.Close() // without DELETE
		} else if err := v.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	state := func() (goroutines, descriptors int) {
		eventually(t, "all viewers have gone", func() bool { return p.Stats().Viewers == 0 })
		return runtime.NumGoroutine(), leak.Descriptors()
	}
	for i := range 5 {
		visit(i)
	}
	goroutines, descriptors := state()
	for i := range 30 {
		visit(i)
	}
	eventually(t, "no goroutine and no descriptor is left", func() bool {
		g, d := state()
		return g <= goroutines+3 && d <= descriptors+3 // HTTP connections are kept for a while
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.viewers != 0 {
		t.Errorf("%d viewers are counted", s.viewers)
	}
}
