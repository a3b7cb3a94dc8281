package capture

import (
	"testing"
	"time"
)

func TestReporterFollowsSlowly(t *testing.T) {
	zero := time.Unix(1000, 0)
	w := &Clock{zero: zero, capture: true}
	var r Reporter
	now := time.Now()
	for _, c := range []struct {
		name   string
		change time.Duration // of the path's clock
		after  time.Duration // time since the last report
		want   time.Duration // of the reader's
	}{
		{"first", 0, 0, 0},
		{"at once", 20 * time.Millisecond, 0, 0},
		{"slowly", 20 * time.Millisecond, ReportPeriod, slewStep},
		{"another clock", time.Hour, ReportPeriod, slewStep},
		{"back", 0, ReportPeriod, 0},
	} {
		w.zero, now = zero.Add(c.change), now.Add(c.after)
		if got := r.At(w, time.Second, now).Sub(zero); got != c.want+time.Second {
			t.Errorf("%s: moved by %v, want %v", c.name, got-time.Second, c.want)
		}
	}
}
