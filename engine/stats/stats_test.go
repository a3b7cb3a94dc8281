package stats

import (
	"errors"
	"strings"
	"testing"
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
		snap.EnhancerErrors["live-x2"] == "" || snap.Total.P50 != 40*time.Millisecond || snap.Drops[0].Count != 3 {
		t.Errorf("snapshot %+v", snap)
	}
	s.RungLoaded("live-x2", nil)
	if e := s.Snapshot().EnhancerErrors; len(e) != 0 {
		t.Errorf("an enhancer that loads later still has its error: %v", e)
	}
	s.Forget()
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 0 {
		t.Errorf("%d series after Forget, %v", n, err)
	}
}
