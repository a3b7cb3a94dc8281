package engine

import (
	"context"
	"sync"
	"time"

	"rave/engine/media"
)

// This file is the whole drop policy. Delay never grows, so what cannot be done in time is not done at all, as early
// as possible and never after the expensive stage:
//
//	packets  → decode    Compressed packets refer to each other: none is dropped by itself. While decoding is behind,
//	                     pictures that no other refers to are skipped, and as soon as a newer keyframe waits,
//	                     everything before it goes.
//	frames   → enhance   At most 2 decoded pictures wait; the oldest goes. While a backlog is worked off, late
//	                     pictures go as well, but never for longer than maxFreeze. Those from before the last
//	                     repetition go (still.go).
//	                     Damaged pictures, and those that may refer to lost data, are not shown as good ones: the
//	                     last clean picture stays, but never for longer than maxHeld (damage.go).
//	enhanced → encode    1 waits and the enhancer waits with it: its work is never thrown away.
//
// In replay mode (files) every queue waits and nothing is dropped.
const (
	maxWaitingFrames   = 2
	maxWaitingEnhanced = 1

	// A packet that is this late, with others waiting behind it, is a backlog and not jitter.
	skipAfter = 250 * time.Millisecond
	jumpAfter = 500 * time.Millisecond
	// While a backlog is worked off, one late picture is still shown this often.
	maxFreeze = 500 * time.Millisecond

	// What may wait for the decoder: 10 s at 60 frames/s, and a bound on memory.
	maxWaitingPackets = 600
	maxWaitingBytes   = 64 << 20

	// The smallest offset seen between the sender's and our clock is let go at this rate: the clocks of cameras drift
	// by less.
	driftPerSecond = time.Millisecond
)

// Reasons of drops, as they appear in rave_frames_dropped_total{reason}.
const (
	DropOverload   = "overload"         // frames: the enhancer or encoder cannot hold the rate
	DropLate       = "late"             // frames: made late by a backlog that is being worked off, or from before a repetition
	DropBehind     = "behind"           // packets: a newer keyframe waited
	DropOverflow   = "overflow"         // packets: the bound on memory
	DropKeyframe   = "waiting_keyframe" // packets: refer to something that was lost or dropped
	DropError      = "error"            // the stage failed on it
	DropNoEnhancer = "no_enhancer"      // frames: no rung of quality: has loaded yet
	DropCorrupt    = "corrupt"          // packets: could not be decoded
	DropSkipped    = "skipped"          // packets: no picture refers to them, and decoding is behind
	DropDamaged    = "damaged"          // frames: errors were concealed in them, or in what they refer to
)

// DropReasons lists them.
func DropReasons() []string {
	return []string{DropOverload, DropLate, DropBehind, DropOverflow, DropKeyframe, DropError, DropNoEnhancer, DropCorrupt, DropSkipped, DropDamaged}
}

// lagMeter measures how late a packet is: its time against the smallest offset to the local clock seen so far. (A TCP
// backlog looks fresh on arrival, since all of it arrives now.)
type lagMeter struct {
	anchored bool
	offset   time.Duration // smallest arrival - PTS
	at       time.Time
	epoch    time.Time
}

// observe takes a packet that arrives.
func (m *lagMeter) observe(p media.Packet) {
	if !m.anchored || p.Discontinuity {
		*m = lagMeter{anchored: true, epoch: p.Arrival, at: p.Arrival, offset: -p.PTS}
		return
	}
	m.offset += time.Duration(p.Arrival.Sub(m.at).Seconds() * float64(driftPerSecond))
	m.at = p.Arrival
	m.offset = min(m.offset, p.Arrival.Sub(m.epoch)-p.PTS)
}

// lag returns how late a picture with this PTS is at this moment.
func (m *lagMeter) lag(pts time.Duration, now time.Time) time.Duration {
	if !m.anchored {
		return 0
	}
	return now.Sub(m.epoch) - pts - m.offset
}

// packetQueue holds what waits for the decoder.
type packetQueue struct {
	live bool
	drop func(reason string, n int)

	mu      sync.Mutex
	items   []media.Packet
	bytes   int
	closed  bool
	waitKey bool // everything up to the next keyframe is undecodable
	lost    bool // packets were dropped since the last that was taken
	lag     lagMeter

	filled chan struct{}
	freed  chan struct{}
}

