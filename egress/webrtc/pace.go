package webrtc

import "time"

// Of pacing. Pictures differ in size: they may leave faster than the network carries in the mean, as WebRTC does it, so
// that a keyframe is there soon and no queue on the way overflows. A viewer whose network is too slow gets no more than that
// carries: what is too much waits here, where whole pictures can be given up.
const (
	firstEstimate = 20_000_000 // bits per second, before anything is known
	leastEstimate = 100_000
	mostEstimate  = 200_000_000

	paceFactor  = 2.5
	burstTime   = 20 * time.Millisecond
	leastBurst  = 8 * 1200  // bytes
	mostBurst   = 64 * 1200 //
	shortOf     = 0.6       // of what the stream needs: clearly too slow
	shortWithin = 5 * time.Second
)

// estimator is what congestion control says: how many bits per second the network carries.
type estimator interface{ GetTargetBitrate() int }

// pacer spreads what one viewer is sent, and finds out whether its network can carry the stream. It is its goroutine's.
type pacer struct {
	estimate estimator
	meter    meter
	limited  bool // the network is too slow

	rate   float64 // bytes per second
	credit float64 // bytes
	last   time.Time
	short  time.Time // since when the estimate is far below what the stream needs; zero if it is not
}

// observe looks at the estimate, before each picture; need is what the stream takes in bits per second, 0 if that is not known.
func (p *pacer) observe(now time.Time, need float64) {
	target := float64(p.estimate.GetTargetBitrate())
	switch {
	case target >= shortOf*need:
		p.short = time.Time{}
		p.limited = p.limited && target < need
	case p.short.IsZero():
		p.short = now
	case now.Sub(p.short) > shortWithin:
		p.limited = true
	}
	if p.limited || !p.short.IsZero() {
		p.meter.ask(now, meterAgain) // until it is known to have passed
	}
	factor := paceFactor
	if p.limited {
		factor = 1
	}
	p.rate = max(target, leastEstimate) * factor / 8
}

// wait returns when size bytes may be sent; false when stop is closed before. pause is called if that takes its time.
func (p *pacer) wait(size int, stop <-chan struct{}, pause func()) bool {
	for {
		now := time.Now()
		burst := max(leastBurst, min(mostBurst, p.rate*burstTime.Seconds()))
		p.credit = min(burst, p.credit+now.Sub(p.last).Seconds()*p.rate)
		p.last = now
		if p.credit >= 0 {
			p.credit -= float64(size) // below zero: the next one waits
			return true
		}
		pause()
		turn := time.NewTimer(max(time.Millisecond, time.Duration(-p.credit/p.rate*float64(time.Second))))
		select {
		case <-turn.C:
		case <-stop:
			turn.Stop()
			return false
		}
	}
}
