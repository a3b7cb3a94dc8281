package rtsp

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/egress/capture"
	"rave/egress/gate"
)

// packetWriter is what a reader needs of gortsplib.ServerSession.
type packetWriter interface {
	WritePacketRTP(*description.Media, *rtp.Packet) error
	WritePacketRTCP(*description.Media, rtcp.Packet) error
}

var _ packetWriter = (*gortsplib.ServerSession)(nil)

// reader feeds one session. Units wait in a gate that push fills and a goroutine of its own empties.
type reader struct {
	out    packetWriter
	tracks []readerTrack
	video  bool // it has set up video
	limits gate.Limits
	pace   *pacer // nil: TCP, which paces by itself
	wall   *capture.Clock
	sent   *atomic.Uint64 // payload bytes, of the path

	gate *gate.Gate[*unit]
	stop chan struct{}
	done chan struct{}
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
	r.gate = gate.New(r.limits, r.video, gop)
	r.stop, r.done = make(chan struct{}), make(chan struct{})
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
	return r.gate.Push(u)
}

// run sends units with reports between them: one for each track before everything, since players align tracks by them,
// one after the first unit of each track, since some receivers ignore a report before they know its source, and then
// every few seconds.
func (r *reader) run() {
	defer close(r.done)
	var reported time.Time
	var reports capture.Reporter
	for {
		select {
		case <-r.stop:
			return
		default:
		}
		u, ok := r.gate.Next(r.stop)
		if !ok {
			return
		}
		t := &r.tracks[u.track]
		first := t.packets == 0
		if reported.IsZero() && !r.report(&reports, u.pts) || !r.send(t, u) {
			return
		}
		if now := time.Now(); first || now.Sub(reported) >= capture.ReportPeriod {
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
func (r *reader) report(reports *capture.Reporter, pts time.Duration) bool {
	ntp := reports.At(r.wall, pts, time.Now())
	for i := range r.tracks {
		t := &r.tracks[i]
		if !t.on {
			continue
		}
		sr := &rtcp.SenderReport{
			SSRC: t.ssrc, NTPTime: capture.NTP(ntp), RTPTime: t.rtpTime(pts), PacketCount: t.packets, OctetCount: t.octets,
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
