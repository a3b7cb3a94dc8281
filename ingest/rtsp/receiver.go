package rtsp

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest"
)

// receiver turns the RTP packets of one connection into media packets. Its methods may be called from several
// goroutines, as gortsplib does with one per UDP port; the output is called from one at a time.
type receiver struct {
	onDrop func(reason string, n int)
	jumps  *jumps
	failed chan struct{} // closed when the output has returned an error
	heard  atomic.Uint64 // packets of all kinds so far

	mu        sync.Mutex
	clock     *ingest.Clock
	inputs    []*input
	out       media.Output // nil: nobody listens
	announced bool
	delivered bool
	closed    bool
	err       error // the output's
	unit      ntpUnit
	udp       bool // see hold
}

func newReceiver(clock *ingest.Clock, jumps *jumps, onDrop func(string, int)) *receiver {
	return &receiver{clock: clock, jumps: jumps, onDrop: onDrop, failed: make(chan struct{})}
}

// take sets what is received. It comes before the first packet.
func (r *receiver) take(inputs []*input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inputs = inputs
}

// attach begins delivery to out. The tracks are announced by start or by the first packet, whichever comes first.
func (r *receiver) attach(out media.Output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = out
	r.clock.Connect()
}

// start announces the tracks.
func (r *receiver) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announce()
}

// restart announces the tracks once more if nothing has been delivered since: the transport has changed.
func (r *receiver) restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.udp = false
	if r.announced && !r.delivered {
		r.announced = false
		r.announce()
	}
}

// close ends delivery. When it has returned the output is not called any more.
func (r *receiver) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.abandon()
}

// announce needs mu.
func (r *receiver) announce() {
	if r.announced || r.closed || r.out == nil {
		return
	}
	r.announced = true
	tracks := make([]media.Track, len(r.inputs))
	for i, in := range r.inputs {
		tracks[i] = in.track
	}
	r.fail(r.out.Tracks(tracks))
}

// fail needs mu. After an error nothing is delivered any more.
func (r *receiver) fail(err error) {
	if err == nil || r.closed {
		return
	}
	r.closed, r.err = true, err
	close(r.failed)
}

// outputError returns the error that the output returned, if it did.
func (r *receiver) outputError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// report takes an RTCP packet.
func (r *receiver) report(in *input, p rtcp.Packet) {
	r.heard.Add(1)
	sr, ok := p.(*rtcp.SenderReport)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unit.see(sr)
	in.report = senderReport{ssrc: sr.SSRC, ntp: sr.NTPTime, rtp: sr.RTPTime, ok: true}
	r.settle()
}

// packet takes an RTP packet: depacketise, stamp, deliver.
func (r *receiver) packet(in *input, p *rtp.Packet) {
	r.heard.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.out == nil {
		return
	}
	r.announce()
	if in.video == nil && len(p.Payload) == 0 {
		return
	}
	now := time.Now()
	if r.holds(in, p, now) {
		return
	}
	r.pass(in, p, now)
	r.settle()
}

// pass needs mu.
func (r *receiver) pass(in *input, p *rtp.Packet, arrival time.Time) {
	unit := accessUnit{keyframe: true, rtp: p.Timestamp}
	if in.video == nil {
		unit.data = bytes.Clone(p.Payload) // the buffer that it lies in is larger
	} else {
		var ok bool
		if unit, ok = in.video.push(p); !ok {
			return
		}
	}
	out := media.Packet{Track: in.track.ID, Data: unit.data, Keyframe: unit.keyframe, Recovery: unit.recovery, Lost: unit.lost, Arrival: arrival, Marker: in.video == nil && p.Marker}
	out.NTP = in.report.at(unit.rtp, p.SSRC, in.track.ClockRate, &r.unit)
	var ok bool
	out.PTS, out.Discontinuity, ok = r.clock.Map(ingest.Stamp{
		Track: in.track.ID, Kind: in.track.Kind, RTP: unit.rtp, Rate: in.track.ClockRate, Arrival: out.Arrival, NTP: out.NTP,
	})
	if !ok {
		r.onDrop(dropStart, 1)
		return
	}
	if out.Discontinuity && in.placed {
		r.jumps.note(in.track.Kind, out.Arrival)
	}
	in.placed = true
	if !r.closed { // announcing may have failed
		r.delivered = true
		r.fail(r.out.Packet(out))
	}
}

// jumps says when a sender's clock cannot be followed: the first time at once, then at most once a minute.
type jumps struct {
	log  *slog.Logger
	said time.Time
	n    int // since then
}

func (j *jumps) note(kind media.Kind, now time.Time) {
	if j.n++; now.Sub(j.said) < time.Minute {
		return
	}
	j.log.Warn("the sender's clock has jumped, stood still or run away; its packets are timed by their arrival: check its time settings",
		"track", kind, "times", j.n)
	j.said, j.n = now, 0
}
