package webrtc

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/webrtc/v4"

	"rave/egress/capture"
	"rave/egress/gate"
	"rave/engine/signalling"
)

// Bounds of what waits for one viewer. What is older than that is not live any more.
const (
	queueUnits = 256
	queueBytes = 16 << 20
	queueAge   = time.Second
)

// viewer is one peer that watches a path.
type viewer struct {
	path     *Path
	resource *signalling.Resource
	pc       *pion.PeerConnection
	video    *track
	sound    *track // nil: none
	pace     *pacer
	stop     chan struct{}
	once     sync.Once
	loops    sync.WaitGroup        // those of ours
	lost     atomic.Bool           // it has asked for a keyframe and none has been sent since
	expiry   *time.Timer           // of the time to connect
	batch    atomic.Pointer[batch] // nil: its packets do not go over UDP

	// With path.mu:
	gone    bool
	forget  func() bool       // it does not end with what it was granted any more; nil: it did not before
	gate    *gate.Gate[*unit] // nil: not connected yet
	wants   *feed             // where its video comes from if its network carries that
	picture *feed             // where its video comes from now,
	next    *feed             // and will from the next keyframe there; nil: no change
	listens *feed             // where its sound comes from; nil: none
	rest    time.Duration     // before it tries the full picture again: at retry
	retry   time.Time         //
	stepped time.Time         // when it went back to the full picture
}

// uses reports whether a feed is sent to the viewer, or soon will be. It needs path.mu.
func (v *viewer) uses(f *feed) bool { return v.picture == f || v.next == f || v.listens == f }

// renditions names what the viewer is given in place of the stream as it is, the picture first. It needs path.mu.
func (v *viewer) renditions() []string {
	var names []string
	for _, f := range []*feed{v.picture, v.listens} {
		if f != nil && f.name != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// h264 reports whether the viewer can be sent H.264, as all renditions of the picture are.
func (v *viewer) h264() bool { return v.video.plain.MimeType != "" }

// takes reports whether a unit of a feed is for the viewer, which follows from one feed to another at a keyframe. It needs
// path.mu.
func (v *viewer) takes(f *feed, u *unit) bool {
	switch {
	case v.gate == nil:
		return false
	case !u.Video():
		return f == v.listens
	case f == v.next && u.Keyframe():
		v.path.shifted = v.path.shifted || v.picture != f
		v.picture, v.next = f, nil
	}
	return f == v.picture
}

// start begins to send: the peer is connected.
func (v *viewer) start() {
	p := v.path
	p.mu.Lock()
	if v.gone || v.gate != nil {
		p.mu.Unlock()
		return
	}
	v.pace.meter.ask(time.Now(), meterFirst)
	units := v.picture.start()
	v.gate = gate.New(gate.Limits{Units: queueUnits, Bytes: queueBytes, Age: queueAge}, true, units)
	v.loops.Go(v.run)
	p.mu.Unlock()
	v.expiry.Stop()
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
		now := time.Now()
		captured := reports.At(&v.path.wall, u.pkt.PTS, now)
		t := v.sound
		if u.Video() {
			t = v.video
			if u.Keyframe() {
				v.lost.Store(false)
			}
			v.watchNetwork(now, u)
		}
		first := t.last == nil
		if !v.send(t, u, captured) {
			return
		}
		if first || now.Sub(reported) >= capture.ReportPeriod {
			v.report(u, captured)
			reported = now
		}
	}
}

// send sends one unit whole; false when the viewer goes.
func (v *viewer) send(t *track, u *unit, captured time.Time) bool {
	b := t.bound.Load()
	if b == nil {
		return true // not negotiated: it takes none of these
	}
	t.begin(u)
	out := v.batch.Load()
	out.hold()
	defer out.release()
	for i, payload := range u.payloads {
		if !v.pace.wait(len(payload), v.stop, out.flush) {
			return false
		}
		switch err := t.write(b, u, i, captured); {
		case errors.Is(err, io.ErrClosedPipe): // such as a TCP connection that was cut
			go v.close("its connection is gone") // which waits for this goroutine
			return false
		case err != nil:
			return true // ICE finds another way, or gives up
		}
	}
	v.path.sent.Add(uint64(u.Size()))
	return true
}

// route is told of the way that ICE has found to the viewer.
func (v *viewer) route(pair *pion.ICECandidatePair) {
	var next *batch
	to, err := netip.ParseAddr(pair.Remote.Address)
	if err == nil && pair.Remote.Protocol == pion.ICEProtocolUDP && pair.Local.Typ != pion.ICECandidateTypeRelay {
		next = v.path.server.socket.begin(netip.AddrPortFrom(to, pair.Remote.Port))
	}
	v.path.mu.Lock()
	if !v.gone { // else close may have ended the one before already
		next = v.batch.Swap(next)
	}
	v.path.mu.Unlock()
	next.end()
}

// watchNetwork asks for less when the network turns out to be too slow for what the viewer is sent.
func (v *viewer) watchNetwork(now time.Time, u *unit) {
	before := v.pace.limited
	v.pace.observe(now, u.packer.need())
	if !v.pace.limited || before {
		return
	}
	p := v.path
	p.mu.Lock()
	shifted := v.slower(now)
	p.mu.Unlock()
	p.log.Info("a viewer's network is too slow for the stream", "viewer", v.resource.ID[:8], "small_picture", shifted,
		"carries_kbps", v.pace.estimate.GetTargetBitrate()/1000, "needs_kbps", int(u.packer.need())/1000)
	if shifted {
		p.tellDemand()
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
			v.pace.meter.reported(time.Now(), sr.NTPTime)
		}
	}
	_ = v.pc.WriteRTCP(packets) // as with packets
}

// listen takes what the viewer says of a track, until the peer is closed. Nonsense is passed over, for a while.
func (v *viewer) listen(sender *pion.RTPSender) {
	const patience = 100
	for nonsense := 0; nonsense < patience; {
		packets, _, err := sender.ReadRTCP()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrClosedPipe):
			return
		case err != nil:
			nonsense++
			continue
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

// endWith ends the viewer when ctx ends.
func (v *viewer) endWith(ctx context.Context) {
	v.path.mu.Lock()
	defer v.path.mu.Unlock()
	if !v.gone {
		v.forget = context.AfterFunc(ctx, func() { v.close(context.Cause(ctx).Error()) })
	}
}

// close ends the viewer and waits for it.
func (v *viewer) close(reason string) {
	v.once.Do(func() {
		v.path.detach(v)
		if v.forget != nil { // which does not change any more
			v.forget()
		}
		v.path.log.Info("a viewer has gone", "viewer", v.resource.ID[:8], "why", reason)
		close(v.stop)
		v.expiry.Stop()
		v.path.server.ClosePeer(v.pc)
		v.loops.Wait()
		v.batch.Swap(nil).end()
		v.path.server.leave()
	})
}
