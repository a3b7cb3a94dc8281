package engine

import (
	"context"
	"slices"
	"sync/atomic"
	"time"
)

// This file decides which rung serves a live stream, by measured time alone. A rung that takes longer for a picture
// than the camera leaves it is too slow: it would cost pictures, and the next one down takes over. What is better is
// measured now and then beside the one that serves, and returns by itself once it would hold the rate.
const (
	// A rung serves for so long at least, unless it fails, so that the picture does not pulse between two of them.
	rungHold = 2 * time.Second
	// A rung is too slow when a picture takes more than this share of the time between two; it has become fast enough
	// again below the other share.
	slowAbove = 1.0
	fastBelow = 0.9
	// A better rung that does not serve is measured so often; more rarely when one measurement would take more than a
	// twenty-fifth of that.
	measureEvery = 2 * time.Second
	measureShare = 25
	// A rung that measured well and was too slow all the same when it served rests, from the first length to the last,
	// doubling, until it has served for a while.
	restMin    = 10 * time.Second
	restMax    = 5 * time.Minute
	restForget = time.Minute
	// A rung is tried so often at most when it is opened, and when it is measured later, and the fastest try counts: the
	// machine is busy at a start, and a hiccup at any time.
	triesToOpen  = 3
	triesToServe = 2
)

// Reasons of a change of rungs, as they appear in rave_enhancer_changes_total{reason}.
const (
	ChangeLoaded = "loaded" // a better one is ready
	ChangeSlow   = "slow"   // the better one cannot hold the frame rate
	ChangeFast   = "fast"   // the better one can hold it again
	ChangeFailed = "failed" // the one that served failed
	ChangeAsked  = "asked"  // Prefer
	// ChangeLeftOut is none: the better one turned out to be too slow before it has served.
	ChangeLeftOut = "left_out"
)

// ChangeReasons lists them.
func ChangeReasons() []string {
	return []string{ChangeLoaded, ChangeSlow, ChangeFast, ChangeFailed, ChangeAsked, ChangeLeftOut}
}

// pace is how fast a rung is.
type pace struct {
	cost      time.Duration // of a picture, as measured last; 0: not known
	slow      bool          // it would not hold the rate
	measuring bool          // the loader has it in its hands
	measureAt time.Time     // when it is due, while it does not serve
	restUntil time.Time     // it was too slow when it served
	rest      time.Duration
	restFrame time.Duration // the time between two pictures when it had to rest
}

// measured takes what a picture costs, outside the duty of serving.
func (p *pace) measured(cost time.Duration, now time.Time, interval time.Duration) {
	p.cost = cost
	p.measureAt = now.Add(max(measureEvery, measureShare*cost))
	p.judge(interval)
}

// judge decides whether the rung would hold the rate, with hysteresis. What is not known is believed to.
func (p *pace) judge(interval time.Duration) {
	limit := slowAbove
	if p.slow {
		limit = fastBelow
	}
	p.slow = interval > 0 && p.cost.Seconds() > limit*interval.Seconds()
}

// resting reports whether the rung may not return yet. A camera that has become slower ends the rest.
func (p *pace) resting(now time.Time, interval time.Duration) bool {
	return now.Before(p.restUntil) && interval < p.restFrame*3/2
}

// gaveWay lengthens the rest of a rung that had to give way after it had served for so long.
func (p *pace) gaveWay(now time.Time, served, interval time.Duration) {
	if served > restForget || p.rest == 0 {
		p.rest = restMin
	} else {
		p.rest = min(2*p.rest, restMax)
	}
	p.restUntil, p.restFrame = now.Add(p.rest), interval
	p.measureAt = now.Add(measureEvery)
}

// sample is one picture of the rung that serves.
type sample struct {
	at   time.Time
	took time.Duration
}

// trimmedMean leaves the slowest tenth out: a hiccup of the machine is no reason to change.
func trimmedMean(samples []sample) time.Duration {
	d := make([]time.Duration, len(samples))
	for i, s := range samples {
		d[i] = s.took
	}
	slices.Sort(d)
	d = d[:len(d)-len(d)/10]
	var sum time.Duration
	for _, v := range d {
		sum += v
	}
	return sum / time.Duration(max(1, len(d)))
}

