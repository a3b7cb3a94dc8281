package whep

import (
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Counter counts what one viewer is sent of H.264. Its Packet is for Config.OnPacket.
type Counter struct {
	mu       sync.Mutex
	key      uint32 // timestamp of the keyframe that is coming in
	inKey    bool
	keyed    chan struct{} // closed when the first keyframe is whole
	first    time.Time     // when that was
	pictures int
	last     time.Time
	gap      time.Duration
	started  bool
	base     int64          // the highest sequence number, without wrapping
	missing  map[int64]bool // those below it that have not come yet
}

// NewCounter makes a Counter.
func NewCounter() *Counter {
	return &Counter{keyed: make(chan struct{}), missing: map[int64]bool{}}
}

// Keyframe is closed when the first keyframe is there as a whole.
func (c *Counter) Keyframe() <-chan struct{} { return c.keyed }

// Count is what has come since the first keyframe.
type Count struct {
	First    time.Time     `json:"first"`    // when the first keyframe was whole; zero: never
	Pictures int           `json:"pictures"` // after it
	Lost     int           `json:"lost"`     // packets that never came
	Gap      time.Duration `json:"gap"`      // the longest time between two pictures
}

// Count returns what has been counted.
func (c *Counter) Count() Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Count{First: c.first, Pictures: c.pictures, Lost: len(c.missing), Gap: c.gap}
}

// Packet takes a packet.
func (c *Counter) Packet(kind webrtc.RTPCodecType, pkt *rtp.Packet) {
	if kind != webrtc.RTPCodecTypeVideo {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sequence(pkt.SequenceNumber)
	if c.first.IsZero() && beginsKeyframe(pkt.Payload) {
		c.inKey, c.key = true, pkt.Timestamp
	}
	if !pkt.Marker {
		return
	}
	now := time.Now()
	switch {
	case !c.first.IsZero():
		c.pictures++
		c.gap = max(c.gap, now.Sub(c.last))
	case c.inKey && pkt.Timestamp == c.key:
		c.first = now
		close(c.keyed)
	}
	c.last = now
}

// sequence takes note of a number and of those that it skips. It needs mu.
func (c *Counter) sequence(n uint16) {
	if !c.started {
		c.started, c.base = true, int64(n)
		return
	}
	at := c.base + int64(int16(n-uint16(c.base)))
	for missing := c.base + 1; missing < at; missing++ {
		c.missing[missing] = true
	}
	delete(c.missing, at)
	c.base = max(c.base, at)
}

// beginsKeyframe reports whether a payload has an IDR or its parameter sets (RFC 6184 section 5).
func beginsKeyframe(p []byte) bool {
	const idr, sps, stapA, fuA = 5, 7, 24, 28
	if len(p) < 2 {
		return false
	}
	switch typ := p[0] & 0x1f; typ {
	case idr, sps:
		return true
	case stapA:
		return len(p) > 3 && (p[3]&0x1f == sps || p[3]&0x1f == idr)
	case fuA:
		return p[1]&0x80 != 0 && p[1]&0x1f == idr
	default:
		return false
	}
}
