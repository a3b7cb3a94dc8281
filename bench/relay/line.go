package relay

import (
	"math/rand/v2"
	"slices"
)

// Faults are what happens to RTP packets on their way to the reader. Probabilities are per packet, from 0 to 1.
type Faults struct {
	Loss      float64
	Duplicate float64
	Reorder   float64
	Distance  int // a reordered packet comes after so many later ones at most; 0 is 1
}

// Counts says what happened so far.
type Counts struct {
	Passed     int64 // RTP packets that went on, each once; the following two are part of them
	Reordered  int64
	Duplicated int64
	Dropped    int64
}

// line decides about the packets of one track. The same seed decides the same about the same packet, whatever
// happens in other tracks. Not safe for concurrent use.
type line struct {
	random *rand.Rand
	n      int64  // packets so far
	held   []held // reordered packets that wait for later ones
	counts Counts
}

type held struct {
	packet []byte
	until  int64 // it follows the packet of this number
}

func newLine(seed, track uint64) *line { return &line{random: rand.New(rand.NewPCG(seed, track))} }

// pass takes a packet, which it may keep, and returns what goes on now, in this order.
func (l *line) pass(f Faults, packet []byte) (out [][]byte) {
	// Always the same draws, so that changed faults don't change the dice of later packets.
	loss, duplicate, reorder, distance := l.random.Float64(), l.random.Float64(), l.random.Float64(), l.random.Float64()
	l.n++
	if loss < f.Loss {
		l.counts.Dropped++
	} else {
		l.counts.Passed++
		copies := [][]byte{packet}
		if duplicate < f.Duplicate {
			l.counts.Duplicated++
			copies = append(copies, packet)
		}
		if reorder < f.Reorder {
			l.counts.Reordered++
			until := l.n + 1 + int64(distance*float64(max(f.Distance, 1)))
			for _, c := range copies {
				l.held = append(l.held, held{c, until})
			}
		} else {
			out = copies
		}
	}
	l.held = slices.DeleteFunc(l.held, func(h held) bool {
		due := h.until <= l.n
		if due {
			out = append(out, h.packet)
		}
		return due
	})
	return out
}