// intervalMeter measures the time between two of the camera's pictures, by their presentation times: what the stages
// behind have for each. One goroutine observes, any may get.
type intervalMeter struct {
	seen     []time.Duration // of the last second, but 5 at least
	interval atomic.Int64
}

func (m *intervalMeter) observe(pts time.Duration) {
	const kept, window, gap, gaps = 5, time.Second, 5 * time.Second, 5
	if n := len(m.seen); n > 0 {
		step := pts - m.seen[n-1]
		if step < 0 || step > max(gap, gaps*m.get()) { // the camera was away
			m.seen = m.seen[:0]
		}
	}
	m.seen = append(m.seen, pts)
	for len(m.seen) > kept && pts-m.seen[0] > window {
		m.seen = slices.Delete(m.seen, 0, 1)
	}
	if n := len(m.seen) - 1; n > 0 {
		m.interval.Store(int64(pts-m.seen[0]) / int64(n))
	}
}

// skip leaves out what is not decoded: the next picture begins anew, and what is known stays.
func (m *intervalMeter) skip() { m.seen = m.seen[:0] }

// get returns the mean, or 0 while it is not known.
func (m *intervalMeter) get() time.Duration { return time.Duration(m.interval.Load()) }

// setInterval takes the time between two of the camera's pictures, dropped ones counted in.
func (l *ladder) setInterval(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.interval = d
}

// took notes what a picture cost the rung that serves.
func (l *ladder) took(i int, start, end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.rungs[i]
	if r.made++; r.made == provenAfter {
		r.retries = 0
	}
	if i != l.level || !l.live {
		return
	}
	l.samples = append(l.samples, sample{end, end.Sub(start)})
	old := slices.IndexFunc(l.samples, func(s sample) bool { return end.Sub(s.at) < rungHold })
	l.samples = slices.Delete(l.samples, 0, max(0, min(old, len(l.samples)-2))) // a picture may take longer than that
	if len(l.samples) >= 2 {
		r.cost = trimmedMean(l.samples)
	}
}

// served are the rungs that make the next picture: the new one, and during a fade the old one.
type served struct {
	new, old chosen
	share    float64 // of the new one
}

// choose returns who makes the next picture.
func (l *ladder) choose(now time.Time) (served, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fading != nil && !l.fading.next(now) {
		l.fading = nil
		signal(l.wake) // the loader may measure the old one
	}
	if to, reason := l.target(now); to != l.level {
		l.change(to, reason, now)
	}
	if l.level < 0 || !l.usable(l.level) {
		return served{}, errNoRung
	}
	s := served{new: l.chosen(l.level)}
	if l.fading != nil {
		s.old, s.share = l.chosen(l.fading.from), l.fading.share
	}
	return s, nil
}

func (l *ladder) chosen(i int) chosen { return chosen{l.rungs[i].ready, i, l.rungs[i].name} }

// usable reports whether a rung is open and not in the loader's hands; the lock is held.
func (l *ladder) usable(i int) bool { return l.rungs[i].ready != nil && !l.rungs[i].measuring }

// target returns the rung that should serve and why; the lock is held.
func (l *ladder) target(now time.Time) (int, string) {
	for i := range l.rungs {
		l.rungs[i].judge(l.interval)
		if l.rungs[i].name == l.prefer && l.usable(i) {
			return i, ChangeAsked
		}
	}
	if l.level < 0 || !l.usable(l.level) {
		reason := ChangeFailed
		if l.level < 0 {
			reason = ChangeLoaded
		}
		if i := l.best(0, now); i >= 0 {
			return i, reason
		}
		return l.level, ""
	}
	if !l.stopgap && (now.Sub(l.since) < rungHold || l.fading != nil) {
		return l.level, ""
	}
	if i := l.best(0, now); i >= 0 && i < l.level {
		if l.rungs[i].made == 0 {
			return i, ChangeLoaded
		}
		return i, ChangeFast
	}
	if l.rungs[l.level].slow && now.Sub(l.since) >= rungHold {
		return l.lighter(now), ChangeSlow
	}
	return l.level, ""
}

