package engine

import (
	"time"

	"rave/engine/media"
)

// A damaged stream is shown as it is when nothing has mended it for so long.
const maxHeld = time.Second

// damageGate holds back pictures that are damaged or refer to lost data. It belongs to the decode goroutine.
//
// Access units are told in the order of decoding, pictures come in the order of presentation; what joins the two is the
// time of arrival. Losses are known from the ingest, from the queue, from access units that do not decode, from jumps of
// H.264's frame_num (FFmpeg puts an older picture in the place of the missing one and says nothing), and from the decoder.
type damageGate struct {
	frames frameCounter

	lost   bool      // something was, and no whole picture has come out since
	lostAt time.Time // arrival of the first access unit that may refer to it
	next   bool      // the access unit before the next one was not decoded
	whole  bool      // pictures are whole from heal on, as the access unit that came at promised has said
	heal   media.Packet
	left   int // access units up to the next heal; 0: none is promised

	promised, promising time.Time

	held  bool
	since time.Duration // PTS of the first picture that was held back
}

// packet is told of an access unit before it is decoded.
func (g *damageGate) packet(codec media.Codec, p media.Packet) {
	gap := g.frames.gap(codec, p)
	if p.Lost || g.next || gap || p.Discontinuity && p.Recovery > 1 {
		g.lose(p.Arrival)
	}
	g.next = false
	recovery := p.Recovery
	if recovery == 0 && p.Keyframe {
		recovery = 1
	}
	if recovery > 0 && (g.left == 0 || recovery < g.left) {
		g.left, g.promising = recovery, p.Arrival
	}
	if g.left == 0 || recovery != 1 && media.Disposable(codec, p.Data) { // recovery counts what others refer to
		return
	}
	if g.left--; g.left == 0 {
		g.whole, g.heal, g.promised = true, media.Packet{PTS: p.PTS, Arrival: p.Arrival}, g.promising
	}
}

// undecoded is told of an access unit that the decoder refused.
func (g *damageGate) undecoded(codec media.Codec, p media.Packet) {
	g.next = g.next || !media.Disposable(codec, p.Data)
}

// mends reports whether an access unit, an IDR of H.264, ends damage by itself. It gets a new decoder: broken slices leave
// traces in FFmpeg's that spoil even the next IDR, and are told nowhere.
func (g *damageGate) mends(codec media.Codec, p media.Packet) bool {
	return g.lost && codec == media.H264 && p.Keyframe && p.Recovery == 0
}

func (g *damageGate) lose(at time.Time) {
	if !g.lost {
		g.lost, g.lostAt = true, at
	}
	g.whole, g.left = false, 0
}

// clean reports whether a picture may be shown.
func (g *damageGate) clean(f *media.Frame) bool {
	if f.Damaged {
		g.damaged(f.Arrival, f.PTS)
	}
	switch {
	case !g.lost, !f.Damaged && !f.Arrival.IsZero() && f.Arrival.Before(g.lostAt):
		return true
	case g.whole && !f.Arrival.Before(g.heal.Arrival) && f.PTS >= g.heal.PTS:
		g.lost, g.held = false, false
		return true
	case !g.held:
		g.held, g.since = true, f.PTS
	}
	return f.PTS-g.since > maxHeld || f.PTS < g.since
}

// found is told of an access unit in which the decoder found damage. A recovery point may refer to what is missing.
func (g *damageGate) found(p media.Packet, missing bool) {
	at := p.Arrival
	if missing {
		at = at.Add(-1)
	}
	g.damaged(at, p.PTS)
}

// damaged: what came at a time is not what it should be. Promises from before are void, but for that of a picture which
// is presented later: none after that refers to one that leads it.
func (g *damageGate) damaged(at time.Time, pts time.Duration) {
	if !g.lost {
		g.lost, g.lostAt = true, at
	}
	g.whole = g.whole && (g.promised.After(at) || pts < g.heal.PTS)
	if !g.promising.After(at) {
		g.left = 0
	}
}
