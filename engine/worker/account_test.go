package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"rave/engine/media"
)

// pretend is a worker that makes pictures, or drops them as a session does: some packets before they are decoded, some
// pictures before they are made, told before a later picture comes or not at all.
type pretend struct {
	w     *window
	has   []media.Packet
	after time.Duration // makes nothing up to here of what it was given again

	made, told int
	last       time.Duration
}

func (p *pretend) take(rng *rand.Rand) {
	packet, ok := p.w.take()
	switch {
	case !ok:
	case packet.PTS <= p.after: // settled
	case rng.IntN(8) == 0: // dropped before it is decoded
		p.drop()
	default:
		p.has = append(p.has, packet)
	}
}

func (p *pretend) drop() {
	p.told++
	p.w.dropped(1)
}

// work makes a picture of the oldest packet, or drops a newer one.
func (p *pretend) work(rng *rand.Rand) {
	switch {
	case len(p.has) > 1 && rng.IntN(3) == 0:
		i := 1 + rng.IntN(len(p.has)-1)
		p.has = append(p.has[:i:i], p.has[i+1:]...)
		p.drop()
	case len(p.has) > 0:
		p.w.picture(p.has[0].PTS)
		p.made, p.last, p.has = p.made+1, p.has[0].PTS, p.has[1:]
	}
}

func (p *pretend) die(rng *rand.Rand) {
	p.w.rewind(p.last)
	if rng.IntN(4) == 0 {
		p.w.skip()
	}
	p.has, p.after = nil, p.w.resume()
}

// TestEverythingCountsOnce: whenever workers die, and whatever they were about to do, each access unit that was sent
// becomes a picture or is counted as dropped, once.
func TestEverythingCountsOnce(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		counted, sent := 0, 0
		w := newWindow(func(_ string, n int) {
			if n < 0 {
				t.Fatalf("seed %d: %d drops", seed, n)
			}
			counted += n
		}, func() {})
		p := &pretend{w: w, last: never, after: never}
		up := false
		clock := time.Now()
		for range 300 {
			switch action := rng.IntN(20); {
			case action < 8:
				clock = clock.Add(40 * time.Millisecond)
				w.put(media.Packet{PTS: time.Duration(sent) * 40 * time.Millisecond, Arrival: clock, Keyframe: rng.IntN(7) == 0,
					Discontinuity: rng.IntN(40) == 0})
				sent++
			case action == 8 && up:
				p.die(rng)
				up = false
			case action == 9 && !up:
				w.open()
				up = true
			case up && rng.IntN(2) == 0:
				p.take(rng)
			case up:
				p.work(rng)
			}
		}
		w.open()
		for w.next < len(w.packets) {
			p.take(rng)
		}
		for len(p.has) > 0 {
			p.work(rng)
		}
		p.has = []media.Packet{{PTS: p.last + time.Hour}} // what has not come when a later picture comes never will
		open := len(w.account.open) - w.account.credit
		if p.made+p.told+counted != sent || open != 0 {
			t.Fatalf("seed %d: %d pictures and %d + %d drops of %d sent, %d open", seed, p.made, p.told, counted, sent, open)
		}
	}
}
