package soak

import (
	"math/rand/v2"
	"time"
)

// Kind is a way in which a camera misbehaves.
type Kind string

// Kinds of faults. In each but the last the camera, or the way to it, is ill for the whole of Planned.Length.
const (
	Killed   Kind = "killed"   // the camera's process gets SIGKILL and is started again at the end
	Stopped  Kind = "stopped"  // SIGSTOP, at the end SIGCONT
	Lossy    Kind = "lossy"    // 5 % of its RTP packets are lost, 5 % reordered, 1 % doubled
	Resized  Kind = "resized"  // it sends another size
	Jumping  Kind = "jumping"  // its time stamps jump ahead by 20 s, back, and stand still
	Garbage  Kind = "garbage"  // every tenth access unit is noise
	Silent   Kind = "silent"   // connections are taken, after half a second no picture follows
	Workless Kind = "workless" // the worker process of its stream gets SIGKILL, once
)

// Kinds are all of them.
func Kinds() []Kind {
	return []Kind{Killed, Stopped, Lossy, Resized, Jumping, Garbage, Silent, Workless}
}

// Planned is a fault to come.
type Planned struct {
	Kind   Kind
	Start  time.Duration // since the schedule's start
	Length time.Duration
}

// End is when all is well again.
func (p Planned) End() time.Duration { return p.Start + p.Length }

// Schedule plans faults up to length: 10 to 40 s each, with 20 to 40 s of calm before each and 30 s after the last.
// Every kind comes once before one comes again. The same seed plans the same.
func Schedule(seed uint64, length time.Duration) []Planned {
	random := rand.New(rand.NewPCG(seed, 1))
	between := func(from, to int) time.Duration {
		return time.Duration(1000*from+random.IntN(1000*(to-from))) * time.Millisecond
	}
	var plan []Planned
	var kinds []Kind
	for at := time.Duration(0); ; {
		if len(kinds) == 0 {
			kinds = Kinds()
			random.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		}
		p := Planned{Kind: kinds[0], Start: at + between(20, 40), Length: between(10, 40)}
		if p.Kind == Workless {
			p.Length = 0
		}
		if p.End()+30*time.Second > length {
			return plan
		}
		plan, kinds, at = append(plan, p), kinds[1:], p.End()
	}
}
