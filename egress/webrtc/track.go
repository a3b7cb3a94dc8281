package webrtc

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"rave/egress/capture"
	"rave/engine/media"
)

// Header extensions of ours, beside that of congestion control.
const (
	playoutDelayURI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
	captureTimeURI  = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
)

// track is one track of one viewer: a pion.TrackLocal that numbers packets. But for bound, it is the viewer's goroutine's.
type track struct {
	kind  pion.RTPCodecType
	codec pion.RTPCodecParameters
	plain pion.RTPCodecParameters // H.264, of pictures as they are and of renditions; no MimeType: it takes none
	bound atomic.Pointer[binding]

	seq     uint16
	packets uint32
	octets  uint32
	last    *unit  // that was sent,
	stamp   uint32 // and its RTP timestamp
}

// binding is what the negotiation has found.
type binding struct {
	out         pion.TrackLocalWriter
	ssrc        uint32
	payloadType uint8 // of codec
	plainType   uint8 // of plain
	delayID     uint8 // of the header extensions; 0: not negotiated
	captureID   uint8
}

var _ pion.TrackLocal = (*track)(nil)

func newTrack(kind pion.RTPCodecType, codec, plain pion.RTPCodecParameters) *track {
	var seed [2]byte
	_, _ = rand.Read(seed[:]) // never fails
	return &track{kind: kind, codec: codec, plain: plain, seq: binary.BigEndian.Uint16(seed[:])}
}

// ID, RID, StreamID and Kind implement pion.TrackLocal. One stream id lets browsers keep sound and picture in step.
func (t *track) ID() string              { return t.kind.String() }
func (t *track) RID() string             { return "" }
func (t *track) StreamID() string        { return "rave" }
func (t *track) Kind() pion.RTPCodecType { return t.kind }

// Bind implements pion.TrackLocal.
func (t *track) Bind(ctx pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	all := ctx.CodecParameters()
	find := func(codec pion.RTPCodecParameters) int {
		return slices.IndexFunc(all, func(c pion.RTPCodecParameters) bool { return c.MimeType == codec.MimeType })
	}
	i := find(t.codec)
	if i < 0 {
		return pion.RTPCodecParameters{}, fmt.Errorf("%s has not been negotiated", t.codec.MimeType)
	}
	b := &binding{out: ctx.WriteStream(), ssrc: uint32(ctx.SSRC()), payloadType: uint8(all[i].PayloadType)}
	if j := find(t.plain); j >= 0 {
		b.plainType = uint8(all[j].PayloadType)
	}
	for _, e := range ctx.HeaderExtensions() {
		switch e.URI {
		case playoutDelayURI:
			b.delayID = uint8(e.ID)
		case captureTimeURI:
			b.captureID = uint8(e.ID)
		}
	}
	t.bound.Store(b)
	return all[i], nil // as negotiated: it says whether lost packets are asked for
}

// Unbind implements pion.TrackLocal.
func (t *track) Unbind(pion.TrackLocalContext) error {
	t.bound.Store(nil)
	return nil
}

// playoutDelay lets a browser show pictures at once and gather half a second of them at most: the least and the most delay
// in units of 10 ms, 12 bits each.
func playoutDelay() []byte { return []byte{0, 0, 50} }

// header makes that of the i-th packet of a unit, captured at that time. It is kept for retransmission, which may come
// while it is still being sent: nobody changes it any more.
func (t *track) header(b *binding, u *unit, i int, captured time.Time) (*rtp.Header, error) {
	payloadType := b.payloadType
	if u.packer.track.Codec == media.H264 {
		payloadType = b.plainType
	}
	h := &rtp.Header{
		Version: 2, PayloadType: payloadType, SequenceNumber: t.seq, Timestamp: t.stamp, SSRC: b.ssrc, Marker: u.marker(i),
		Extensions: make([]rtp.Extension, 0, 2),
	}
	if i > 0 {
		return h, nil
	}
	if b.captureID != 0 {
		var ntp [8]byte
		binary.BigEndian.PutUint64(ntp[:], capture.NTP(captured))
		if err := h.SetExtension(b.captureID, ntp[:]); err != nil {
			return nil, fmt.Errorf("capture time: %w", err)
		}
	}
	if b.delayID != 0 && u.Video() && u.Keyframe() {
		if err := h.SetExtension(b.delayID, playoutDelay()); err != nil {
			return nil, fmt.Errorf("playout delay: %w", err)
		}
	}
	return h, nil
}

// begin is called before the packets of a unit. Its timestamp is the unit's own, but never runs back: a small picture comes
// later than the full one of the same time, and the first ones after a change to it are newer than they are by a little.
func (t *track) begin(u *unit) {
	const step = 90 // 1 ms
	stamp := u.rtp
	if t.last != nil && u.Video() && int32(stamp-t.stamp) <= 0 {
		stamp = t.stamp + step
	}
	t.last, t.stamp = u, stamp
}

// write sends one packet of the unit that has begun.
func (t *track) write(b *binding, u *unit, i int, captured time.Time) error {
	h, err := t.header(b, u, i, captured)
	if err != nil {
		return err
	}
	t.seq++
	t.packets++
	t.octets += uint32(len(u.payloads[i]))
	_, err = b.out.WriteRTP(h, u.payloads[i])
	return err
}

// report is a sender report (RFC 3550 section 6.4.1): it maps the RTP time of pts to the wall clock when that was captured.
// Nil before anything has been sent, since players ignore reports of sources that they do not know.
func (t *track) report(pts time.Duration, captured time.Time) *rtcp.SenderReport {
	b := t.bound.Load()
	if b == nil || t.last == nil {
		return nil
	}
	return &rtcp.SenderReport{
		SSRC: b.ssrc, NTPTime: capture.NTP(captured), RTPTime: t.last.packer.rtpTime(pts), PacketCount: t.packets, OctetCount: t.octets,
	}
}