func newPacketQueue(live bool, drop func(reason string, n int)) *packetQueue {
	return &packetQueue{
		live: live, drop: drop, waitKey: true,
		filled: make(chan struct{}, 1), freed: make(chan struct{}, 1),
	}
}

// Put adds a packet. Live it never waits; in replay it waits for room and returns false if ctx ends first.
func (q *packetQueue) Put(ctx context.Context, p media.Packet) bool {
	for !q.live && q.full(p) {
		select {
		case <-ctx.Done():
			return false
		case <-q.freed:
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.live {
		q.lag.observe(p)
		if !q.admit(p) {
			return true
		}
	}
	p.Lost, q.lost = p.Lost || q.lost, false
	q.items = append(q.items, p)
	q.bytes += len(p.Data)
	signal(q.filled)
	return true
}

func (q *packetQueue) full(p media.Packet) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.closed && len(q.items) > 0 && (len(q.items) >= maxWaitingPackets || q.bytes+len(p.Data) > maxWaitingBytes)
}

// admit applies the policy to an arriving packet; the lock is held.
func (q *packetQueue) admit(p media.Packet) bool {
	switch {
	case p.Keyframe:
		q.waitKey = false
		if len(q.items) > 0 && q.lag.lag(q.items[0].PTS, time.Now()) > jumpAfter {
			q.clear(DropBehind)
		}
	case p.Discontinuity:
		q.waitKey = true
	}
	if q.waitKey {
		q.lost = true
		q.drop(DropKeyframe, wanted(p))
		return false
	}
	if len(q.items) >= maxWaitingPackets || q.bytes+len(p.Data) > maxWaitingBytes {
		q.clear(DropOverflow)
		if q.waitKey = !p.Keyframe; q.waitKey {
			q.drop(DropKeyframe, wanted(p))
			return false
		}
	}
	return true
}

func (q *packetQueue) clear(reason string) {
	q.lost = q.lost || len(q.items) > 0
	q.drop(reason, wanted(q.items...))
	q.items, q.bytes = nil, 0
}

// wanted returns how many pictures are lost with these packets.
func wanted(packets ...media.Packet) int {
	n := 0
	for _, p := range packets {
		if !p.DecodeOnly {
			n++
		}
	}
	return n
}

// WaitKeyframe makes everything up to the next keyframe undecodable: after the decoder was rebuilt.
func (q *packetQueue) WaitKeyframe() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, p := range q.items {
		if p.Keyframe {
			q.drop(DropKeyframe, wanted(q.items[:i]...))
			for _, lost := range q.items[:i] {
				q.bytes -= len(lost.Data)
			}
			q.items = q.items[i:]
			q.items[0].Lost = true
			return
		}
	}
	q.waitKey = q.live
	q.clear(DropKeyframe)
}

// Each calls fn with every packet, and whether decoding is behind; like Queue.Each.
func (q *packetQueue) Each(ctx context.Context, fn func(p media.Packet, behind bool) error) error {
	for {
		p, behind, ok, closed := q.take()
		switch {
		case ok:
			if err := fn(p, behind); err != nil {
				return err
			}
		case closed:
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if ok {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.filled:
		}
	}
}

func (q *packetQueue) take() (p media.Packet, behind, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return p, false, false, q.closed
	}
	p = q.items[0]
	q.items[0] = media.Packet{}
	q.items = q.items[1:]
	q.bytes -= len(p.Data)
	behind = q.live && len(q.items) > 2 && q.lag.lag(p.PTS, time.Now()) > skipAfter
	signal(q.freed)
	return p, behind, true, q.closed
}

// Late reports whether a decoded picture should go because it comes out of a backlog that others still wait in.
// shown is when a picture was last let through.
func (q *packetQueue) Late(pts time.Duration, shown, now time.Time) bool {
	if !q.live || now.Sub(shown) > maxFreeze {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) > 2 && q.lag.lag(pts, now) > jumpAfter
}

// Len returns how many packets wait.
func (q *packetQueue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Close lets Each return once the queue is empty.
func (q *packetQueue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.filled)
	signal(q.freed)
}
