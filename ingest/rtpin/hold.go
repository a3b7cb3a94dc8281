package rtpin

import (
	"time"

	"github.com/pion/rtp"
)

const (
	holdTime    = 200 * time.Millisecond // some pictures long: video's report counts with the picture after it
	holdPackets = 64
)

// hold keeps the sound with which a track begins over UDP until it can be placed beside the pictures. Sender reports come
// to a port of their own, which another goroutine reads: the one that was sent ahead of a first packet may be handled
// after it, and that packet would be placed by its arrival. A sender that begins without reports, as cameras do, has its
// first sound passed on late, once, by holdTime at most.
type hold struct {
	over    bool
	packets []held
	timer   *time.Timer
}

type held struct {
	packet  *rtp.Packet
	arrival time.Time
}

// Apart says that reports are handled apart from packets, as over UDP. It comes before the first packet.
func (r *Receiver) Apart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.udp = true
}

// holds needs mu, and tells whether the packet waits.
func (r *Receiver) holds(in *Input, p *rtp.Packet, now time.Time) bool {
	h := &in.hold
	if !r.udp || h.over || in.video != nil {
		return false
	}
	if h.packets = append(h.packets, held{p, now}); len(h.packets) == 1 {
		r.clock.Begin(now) // it is the connection's first packet, wherever it waits
		h.timer = time.AfterFunc(holdTime, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.release(in)
		})
	}
	if len(h.packets) >= holdPackets {
		r.release(in)
	} else {
		r.settle()
	}
	return true
}

// settle needs mu. It releases what can be placed now.
func (r *Receiver) settle() {
	for _, in := range r.inputs {
		if len(in.hold.packets) == 0 || !r.clock.HasMaster() {
			continue
		}
		first := in.hold.packets[0].packet
		if !in.report.at(first.Timestamp, first.SSRC, in.Track.ClockRate, &r.unit).IsZero() {
			r.release(in)
		}
	}
}

// release needs mu.
func (r *Receiver) release(in *Input) {
	h := &in.hold
	if h.over {
		return
	}
	h.over = true
	h.timer.Stop()
	for _, p := range h.packets {
		r.pass(in, p.packet, p.arrival)
	}
	h.packets = nil
}

// abandon needs mu: delivery has ended.
func (r *Receiver) abandon() {
	for _, in := range r.inputs {
		if in.hold.timer != nil {
			in.hold.timer.Stop()
		}
		in.hold.packets, in.hold.over = nil, true
	}
}
