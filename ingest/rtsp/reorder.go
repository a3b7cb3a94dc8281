package rtsp

import (
	"slices"
	"time"

	"github.com/pion/rtp"
)

// How long packets wait for one that is missing before them: a reordered one comes soon, a lost one never. gortsplib
// waits for 64 later ones, which is seconds in a slow stream, and then loses those that are just being reordered.
const (
	patience     = 250 * time.Millisecond // however few packets come
	shortWait    = 50 * time.Millisecond  // if as many
	manyWaiting  = 8                      // as this have come after the gap
	mostWaiting  = 512                    // packets; then the first gap is given up at once
	mostOutdated = 64                     // packets from the past in a row: the sender has started anew
)

// reorderer puts the packets of one track in order and takes out duplicates. Not safe for concurrent use.
type reorderer struct {
	next     uint16 // expected
	outdated int    // in a row
	waiting  []early
}

// early is a packet that came before one that precedes it.
type early struct {
	packet *rtp.Packet
	at     time.Time
}

// push takes a packet and returns those that are in order now.
func (r *reorderer) push(p *rtp.Packet, now time.Time) []*rtp.Packet {
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
	return r.expire(now)
}

// expire returns what is in order, once gaps that have lasted too long are given up.
func (r *reorderer) expire(now time.Time) (ready []*rtp.Packet) {
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
func (r *reorderer) due(i int) time.Time {
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
		return first.Add(shortWait)
	default:
		return first.Add(patience)
	}
}

// deadline is when expire should be called next; zero if nothing waits.
func (r *reorderer) deadline() time.Time {
	if len(r.waiting) == 0 {
		return time.Time{}
	}
	return r.due(0)
}
