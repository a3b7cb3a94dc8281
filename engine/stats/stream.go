package stats

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/engine"
)

// Drop is a count of drops of one kind.
type Drop struct {
	Stage, Reason string
	Count         int64
}

// Latency summarises the last frames of a stage.
type Latency struct {
	Stage         string
	P50, P95, P99 time.Duration
}

// Why an enhancer does not serve, for programs.
const (
	TroubleSlow    = "slow"    // it cannot hold the frame rate
	TroubleFailed  = "failed"  // it cannot be opened, or failed while it served
	TroubleLoading = "loading" // it has not been opened yet
)

// Trouble is why an enhancer does not serve.
type Trouble struct {
	Code string // one of the above; "": nothing is wrong
	Text string // for people; empty while it loads
}

// Snapshot is what the page shows of a stream.
type Snapshot struct {
	Plan             string
	Codec            string // of the camera
	Input, Output    string // sizes, "640x360"
	FPSIn, FPSOut    float64
	BitrateIn        float64 // bits per second
	BitrateOut       float64
	Decoded, Made    int64
	Work, Wait       []Latency          // decode, enhance, encode
	Total            Latency            // arrival to egress
	Enhancer         string             // that made the last picture
	Shares           map[string]float64 // of the pictures since start, by enhancer
	Drops            []Drop
	Enhancers        map[string]Trouble // those that were opened, or not
	LastEnhancedSeen time.Time
}

// Stream collects what is measured of one stream.
type Stream struct {
	stats *Stats
	name  string

	mu       sync.Mutex
	codec    string
	plan     string
	in, out  string
	work     map[string]*window
	wait     map[string]*window
	total    window
	decoded  meter
	made     meter
	bytesIn  meter
	bytesOut meter
	enhancer string
	shares   map[string]int64
	minute   map[string]*meter // pictures by enhancer
	shared   time.Time         // when the shares were last told
	drops    map[[2]string]int64
	rungs    map[string]Trouble // what is known of enhancers, by name
	last     time.Time
}

// rateSeconds is what rates are averaged over.
const rateSeconds = 5

// Stream returns the collector of a new stream.
func (s *Stats) Stream(name string) *Stream {
	s.online.WithLabelValues(name).Set(0)
	s.reconnect.WithLabelValues(name)
	st := &Stream{
		stats: s, name: name, work: map[string]*window{}, wait: map[string]*window{},
		decoded: newMeter(rateSeconds), made: newMeter(rateSeconds), bytesIn: newMeter(rateSeconds), bytesOut: newMeter(rateSeconds),
		shares: map[string]int64{}, minute: map[string]*meter{}, drops: map[[2]string]int64{}, rungs: map[string]Trouble{},
	}
	for _, stage := range []string{engine.StageDecode, engine.StageEnhance, engine.StageEncode} {
		st.work[stage], st.wait[stage] = &window{}, &window{}
	}
	return st
}

// Forget removes the stream's metrics.
func (s *Stream) Forget() {
	labels := prometheus.Labels{"stream": s.name}
	for _, v := range []interface{ DeletePartialMatch(prometheus.Labels) int }{
		s.stats.stage, s.stats.latency, s.stats.decoded, s.stats.made, s.stats.dropped, s.stats.bytesIn, s.stats.bytesOut,
		s.stats.waiting, s.stats.online, s.stats.reconnect, s.stats.rungs, s.stats.restarts,
		s.stats.changes, s.stats.share,
	} {
		v.DeletePartialMatch(labels)
	}
}

// StageDone implements engine.Observer.
func (s *Stream) StageDone(stage string, waited, worked time.Duration) {
	s.stats.stage.WithLabelValues(s.name, stage, "wait").Observe(waited.Seconds())
	s.stats.stage.WithLabelValues(s.name, stage, "work").Observe(worked.Seconds())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work[stage].add(worked)
	s.wait[stage].add(waited)
}

// Delivered reports the time from arrival to egress of one enhanced frame.
func (s *Stream) Delivered(total time.Duration) {
	s.stats.latency.WithLabelValues(s.name).Observe(total.Seconds())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total.add(total)
}

