package ingest

import (
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// Limits of the Clock.
const (
	maxReorder    = 2 * time.Second        // how far back B-frames reach at most
	maxDepth      = 16                     // pictures by which coding and output order differ at most (H.264, H.265)
	maxLead       = 10 * time.Second       // a timestamp this far ahead of its arrival is a jump
	stuckAfter    = 500 * time.Millisecond // equal timestamps for this long: the sender's clock stands still
	minSync       = 5 * time.Millisecond   // lip-sync corrections below this are not worth a step,
	maxSync       = time.Second            // those above it come from a broken sender
	leadWindow    = time.Minute            // see lead
	assumedPeriod = 40 * time.Millisecond  // between two frames, until known
)

// Stamp is a sender's timestamp and what is known about it.
type Stamp struct {
	Track   int
	Kind    media.Kind
	RTP     uint32 // RFC 3550 section 5.1; wraps
	Rate    int    // Hz, above 0
	Arrival time.Time
	NTP     time.Time // sender's wall clock at this timestamp; zero if unknown
}

// Clock maps the RTP timestamps of one stream to its stream time (media.Packet.PTS). It outlives connections.
//
// Guarantees: stream time begins at 0. A new connection continues one frame after the greatest time given so far, or at
// the wall time since the stream was first seen if that is later: nothing of a new connection precedes anything of an
// old one. Within a connection video may step back by up to two seconds (B-frames) and sound always ascends. The tracks
// of a connection share one base: each first packet is placed by its arrival, and once the sender's reports relate the
// tracks (RFC 3550 section 6.4.1), sound is moved to match video. A sender's clock that jumps back, jumps ahead by ten
// seconds or stands still is re-based by arrival.
//
// gortsplib's PacketPTS2 is not used: it gives no times before an IDR, which intra-refresh cameras never send, and
// aligns tracks by arrival only. The zero value is ready; a Clock is not safe for concurrent use, but for Reach.
type Clock struct {
	first  time.Time     // when the stream was first seen; zero: not yet
	max    time.Duration // greatest time given
	period time.Duration // latest distance of two frames
	depth  time.Duration // deepest reordering seen
	beyond atomic.Int64  // time that was given to others than the source, see Reach

	tracks map[int]*track // of this connection
	floor  time.Duration  // all its times are above this
	base   time.Duration  // time of its first packet,
	based  time.Time      // which arrived then
	master *track         // the video track whose reports sound follows
}

type track struct {
	rtp     uint32
	ticks   int64         // sender's time since the track's first packet
	offset  time.Duration // stream time = sender's time + offset
	floor   time.Duration // all times since the last re-basing are above this
	max     time.Duration // greatest time given, or floor
	behind  int           // units in a row that did not exceed max,
	ahead   time.Time     // and the arrival of the last one that did
	changed time.Time     // arrival of the last unit whose timestamp differed from the one before
	stuck   bool
	lead    lead
	zero    time.Time // sender's wall clock at stream time 0, by its reports
}

// Connect begins a new connection, whose timestamps have nothing to do with those before.
func (c *Clock) Connect() {
	c.tracks = map[int]*track{}
	c.based = time.Time{}
	c.master = nil
	c.floor = -1
	if !c.first.IsZero() {
		c.floor = c.max
	}
}

// Map returns the stream time of a packet and whether the track's time has a gap before it. ok is false for a picture
// that would precede the start of its connection (a leading picture, which nothing can decode): it is to be dropped.
func (c *Clock) Map(s Stamp) (pts time.Duration, discontinuity, ok bool) {
	if c.tracks == nil {
		c.Connect()
	}
	t := c.tracks[s.Track]
	if t == nil {
		t = c.add(s)
		pts, discontinuity = t.offset, true
	} else {
		same := s.RTP == t.rtp
		t.ticks += int64(int32(s.RTP - t.rtp))
		t.rtp = s.RTP
		pts, discontinuity = c.check(t, s, same)
	}
	pts = c.sync(t, s, pts)
	if s.Kind != media.Video && pts <= t.max {
		pts = t.max + tick(s.Rate)
	}
	if pts <= t.floor {
		return 0, false, false
	}
	c.advance(t, s, pts)
	return pts, discontinuity, true
}

// add places the first packet of a track by its arrival.
func (c *Clock) add(s Stamp) *track {
	c.Begin(s.Arrival)
	t := &track{rtp: s.RTP, offset: c.base + s.Arrival.Sub(c.based), floor: c.floor, max: c.floor, changed: s.Arrival, ahead: s.Arrival}
	c.tracks[s.Track] = t
	return t
}

// Begin places the connection by the arrival of its first packet; Map does so for whom nothing of the connection waits.
func (c *Clock) Begin(arrival time.Time) {
	if !c.based.IsZero() {
		return
	}
	c.based, c.base = arrival, 0
	if c.first.IsZero() {
		c.first = arrival
	} else {
		c.base = max(max(c.max, time.Duration(c.beyond.Load()))+c.gap(), arrival.Sub(c.first))
	}
}

// Reach says that the stream's time has gone on to pts without its source, as while the last picture is held: what the
// next connection brings comes after that. It may be called from any goroutine.
func (c *Clock) Reach(pts time.Duration) { c.beyond.Store(int64(pts)) }

// HasMaster says that a picture has come with its sender's time: sound that has it, too, is placed by both.
func (c *Clock) HasMaster() bool { return c.master != nil }

// gap is how far a new base must be from the greatest time before, so that reordered pictures find room between.
func (c *Clock) gap() time.Duration {
	if c.period == 0 {
		return assumedPeriod + c.depth
	}
	return c.period + c.depth
}

// check finds jumps of the sender's clock.
func (c *Clock) check(t *track, s Stamp, same bool) (pts time.Duration, jumped bool) {
	pts = media.Duration(t.ticks, s.Rate) + t.offset
	was := t.stuck
	if !same {
		t.changed, t.stuck = s.Arrival, false
	}
	switch {
	case same && s.Arrival.Sub(t.changed) > stuckAfter:
		t.stuck = true
		return c.rebase(t, s, tick(s.Rate)), !was
	case was && !t.stuck, // moves again
		pts < t.max-maxReorder,
		pts <= t.max && s.Kind == media.Video && !same && t.behind >= maxDepth,
		pts <= t.max && s.Kind != media.Video && s.Arrival.Sub(t.ahead) > maxReorder,
		pts-s.Arrival.Sub(c.first) > t.lead.max()+maxLead:
		return c.rebase(t, s, c.gap()), true
	}
	return pts, false
}

// rebase gives the present timestamp the time that its arrival suggests, at least gap after everything before.
func (c *Clock) rebase(t *track, s Stamp, gap time.Duration) time.Duration {
	pts := max(t.max+gap, s.Arrival.Sub(c.first)+t.lead.max())
	t.offset = pts - media.Duration(t.ticks, s.Rate)
	t.floor, t.behind = t.max, 0
	return pts
}

// sync moves sound to where the sender's reports say it belongs beside video.
func (c *Clock) sync(t *track, s Stamp, pts time.Duration) time.Duration {
	if s.NTP.IsZero() {
		return pts
	}
	t.zero = s.NTP.Add(-pts)
	if s.Kind == media.Video {
		if c.master == nil {
			c.master = t
		}
		return pts
	}
	if c.master == nil {
		return pts
	}
	late := t.zero.Sub(c.master.zero)
	if late.Abs() < minSync || late.Abs() > maxSync {
		return pts
	}
	t.offset += late
	return pts + late
}

// advance remembers a time that was given.
func (c *Clock) advance(t *track, s Stamp, pts time.Duration) {
	t.lead.add(pts-s.Arrival.Sub(c.first), s.Arrival)
	c.max = max(c.max, pts)
	if pts <= t.max {
		t.behind++
		c.depth = max(c.depth, min(t.max-pts, maxReorder))
		return
	}
	if d := pts - t.max; s.Kind == media.Video && t.max > t.floor && d <= time.Second {
		c.period = d
	}
	t.max, t.behind, t.ahead = pts, 0, s.Arrival
}

func tick(rate int) time.Duration { return max(media.Duration(1, rate), 1) }

// lead is how far a track's stream time was ahead of its arrival at most, during the last one to two minutes: the
// smallest network delay. The window follows a sender whose clock runs at another speed than ours.
type lead struct {
	current, previous time.Duration
	start             time.Time
}

func (l *lead) add(d time.Duration, arrival time.Time) {
	switch {
	case l.start.IsZero():
		l.current, l.previous, l.start = d, d, arrival
	case arrival.Sub(l.start) > leadWindow:
		l.current, l.previous, l.start = d, l.current, arrival
	default:
		l.current = max(l.current, d)
	}
}

func (l *lead) max() time.Duration { return max(l.current, l.previous) }
