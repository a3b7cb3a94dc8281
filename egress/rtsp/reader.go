package rtsp

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

// packetWriter is what a reader needs of gortsplib.ServerSession.
type packetWriter interface {
	WritePacketRTP(*description.Media, *rtp.Packet) error
	WritePacketRTCP(*description.Media, rtcp.Packet) error
}

var _ packetWriter = (*gortsplib.ServerSession)(nil)

// limits bound a reader's queue.
type limits struct{ units, bytes int }

// reader feeds one session. Units wait in a queue that push fills and a goroutine of its own empties.
type reader struct {
	out    packetWriter
	tracks []readerTrack
	video  bool // it has set up video
	limits limits
	pace   *pacer // nil: TCP, which paces by itself
	wall   *wallClock
	sent   *atomic.Uint64 // payload bytes, of the path

	mu      sync.Mutex
	backlog []*unit // the group of pictures that it starts with; not limited
	queue   []*unit
	bytes   int  // in queue
	started bool // a keyframe has come, or there is no video
	skips   bool // it has fallen behind and waits for a keyframe
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// readerTrack is owned by the reader's goroutine, but for the fields that newReader fills.
type readerTrack struct {
	*outTrack
	on      bool // set up by this reader
	seq     uint16
	packets uint32
	octets  uint32
}

// start makes the reader's goroutine. stopAndWait ends it.
func (r *reader) start(gop []*unit) {
	r.backlog, r.started = gop, len(gop) > 0 || !r.video
	r.wake, r.stop, r.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go r.run()
}

func (r *reader) stopAndWait() {
	close(r.stop)
	<-r.done
}

// push offers a unit. It never waits. dropped is the number of access units that this reader will not get because it is
// slow; waits says that it needs a keyframe from now on.
func (r *reader) push(u *unit) (dropped int, waits bool) {
	if !r.tracks[u.track].on {
		return 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := u.keyframe && u.video
	switch {
	case !r.started && !entry:
		return 0, false // nothing to show yet
	case r.skips && !entry:
		return r.count(u), false
	case r.skips || len(r.queue) >= r.limits.units || r.bytes+u.bytes > r.limits.bytes && len(r.queue) > 0:
		if dropped, waits = r.skip(u); waits {
			return dropped, true
		}
	}
	r.started, r.skips = true, false
	r.queue = append(r.queue, u)
	r.bytes += u.bytes
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return dropped, false
}

// skip makes room for u: what waits before the newest keyframe goes. If there is none, all goes and the reader waits
// for one, u included. A reader without video loses what waits.
func (r *reader) skip(u *unit) (dropped int, waits bool) {
	from := len(r.queue)
	switch {
	case u.keyframe && u.video, !r.video, r.skips:
	default:
		for from--; from > 0 && !(r.queue[from].video && r.queue[from].keyframe); from-- {
		}
		if from <= 0 {
			from, r.skips = len(r.queue), true
		}
	}
	for _, old := range r.queue[:from] {
		r.bytes -= old.bytes
		dropped += r.count(old)
	}
	r.queue = append([]*unit(nil), r.queue[from:]...)
	if r.skips && !(u.keyframe && u.video) {
		return dropped + r.count(u), true
	}
	return dropped, false
}

// count is 1 for what drops are counted in: pictures, or packets of sound if there is no video.
func (r *reader) count(u *unit) int {
	if u.video || !r.video {
		return 1
	}
	return 0
}

// next takes the next unit; nil when the reader is stopped.
func (r *reader) next() *unit {
	for {
		r.mu.Lock()
		if len(r.backlog) > 0 {
			u := r.backlog[0]
			r.backlog = r.backlog[1:]
			r.mu.Unlock()
			return u
		}
		if len(r.queue) > 0 {
			u := r.queue[0]
			r.queue[0] = nil
			r.queue = r.queue[1:]
			r.bytes -= u.bytes
			r.mu.Unlock()
			return u
		}
		r.mu.Unlock()
		select {
		case <-r.wake:
		case <-r.stop:
			return nil
		}
	}
}

// run sends units with reports between them: one for each track before everything, since players align tracks by them,
// one after the first unit of each track, since some receivers ignore a report before they know its source, and then
// every few seconds.
func (r *reader) run() {
	defer close(r.done)
	var reported time.Time
	var reports reporter
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		u := r.next()
		if u == nil {
			return
		}
		t := &r.tracks[u.track]
		first := t.packets == 0
		if reported.IsZero() && !r.report(&reports, u.pts) || !r.send(t, u) {
			return
		}
		if now := time.Now(); first || now.Sub(reported) >= reportPeriod {
			if !r.report(&reports, u.pts) {
				return
			}
			reported = now
		}
	}
}

// send writes one unit whole; false when the reader is stopped.
func (r *reader) send(t *readerTrack, u *unit) bool {
	for i, payload := range u.payloads {
		pkt := &rtp.Packet{
			Header: rtp.Header{
				Version: 2, PayloadType: t.format.PayloadType(), SequenceNumber: t.seq, Timestamp: u.rtp, SSRC: t.ssrc,
				Marker: u.marker && i == len(u.payloads)-1,
			},
			Payload: payload,
		}
		if r.pace != nil && !r.pace.wait(r.stop) {
			return false
		}
		if !r.retry(func() error { return r.out.WritePacketRTP(t.media, pkt) }) {
			return false
		}
		t.seq++
		t.packets++
		t.octets += uint32(len(payload))
	}
	r.sent.Add(uint64(u.bytes))
	return true
}

// report writes a sender report for each track (RFC 3550 section 6.4.1): it maps the RTP time of pts to the wall clock
// when that was captured.
func (r *reader) report(reports *reporter, pts time.Duration) bool {
	ntp := reports.at(r.wall, pts, time.Now())
	for i := range r.tracks {
		t := &r.tracks[i]
		if !t.on {
			continue
		}
		sr := &rtcp.SenderReport{
			SSRC: t.ssrc, NTPTime: ntpTime(ntp), RTPTime: t.rtpTime(pts), PacketCount: t.packets, OctetCount: t.octets,
		}
		if !r.retry(func() error { return r.out.WritePacketRTCP(t.media, sr) }) {
			return false
		}
	}
	return true
}

// retry writes until gortsplib's queue has room; false when the reader is stopped. Other errors mean that the session
// ends: it will stop the reader.
func (r *reader) retry(write func() error) bool {
	for wait := time.Millisecond; ; wait = min(2*wait, 16*time.Millisecond) {
		if err := write(); !errors.As(err, &liberrors.ErrServerWriteQueueFull{}) {
			return true
		}
		select {
		case <-r.stop:
			return false
		case <-time.After(wait):
		}
	}
}

// pacer spreads bursts over UDP, where nothing tells that the receiver's socket is full: 64 packets at once, then
// 16,000 a second (180 Mb/s).
type pacer struct {
	credit float64
	last   time.Time
}

func (p *pacer) wait(stop <-chan struct{}) bool {
	const burst, perSecond = 64, 16000
	for {
		now := time.Now()
		p.credit = min(burst, p.credit+now.Sub(p.last).Seconds()*perSecond)
		if p.last = now; p.credit >= 1 {
			p.credit--
			return true
		}
		select {
		case <-stop:
			return false
		case <-time.After(2 * time.Millisecond):
		}
	}
}
