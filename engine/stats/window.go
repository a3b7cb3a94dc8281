package stats

import (
	"slices"
	"time"
)

// window keeps the last durations, for percentiles.
type window struct {
	last [512]time.Duration // 20 s at 25 frames/s
	n    int
}

func (w *window) add(d time.Duration) {
	w.last[w.n%len(w.last)] = d
	w.n++
}

func (w *window) summary(stage string) Latency {
	n := min(w.n, len(w.last))
	if n == 0 {
		return Latency{Stage: stage}
	}
	sorted := slices.Clone(w.last[:n])
	slices.Sort(sorted)
	at := func(q float64) time.Duration { return sorted[min(n-1, int(q*float64(n)))] }
	return Latency{Stage: stage, P50: at(0.50), P95: at(0.95), P99: at(0.99)}
}

// meter measures a rate over the last seconds, in slots of one second: as many as slots has, less the one that fills.
type meter struct {
	total  float64
	slots  []float64
	newest int64 // seconds since base
	base   time.Time
}

func (m *meter) add(v float64, now time.Time) {
	m.advance(now)
	m.slots[m.newest%int64(len(m.slots))] += v
	m.total += v
}

func newMeter(seconds int) meter { return meter{slots: make([]float64, seconds+1)} }

// advance moves on to now, by the monotonic clock.
func (m *meter) advance(now time.Time) {
	if m.base.IsZero() {
		m.base = now
	}
	sec := int64(now.Sub(m.base) / time.Second)
	for ; m.newest < sec; m.newest++ {
		if sec-m.newest > int64(len(m.slots)) {
			m.newest = sec - int64(len(m.slots)) - 1
		}
		m.slots[(m.newest+1)%int64(len(m.slots))] = 0
	}
}

// rate returns the average per second over the full seconds that are kept.
func (m *meter) rate(now time.Time) float64 {
	if m.base.IsZero() {
		return 0
	}
	m.advance(now)
	full := min(int64(len(m.slots)-1), m.newest)
	if full == 0 {
		return 0
	}
	var sum float64
	for i := range full {
		sum += m.slots[(m.newest-1-i)%int64(len(m.slots))]
	}
	return sum / float64(full)
}

// sum returns the total of the last seconds, the one that fills included.
func (m *meter) sum(now time.Time) float64 {
	m.advance(now)
	var sum float64
	for _, v := range m.slots {
		sum += v
	}
	return sum
}
