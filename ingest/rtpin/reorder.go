package rtpin

import (
	"slices"
	"time"

	"github.com/pion/rtp"
)

// Bounds of a Reorderer.
const (
	manyWaiting  = 8   // see Waits
	mostWaiting  = 512 // packets; then the first gap is given up at once
	mostOutdated = 64  // packets from the past in a row: the sender has started anew
)

// Waits say how long packets wait for one that is missing before them. (gortsplib waits for 64 later ones, which is
// seconds in a slow stream, and then loses those that are just being reordered.)
type Waits struct {
	Few  time.Duration // however few packets come
	Many time.Duration // if 8 have come after the gap
}

// Reorderer puts the packets of one track in order and takes out duplicates. Not safe for concurrent use.
type Reorderer struct {
	waits    Waits
	next     uint16 // expected
	outdated int    // in a row
	waiting  []early
}

// NewReorderer returns one that expects a sequence number.
func NewReorderer(next uint16, waits Waits) *Reorderer { return &Reorderer{next: next, waits: waits} }

// early is a packet that came before one that precedes it.
type early struct {
	packet *rtp.Packet
	at     time.Time
}

// Push takes a packet and returns those that are in order now.
func (r *Reorderer) Push(p *rtp.Packet, now time.Time) []*rtp.Packet {
	if int16(p.SequenceNumber-r.next) < 0 {
		if r.outdated++; r.outdated <= mostOutdated {
			return nil
		}
		r.next, r.waiting = p.SequenceNumber, nil
	}
	r.outdated = 0
	i, found := slices.BinarySearchFunc(r.waiting, p.SequenceNumber, func(e early, seq uint16) int {
		return int(int16(e.packet.SequenceNumber - seq))
	})
	if found {
		return nil
	}
	r.waiting = slices.Insert(r.waiting, i, early{p, now})
	return r.Expire(now)
}

// Expire returns what is in order, once gaps that have lasted too long are given up.
func (r *Reorderer) Expire(now time.Time) (ready []*rtp.Packet) {
	n := 0
	for ; n < len(r.waiting); n++ {
		p := r.waiting[n].packet
		if p.SequenceNumber != r.next && now.Before(r.due(n)) {
			break
		}
		ready = append(ready, p)
		r.next = p.SequenceNumber + 1
	}
	r.waiting = slices.Delete(r.waiting, 0, n)
	return ready
}

// due is when the gap before a waiting packet is given up.
func (r *Reorderer) due(i int) time.Time {
	first, after := r.waiting[i].at, len(r.waiting)-i
	for _, e := range r.waiting[i:] { // they are in order of their numbers and not of their arrival
		if e.at.Before(first) {
			first = e.at
		}
	}
	switch {
	case after > mostWaiting:
		return first
	case after >= manyWaiting:
		return first.Add(r.waits.Many)
	default:
		return first.Add(r.waits.Few)
	}
}

// Missing returns the numbers of the packets that are waited for, the oldest first, at most so many.
func (r *Reorderer) Missing(most int) []uint16 {
	var missing []uint16
	next := r.next
	for _, e := range r.waiting {
		for ; next != e.packet.SequenceNumber && len(missing) < most; next++ {
			missing = append(missing, next)
		}
		next = e.packet.SequenceNumber + 1
	}
	return missing
}

// Deadline is when Expire should be called next; zero if nothing waits.
func (r *Reorderer) Deadline() time.Time {
	if len(r.waiting) == 0 {
		return time.Time{}
	}
	return r.due(0)
}