// best returns the best usable rung from i down that would hold the rate, else the last usable one, else -1.
func (l *ladder) best(i int, now time.Time) int {
	last := -1
	for ; i < len(l.rungs); i++ {
		if !l.usable(i) {
			continue
		}
		last = i
		if r := &l.rungs[i]; !r.slow && (i >= l.level || !r.resting(now, l.interval)) {
			return i
		}
	}
	return last
}

// lighter returns the rung that takes over from one that is too slow: the next one that holds the rate. One that is not
// open yet is opened first, so that there is one change and not two; then the level stays as it is for now.
func (l *ladder) lighter(now time.Time) int {
	for i := l.level + 1; i < len(l.rungs); i++ {
		r := &l.rungs[i]
		if r.ready == nil && r.failed == nil || r.measuring {
			signal(l.wake)
			return l.level
		}
		if l.usable(i) && !r.slow {
			return i
		}
	}
	if i := l.best(l.level+1, now); i >= 0 && l.rungs[i].cost < l.rungs[l.level].cost {
		return i
	}
	return l.level
}

// change lets another rung serve from now on; the lock is held.
func (l *ladder) change(to int, reason string, now time.Time) {
	from := l.level
	name := ""
	if from >= 0 {
		old := &l.rungs[from]
		name = old.name
		if reason == ChangeSlow {
			old.gaveWay(now, now.Sub(l.since), l.interval)
		}
		attrs := []any{
			"enhancer", l.rungs[to].name, "instead_of", name, "ms_per_picture", round1(old.cost.Seconds() * 1e3),
			"ms_between_pictures", round1(l.interval.Seconds() * 1e3),
		}
		switch reason {
		case ChangeSlow:
			l.log.Warn("a lighter enhancer takes over, since this machine cannot hold the frame rate with the better one", attrs...)
		case ChangeFast:
			attrs[5] = round1(l.rungs[to].cost.Seconds() * 1e3)
			l.log.Info("the better enhancer returns, since it can hold the frame rate again", attrs...)
		}
		l.fading = nil
		if l.live && l.usable(from) {
			l.fading = &fade{from: from, began: now}
			l.fading.next(now)
		}
	}
	l.level, l.since, l.samples = to, now, l.samples[:0]
	l.stopgap = slices.ContainsFunc(l.rungs[:to], func(r rung) bool { return r.ready == nil && r.failed == nil })
	l.onChange(name, l.rungs[to].name, reason)
	signal(l.wake)
}

// idleAbove reports whether a rung is better than the one that serves and free to be measured; the lock is held.
func (l *ladder) idleAbove(i int) bool {
	return l.live && l.prefer == "" && i < l.level && l.usable(i) && (l.fading == nil || l.fading.from != i)
}

// wouldServe reports whether a rung is better than everything that is open beside it; the lock is held.
func (l *ladder) wouldServe(i int) bool {
	return !slices.ContainsFunc(l.rungs[:i], func(r rung) bool { return r.ready != nil && !r.slow })
}

// measure lets a rung that does not serve make a picture, to know whether it would hold the rate now.
func (l *ladder) measure(ctx context.Context, i int) {
	l.mu.Lock()
	r := &l.rungs[i]
	if !l.idleAbove(i) { // it has begun to serve
		l.mu.Unlock()
		return
	}
	r.measuring = true
	e := r.ready
	l.mu.Unlock()
	cost, err := l.try(ctx, e, triesToServe)
	if err != nil && ctx.Err() == nil {
		e.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.measuring = false
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.fail(i, err)
	default:
		r.measured(cost, time.Now(), l.interval)
	}
}

// try measures up to n times, until one is fast enough, and returns the least.
func (l *ladder) try(ctx context.Context, e Enhancer, n int) (time.Duration, error) {
	var least time.Duration
	for i := range n {
		d, err := e.Try()
		if err != nil {
			return 0, err
		}
		if i == 0 || d < least {
			least = d
		}
		l.mu.Lock()
		enough := l.interval == 0 || least.Seconds() < fastBelow*l.interval.Seconds()
		l.mu.Unlock()
		if enough || ctx.Err() != nil {
			break
		}
	}
	return least, ctx.Err()
}
