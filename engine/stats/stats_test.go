package stats

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rave/engine"
)

var _ engine.Observer = (*Stream)(nil)

func TestWindowPercentiles(t *testing.T) {
	var w window
	if s := w.summary("x"); s.P50 != 0 {
		t.Errorf("empty window: %+v", s)
	}
	for i := range 1000 { // the window keeps the last 512: 488 to 999
		w.add(time.Duration(i) * time.Millisecond)
	}
	s := w.summary("x")
	if s.P50 != 744*time.Millisecond || s.P95 != 974*time.Millisecond || s.P99 != 994*time.Millisecond {
		t.Errorf("got %+v", s)
	}
}

func TestMeterForgets(t *testing.T) {
	m := newMeter(rateSeconds)
	start := time.Unix(1e9, 0)
	if m.rate(start) != 0 {
		t.Error("a meter that saw nothing has a rate")
	}
	for i := range 100 { // 10 s at 10/s
		m.add(1, start.Add(time.Duration(i)*100*time.Millisecond))
	}
	now := start.Add(10 * time.Second)
	if r := m.rate(now); r != 10 {
		t.Errorf("rate %v, want 10", r)
	}
	if r := m.rate(now.Add(time.Hour)); r != 0 || m.total != 100 {
		t.Errorf("an hour later: rate %v, total %v", r, m.total)
	}
}

func TestStreamCountsWhatIsSaid(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := New(reg).Stream("cam")
	s.StageDone(engine.StageEnhance, 2*time.Millisecond, 9*time.Millisecond)
	s.Decoded()
	s.Decoded()
	s.Made("live-x2", 1000)
	s.Made("lanczos", 500)
	s.Dropped(engine.StageEnhance, engine.DropOverload, 3)
	s.Dropped(engine.StageEnhance, engine.DropOverload, 0) // nothing: no series for it either
	s.Dropped(engine.StageDecode, engine.DropBehind, 1)
	s.RungLoaded("live-x2", errors.New("no such file"))
	s.Delivered(40 * time.Millisecond)
	s.Online(true)
	s.Reconnected()
	want := `
# HELP rave_frames_dropped_total Packets or pictures given up, by stage and reason.
# TYPE rave_frames_dropped_total counter
rave_frames_dropped_total{reason="behind",stage="decode",stream="cam"} 1
rave_frames_dropped_total{reason="overload",stage="enhance",stream="cam"} 3
# HELP rave_frames_enhanced_total Pictures enhanced and encoded, by the enhancer that made them.
# TYPE rave_frames_enhanced_total counter
rave_frames_enhanced_total{enhancer="lanczos",stream="cam"} 1
rave_frames_enhanced_total{enhancer="live-x2",stream="cam"} 1
# HELP rave_reconnects_total Connections to the stream's source after the first.
# TYPE rave_reconnects_total counter
rave_reconnects_total{stream="cam"} 1
# HELP rave_encoded_bytes_total Compressed video made; readers share it.
# TYPE rave_encoded_bytes_total counter
rave_encoded_bytes_total{stream="cam"} 1500
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "rave_frames_dropped_total", "rave_frames_enhanced_total",
		"rave_reconnects_total", "rave_encoded_bytes_total")
	if err != nil {
		t.Error(err)
	}
	snap := s.Snapshot()
	if snap.Made != 2 || snap.Decoded != 2 || snap.Shares["lanczos"] != 0.5 || snap.Enhancer != "lanczos" ||
		snap.Enhancers["live-x2"] != (Trouble{TroubleFailed, "no such file"}) || snap.Total.P50 != 40*time.Millisecond || snap.Drops[0].Count != 3 {
		t.Errorf("snapshot %+v", snap)
	}
	s.RungLoaded("live-x2", nil)
	if e, known := s.Snapshot().Enhancers["live-x2"]; !known || e != (Trouble{}) {
		t.Errorf("an enhancer that loads later still has its error: %v", e)
	}
	s.RungChanged("live-x2", "lanczos", engine.ChangeSlow)
	if snap := s.Snapshot(); snap.Enhancers["live-x2"].Code != TroubleSlow || !strings.Contains(snap.Enhancers["live-x2"].Text, "too slow") {
		t.Errorf("why another one serves is not said: %v", snap.Enhancers)
	}
	s.RungChanged("lanczos", "live-x2", engine.ChangeFast)
	if snap := s.Snapshot(); snap.Enhancers["live-x2"] != (Trouble{}) {
		t.Errorf("it serves again: %v", snap.Enhancers)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP rave_enhancer_changes_total Changes from one enhancer to another, by reason (loaded, slow, fast, failed, asked; left_out: none, since it was too slow before it served).
# TYPE rave_enhancer_changes_total counter
rave_enhancer_changes_total{from="lanczos",reason="fast",stream="cam",to="live-x2"} 1
rave_enhancer_changes_total{from="live-x2",reason="slow",stream="cam",to="lanczos"} 1
`), "rave_enhancer_changes_total")
	if err != nil {
		t.Error(err)
	}
	s.RungLoaded("live-x2", errors.New("no such file"))
	s.SessionStarted()
	if e := s.Snapshot().Enhancers; len(e) != 0 {
		t.Errorf("another session has the errors of the one before: %v", e)
	}
	s.Forget()
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 0 {
		t.Errorf("%d series after Forget, %v", n, err)
	}
}

// TestShareOfTheLastMinute: shares add up to one and forget what is older than a minute.
func TestShareOfTheLastMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewPedanticRegistry()
		s := New(reg).Stream("cam")
		for range 600 { // a minute
			s.Made("live-x2", 1)
			time.Sleep(100 * time.Millisecond)
		}
		for range 300 {
			s.Made("lanczos", 1)
			time.Sleep(100 * time.Millisecond)
		}
		share := func(enhancer string) float64 {
			return testutil.ToFloat64(s.stats.share.WithLabelValues("cam", enhancer))
		}
		if a, b := share("live-x2"), share("lanczos"); a < 0.48 || a > 0.54 || a+b != 1 {
			t.Errorf("after half a minute of each: %v and %v", a, b)
		}
		for range 400 {
			s.Made("lanczos", 1)
			time.Sleep(100 * time.Millisecond)
		}
		if a, b := share("live-x2"), share("lanczos"); a != 0 || b != 1 {
			t.Errorf("after more than a minute: %v and %v", a, b)
		}
	})
}
