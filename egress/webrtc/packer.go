package webrtc

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/pion/rtp"

	"rave/engine/media"
)

// maxPayload is the largest RTP payload of video: with everything around it (28 bytes IP and UDP, 12 RTP, up to 32 of header
// extensions, 10 SRTP) a packet stays below the 1280 bytes that every path must carry.
const maxPayload = 1188

// maxSound is the largest RTP payload of sound, which is passed on as it is.
const maxSound = 1400

// unit is one access unit or packet of sound, shared by all viewers. What it is of is never changed; pack needs path.mu.
type unit struct {
	packer   *packer
	pkt      media.Packet
	rtp      uint32
	payloads [][]byte // nil: not packed yet
	failed   error    // why it cannot be
}

// Video, Keyframe and Size implement gate.Unit.
func (u *unit) Video() bool    { return u.packer.track.Kind == media.Video }
func (u *unit) Keyframe() bool { return u.pkt.Keyframe }
func (u *unit) Size() int      { return len(u.pkt.Data) }

func (u *unit) pack() error {
	if u.payloads == nil && u.failed == nil {
		u.payloads, u.failed = u.packer.pack(u.pkt.Data)
	}
	return u.failed
}

// marker says whether a payload bears the marker bit.
func (u *unit) marker(i int) bool {
	if u.Video() {
		return i == len(u.payloads)-1
	}
	return u.pkt.Marker
}

// packer makes RTP payloads of one track.
type packer struct {
	track  media.Track
	base   uint32
	barred bool                                       // no browser takes it
	encode func(nals [][]byte) ([]*rtp.Packet, error) // nil: as they are

	// The bitrate, over windows of some seconds; needs path.mu but for rate.
	began time.Time
	bytes int
	rate  atomic.Int64 // bits per second; 0: not known yet
}

// rateWindow is what a bitrate is measured over: keyframes come at least that often, as a rule.
const rateWindow = 4 * time.Second

// measure counts a packet. It needs path.mu.
func (p *packer) measure(now time.Time, size int) {
	if d := now.Sub(p.began); d >= rateWindow {
		if !p.began.IsZero() && d < 2*rateWindow { // else it has paused
			p.rate.Store(int64(float64(p.bytes) * 8 / d.Seconds()))
		}
		p.began, p.bytes = now, 0
	}
	p.bytes += size
}

// need is the bitrate of the track; 0 if it is not known yet.
func (p *packer) need() float64 { return float64(p.rate.Load()) }

func newPacker(t media.Track, base uint32) (*packer, error) {
	p := &packer{track: t, base: base}
	var err error
	switch {
	case t.Codec == media.H264:
		e := &rtph264.Encoder{PacketizationMode: 1, PayloadMaxSize: maxPayload}
		err, p.encode = e.Init(), e.Encode
	case t.Codec == media.H265:
		e := &rtph265.Encoder{PayloadMaxSize: maxPayload}
		err, p.encode = e.Init(), e.Encode
	default:
		p.barred = !soundForBrowsers(t)
	}
	if err != nil {
		return nil, fmt.Errorf("packetise %s: %w", t.Codec, err)
	}
	return p, nil
}

// soundForBrowsers reports whether the sound is one of those that browsers take (RFC 7874 section 3, and G.722).
func soundForBrowsers(t media.Track) bool {
	if t.Kind != media.Audio {
		return false
	}
	switch t.Codec {
	case "opus":
		return true
	case "pcma", "pcmu", "g722":
		return t.ClockRate == 8000 && !strings.HasSuffix(t.RTP.RTPMap, "/2")
	default:
		return false
	}
}

func (p *packer) unit(pkt media.Packet) *unit {
	return &unit{packer: p, pkt: pkt, rtp: p.rtpTime(pkt.PTS)}
}

// rtpTime is the RTP timestamp of a stream time.
func (p *packer) rtpTime(pts time.Duration) uint32 {
	return p.base + uint32(media.Ticks(pts, p.track.ClockRate))
}

func (p *packer) pack(data []byte) ([][]byte, error) {
	if p.encode == nil {
		if len(data) == 0 || len(data) > maxSound {
			return nil, fmt.Errorf("%d bytes of %s do not fit a packet", len(data), p.track.Codec)
		}
		return [][]byte{data}, nil
	}
	var nals [][]byte
	for n := range media.NALUs(data) {
		if len(n) > media.NALHeader(p.track.Codec) {
			nals = append(nals, n)
		}
	}
	if len(nals) == 0 {
		return nil, fmt.Errorf("no NAL unit in %d bytes of %s", len(data), p.track.Codec)
	}
	packets, err := p.encode(nals)
	if err != nil {
		return nil, fmt.Errorf("packetise %s: %w", p.track.Codec, err)
	}
	payloads := make([][]byte, 0, len(packets))
	for _, pkt := range packets {
		payloads = append(payloads, pkt.Payload)
	}
	return payloads, nil
}
