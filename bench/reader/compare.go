package reader

import (
	"fmt"
	"slices"
	"time"

	"rave/bench/camera"
)

// Report is what a reader's pictures say against the camera's log.
type Report struct {
	Pictures   int     `json:"pictures"` // that the reader saw
	FPS        float64 `json:"fps"`
	Unreadable int     `json:"unreadable"` // of these: without a valid number
	Duplicates int     `json:"duplicates"` // of these: with a number seen before
	Disordered int     `json:"disordered"` // of these: with a number below one seen before
	Lost       int     `json:"lost"`       // numbers between the first and the last that were never seen
	Latency    Spread  `json:"latency"`    // sending by the camera to decoding by the reader
}

// Spread is how a duration is distributed, by its percentiles.
type Spread struct {
	P50 time.Duration `json:"p50_ns"`
	P95 time.Duration `json:"p95_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// NewSpread returns the spread of the samples, which it sorts; a percentile is the smallest sample that at least so
// many are not above.
func NewSpread(samples []time.Duration) Spread {
	if len(samples) == 0 {
		return Spread{}
	}
	slices.Sort(samples)
	at := func(percent int) time.Duration { return samples[(len(samples)*percent+99)/100-1] }
	return Spread{P50: at(50), P95: at(95), P99: at(99), Max: at(100)}
}

// Minus returns the spread less a constant.
func (s Spread) Minus(d time.Duration) Spread {
	return Spread{s.P50 - d, s.P95 - d, s.P99 - d, s.Max - d}
}

// String returns the percentiles in milliseconds.
func (s Spread) String() string {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("p50 %.1f p95 %.1f p99 %.1f max %.1f ms", ms(s.P50), ms(s.P95), ms(s.P99), ms(s.Max))
}

// Samples are the latencies behind a report, to be joined over several runs.
type Samples []time.Duration

// Compare joins what was seen in [from, to) with the camera's log. A clip's loop has so many frames: numbers start
// again after it, and the picture is the last one with its number that had been sent.
func Compare(sent []camera.Sent, seen []Seen, loop int64, from, to time.Time) (Report, Samples) {
	times := make(map[int64]time.Time, len(sent))
	for _, s := range sent {
		times[s.N] = s.Time
	}
	var r Report
	var latencies Samples
	known := map[int64]bool{}
	first, highest := int64(-1), int64(-1)
	for _, s := range seen {
		if s.At.Before(from) || !s.At.Before(to) {
			continue
		}
		r.Pictures++
		n, ok := int64(0), false
		if s.Err == nil {
			n, ok = lastSent(times, int64(s.N), loop, int64(len(sent)), s.At)
		}
		switch {
		case !ok:
			r.Unreadable++
			continue
		case known[n]:
			r.Duplicates++
			continue
		case n < highest:
			r.Disordered++
		}
		known[n] = true
		if first < 0 || n < first {
			first = n
		}
		highest = max(highest, n)
		latencies = append(latencies, s.At.Sub(times[n]))
	}
	if len(known) > 0 {
		r.Lost = int(highest-first+1) - len(known)
	}
	r.FPS = float64(r.Pictures) / to.Sub(from).Seconds()
	r.Latency = NewSpread(slices.Clone(latencies))
	return r, latencies
}

// lastSent finds the last frame with this number in its loop that was sent before a time.
func lastSent(times map[int64]time.Time, number, loop, count int64, before time.Time) (int64, bool) {
	if number >= loop {
		return 0, false
	}
	for n := number + (count/loop+1)*loop; n >= 0; n -= loop {
		if t, ok := times[n]; ok && t.Before(before) {
			return n, true
		}
	}
	return 0, false
}
