package rtpin

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

// Receiver turns the RTP packets of one connection into media packets. Its methods may be called from several
// goroutines, as gortsplib does with one per UDP port and pion with one per track; the output is called from one at a time.
type Receiver struct {
	onDrop func(reason string, n int)
	jumps  *Jumps
	failed chan struct{} // closed when the output has returned an error
	heard  atomic.Uint64 // packets of all kinds so far

	mu        sync.Mutex
	clock     *ingest.Clock
	inputs    []*Input
	out       media.Output // nil: nobody listens
	announced bool
	delivered bool
	closed    bool
	err       error // the output's
	unit      ntpUnit
	udp       bool // see hold
}

// NewReceiver makes one for a connection. The clock and the jumps are the stream's, and guarded by the Receiver while it is
// attached; onDrop is told of what is not passed on, and must not block.
func NewReceiver(clock *ingest.Clock, jumps *Jumps, onDrop func(reason string, n int)) *Receiver {
	return &Receiver{clock: clock, jumps: jumps, onDrop: onDrop, failed: make(chan struct{})}
}

// Take sets what is received. It comes before the first packet.
func (r *Receiver) Take(inputs ...*Input) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inputs = inputs
}

// Attach begins delivery to out. The tracks are announced by Start or by the first packet, whichever comes first.
func (r *Receiver) Attach(out media.Output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out = out
	r.clock.Connect()
}

// Start announces the tracks.
func (r *Receiver) Start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announce()
}

// Restart announces the tracks once more if nothing has been delivered since: the transport has changed.
func (r *Receiver) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.udp = false
	if r.announced && !r.delivered {
		r.announced = false
		r.announce()
	}
}

// Close ends delivery. When it has returned the output is not called any more.
func (r *Receiver) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.abandon()
}

// announce needs mu.
func (r *Receiver) announce() {
	if r.announced || r.closed || r.out == nil {
		return
	}
	r.announced = true
	tracks := make([]media.Track, len(r.inputs))
	for i, in := range r.inputs {
		tracks[i] = in.Track
	}
	r.fail(r.out.Tracks(tracks))
}

// fail needs mu. After an error nothing is delivered any more.
func (r *Receiver) fail(err error) {
	if err == nil || r.closed {
		return
	}
	r.closed, r.err = true, err
	close(r.failed)
}

// Drop counts what was not taken for a packet at all.
func (r *Receiver) Drop(reason string, n int) { r.onDrop(reason, n) }

// Failed is closed when the output has returned an error.
func (r *Receiver) Failed() <-chan struct{} { return r.failed }

// Heard counts the packets of all kinds so far.
func (r *Receiver) Heard() uint64 { return r.heard.Load() }

// Err returns the error that the output returned, if it did.
func (r *Receiver) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Report takes an RTCP packet.
func (r *Receiver) Report(in *Input, p rtcp.Packet) {
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

// Packet takes an RTP packet: depacketise, stamp, deliver. The packets of a track come in order.
func (r *Receiver) Packet(in *Input, p *rtp.Packet) {
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
func (r *Receiver) pass(in *Input, p *rtp.Packet, arrival time.Time) {
	unit := accessUnit{keyframe: true, rtp: p.Timestamp}
	if in.video == nil {
		unit.data = bytes.Clone(p.Payload) // the buffer that it lies in is larger
	} else {
		var ok bool
		if unit, ok = in.video.push(p); !ok {
			return
		}
	}
	out := media.Packet{Track: in.Track.ID, Data: unit.data, Keyframe: unit.keyframe, Recovery: unit.recovery, Lost: unit.lost, Arrival: arrival, Marker: in.video == nil && p.Marker}
	out.NTP = in.report.at(unit.rtp, p.SSRC, in.Track.ClockRate, &r.unit)
	var ok bool
	out.PTS, out.Discontinuity, ok = r.clock.Map(ingest.Stamp{
		Track: in.Track.ID, Kind: in.Track.Kind, RTP: unit.rtp, Rate: in.Track.ClockRate, Arrival: out.Arrival, NTP: out.NTP,
	})
	if !ok {
		r.onDrop(DropStart, 1)
		return
	}
	if out.Discontinuity && in.placed {
		r.jumps.note(in.Track.Kind, out.Arrival)
	}
	in.placed = true
	if !r.closed { // announcing may have failed
		r.delivered = true
		r.fail(r.out.Packet(out))
	}
}

// Jumps says when a sender's clock cannot be followed: the first time at once, then at most once a minute. It outlives
// connections.
type Jumps struct {
	log  *slog.Logger
	said time.Time
	n    int // since then
}

// NewJumps returns one that has said nothing yet.
func NewJumps(log *slog.Logger) *Jumps { return &Jumps{log: log} }

func (j *Jumps) note(kind media.Kind, now time.Time) {
	if j.n++; now.Sub(j.said) < time.Minute {
		return
	}
	j.log.Warn("the sender's clock has jumped, stood still or run away; its packets are timed by their arrival: check its time settings",
		"track", kind, "times", j.n)
	j.said, j.n = now, 0
}
