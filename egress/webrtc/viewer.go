package webrtc

import (
	"crypto/rand"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"rave/egress/capture"
	"rave/egress/gate"
)

// Bounds of what waits for one viewer. What is older than that is not live any more.
const (
	queueUnits = 256
	queueBytes = 16 << 20
	queueAge   = time.Second
)

// viewer is one peer that watches a path.
type viewer struct {
	path   *Path
	id     string
	etag   string
	pc     *pion.PeerConnection
	video  *track
	sound  *track // nil: none
	stop   chan struct{}
	once   sync.Once
	loops  sync.WaitGroup // those of ours
	lost   atomic.Bool    // it has asked for a keyframe and none has been sent since
	expiry *time.Timer    // of the time to connect

	// With path.mu:
	gate      *gate.Gate[*unit] // nil: not connected yet
	picture   *feed             // where its video comes from,
	next      *feed             // and will from the next keyframe there; nil: no change
	listens   *feed             // where its sound comes from; nil: none
	connected bool
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// uses reports whether what the viewer negotiated depends on a feed. It needs path.mu.
func (v *viewer) uses(f *feed) bool { return v.picture == f || v.next == f || v.listens == f }

// takes reports whether a unit of a feed is for the viewer, which follows from one feed to another at a keyframe. It needs
// path.mu.
func (v *viewer) takes(f *feed, u *unit) bool {
	switch {
	case v.gate == nil:
		return false
	case !u.Video():
		return f == v.listens
	case f == v.next && u.Keyframe():
		v.picture, v.next = f, nil
	}
	return f == v.picture
}

// start begins to send: the peer is connected.
func (v *viewer) start() {
	p := v.path
	p.mu.Lock()
	if v.connected {
		p.mu.Unlock()
		return
	}
	v.connected = true
	units := v.picture.start()
	v.gate = gate.New(gate.Limits{Units: queueUnits, Bytes: queueBytes, Age: queueAge}, true, units)
	p.mu.Unlock()
	v.expiry.Stop()
	select {
	case <-v.stop:
		return
	default:
	}
	v.loops.Go(v.run)
	if len(units) == 0 {
		p.keyframe()
	}
}

// run sends units, with reports between them.
func (v *viewer) run() {
	var reports capture.Reporter
	var reported time.Time
	for {
		u, ok := v.gate.Next(v.stop)
		if !ok {
			return
		}
		t := v.sound
		if u.Video() {
			t = v.video
			if u.Keyframe() {
				v.lost.Store(false)
			}
		}
		b := t.bound.Load()
		if b == nil {
			continue
		}
		first := t.last == nil
		now := time.Now()
		captured := reports.At(&v.path.wall, u.pkt.PTS, now)
		for i := range u.payloads {
			if t.write(b, u, i, captured) != nil {
				break // the peer is going: its state says so
			}
		}
		v.path.sent.Add(uint64(u.Size()))
		if first || now.Sub(reported) >= capture.ReportPeriod {
			v.report(u, captured)
			reported = now
		}
	}
}

// report sends a sender report for each track.
func (v *viewer) report(u *unit, captured time.Time) {
	var packets []rtcp.Packet
	for _, t := range []*track{v.video, v.sound} {
		if t == nil {
			continue
		}
		if sr := t.report(u.pkt.PTS, captured); sr != nil {
			packets = append(packets, sr)
		}
	}
	_ = v.pc.WriteRTCP(packets) // as with packets
}

// listen takes what the viewer says of a track, until the peer is closed.
func (v *viewer) listen(sender *pion.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, pkt := range packets {
			switch pkt.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				v.lost.Store(true)
				v.path.keyframe()
			}
		}
	}
}

// behind is told that the viewer has fallen behind. It needs path.mu.
func (v *viewer) behind() {
}

// close ends the viewer and waits for it.
func (v *viewer) close(reason string) {
	v.once.Do(func() {
		v.path.log.Info("a viewer has gone", "viewer", v.id[:8], "reason", reason)
		close(v.stop)
		v.expiry.Stop()
		v.path.detach(v)
		v.path.server.ClosePeer(v.pc)
		v.loops.Wait()
		v.path.server.leave()
	})
}