// Dropped implements engine.Observer. Drops of the network side are told here as well.
func (s *Stream) Dropped(stage, reason string, n int) {
	if n <= 0 {
		return
	}
	s.stats.dropped.WithLabelValues(s.name, stage, reason).Add(float64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops[[2]string{stage, reason}] += int64(n)
}

// Received reports compressed video that came in.
func (s *Stream) Received(bytes int) {
	s.stats.bytesIn.WithLabelValues(s.name).Add(float64(bytes))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytesIn.add(float64(bytes), time.Now())
}

// Decoded implements engine.Observer.
func (s *Stream) Decoded() {
	s.stats.decoded.WithLabelValues(s.name).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decoded.add(1, time.Now())
}

// Made implements engine.Observer.
func (s *Stream) Made(enhancer string, bytes int) {
	s.stats.made.WithLabelValues(s.name, enhancer).Inc()
	s.stats.bytesOut.WithLabelValues(s.name).Add(float64(bytes))
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.made.add(1, now)
	s.bytesOut.add(float64(bytes), now)
	s.shares[enhancer]++
	s.enhancer, s.last = enhancer, now
	s.shareOut(enhancer, now)
}

// shareOut counts a picture for the shares of the last minute, which are told once a second. The lock is held.
func (s *Stream) shareOut(enhancer string, now time.Time) {
	m := s.minute[enhancer]
	if m == nil {
		minute := newMeter(60)
		m = &minute
		s.minute[enhancer] = m
	}
	m.add(1, now)
	if now.Sub(s.shared) < time.Second {
		return
	}
	s.shared = now
	var all float64
	for _, m := range s.minute {
		all += m.sum(now)
	}
	for name, m := range s.minute {
		s.stats.share.WithLabelValues(s.name, name).Set(m.sum(now) / all)
	}
}

// Planned implements engine.Observer.
func (s *Stream) Planned(plan, in, out string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.in, s.out = plan, in, out
}

// RungLoaded implements engine.Observer.
func (s *Stream) RungLoaded(rung string, err error) {
	result := "ok"
	if err != nil {
		result = "error"
	}
	s.stats.rungs.WithLabelValues(s.name, rung, result).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rungs[rung] = (Trouble{}); err != nil {
		s.rungs[rung] = Trouble{TroubleFailed, err.Error()}
	}
}

// RungChanged implements engine.Observer.
func (s *Stream) RungChanged(from, to, reason string) {
	s.stats.changes.WithLabelValues(s.name, from, to, reason).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rungs[to] = Trouble{}
	switch reason {
	case engine.ChangeSlow, engine.ChangeLeftOut:
		s.rungs[from] = Trouble{TroubleSlow, from + " is too slow for this stream on this machine; it returns by itself when it can hold the frame rate"}
	case engine.ChangeFailed:
		s.rungs[from] = Trouble{TroubleFailed, from + " has failed while it served; it is tried again by itself, and the log says why it failed"}
	}
}

// SessionStarted says that what follows comes from another session: which enhancers the one before could open is of no
// interest any more.
func (s *Stream) SessionStarted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.rungs)
}

// Waiting implements engine.Observer.
func (s *Stream) Waiting(stage string, n int) {
	s.stats.waiting.WithLabelValues(s.name, stage).Set(float64(n))
}

// Camera reports the codec that comes in.
func (s *Stream) Camera(codec string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codec = codec
}

// WorkerRestarted counts a worker process that was replaced. What it had opened is to be opened again.
func (s *Stream) WorkerRestarted(reason string) {
	s.stats.restarts.WithLabelValues(s.name, reason).Inc()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.rungs, func(_ string, why Trouble) bool { return why == Trouble{} })
}

// Online reports whether the source delivers.
func (s *Stream) Online(on bool) {
	v := 0.0
	if on {
		v = 1
	}
	s.stats.online.WithLabelValues(s.name).Set(v)
}

// Reconnected counts a connection after the first.
func (s *Stream) Reconnected() { s.stats.reconnect.WithLabelValues(s.name).Inc() }

// Snapshot returns the state of this moment.
func (s *Stream) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	snap := Snapshot{
		Plan: s.plan, Codec: s.codec, Input: s.in, Output: s.out,
		FPSIn: s.decoded.rate(now), FPSOut: s.made.rate(now), BitrateIn: 8 * s.bytesIn.rate(now), BitrateOut: 8 * s.bytesOut.rate(now),
		Decoded: int64(s.decoded.total), Made: int64(s.made.total),
		Total: s.total.summary(engine.StageTotal), Enhancer: s.enhancer, Shares: map[string]float64{},
		Enhancers: maps.Clone(s.rungs), LastEnhancedSeen: s.last,
	}
	for _, stage := range []string{engine.StageDecode, engine.StageEnhance, engine.StageEncode} {
		snap.Work = append(snap.Work, s.work[stage].summary(stage))
		snap.Wait = append(snap.Wait, s.wait[stage].summary(stage))
	}
	for e, n := range s.shares {
		snap.Shares[e] = float64(n) / s.made.total
	}
	for k, n := range s.drops {
		snap.Drops = append(snap.Drops, Drop{Stage: k[0], Reason: k[1], Count: n})
	}
	slices.SortFunc(snap.Drops, func(a, b Drop) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Stage, b.Stage), strings.Compare(a.Reason, b.Reason))
	})
	return snap
}
