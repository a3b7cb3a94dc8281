package rtsp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/pion/rtp"
	psdp "github.com/pion/sdp/v3"

	"rave/engine/media"
)

// maxPayload is the largest RTP payload, so that an IP packet with it fits 1500 bytes (20 IPv4 or 40 IPv6, 8 UDP, 12
// RTP) and so that gortsplib takes it (1472 with the RTP header).
const maxPayload = 1440

// errTooLarge and errMalformed are the reasons why a packet cannot be sent.
var (
	errTooLarge  = errors.New("too large for RTP over UDP")
	errMalformed = errors.New("malformed")
)

// unit is one access unit or audio packet as RTP payloads, shared by all readers and never changed.
type unit struct {
	track    int // index
	video    bool
	keyframe bool
	pts      time.Duration
	rtp      uint32
	payloads [][]byte
	marker   bool // on the last payload
	bytes    int
}

// Video, Keyframe and Size implement gate.Unit.
func (u *unit) Video() bool    { return u.video }
func (u *unit) Keyframe() bool { return u.keyframe }
func (u *unit) Size() int      { return u.bytes }

// outTrack is one track of a generation.
type outTrack struct {
	track  media.Track
	media  *description.Media
	format format.Format
	base   uint32 // RTP timestamp of stream time 0
	ssrc   uint32
	encode func(data []byte) ([]*rtp.Packet, error) // nil: payloads as they are
	params media.ParameterSets
}

// newOutTrack describes a track in SDP. Video formats are made afresh (packetisation mode 1, our parameter sets), sound
// is described as it came.
func newOutTrack(t media.Track) (*outTrack, error) {
	o := &outTrack{track: t, params: media.ParameterSets{Codec: t.Codec}}
	var seed [4]byte
	_, _ = rand.Read(seed[:]) // never fails (Go 1.24)
	o.base = binary.BigEndian.Uint32(seed[:]) >> 1
	var err error
	kind := description.MediaTypeVideo
	switch {
	case t.Kind == media.Video && t.Codec == media.H264:
		f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
		e := &rtph264.Encoder{PayloadType: 96, PacketizationMode: 1, PayloadMaxSize: maxPayload}
		err = e.Init()
		o.format, o.encode = f, func(data []byte) ([]*rtp.Packet, error) { return o.encodeNALs(data, e.Encode) }
	case t.Kind == media.Video && t.Codec == media.H265:
		f := &format.H265{PayloadTyp: 96}
		e := &rtph265.Encoder{PayloadType: 96, PayloadMaxSize: maxPayload}
		err = e.Init()
		o.format, o.encode = f, func(data []byte) ([]*rtp.Packet, error) { return o.encodeNALs(data, e.Encode) }
	case t.Kind == media.Video && t.Codec == media.MJPEG:
		e := &rtpmjpeg.Encoder{PayloadMaxSize: maxPayload}
		err = e.Init()
		o.format, o.encode = &format.MJPEG{}, func(data []byte) ([]*rtp.Packet, error) { return encodeJPEG(data, e.Encode) }
	case t.Kind == media.Audio:
		kind = description.MediaTypeAudio
		o.format, err = audioFormat(t.RTP)
	default:
		err = fmt.Errorf("codec %s cannot be served over RTSP", t.Codec)
	}
	if err != nil {
		return nil, fmt.Errorf("describe track %d (%s): %w", t.ID, t.Codec, err)
	}
	o.media = &description.Media{Type: kind, Formats: []format.Format{o.format}}
	o.setParams(t.ParameterSets)
	return o, nil
}

// audioFormat rebuilds a format from its description.
func audioFormat(f media.RTPFormat) (format.Format, error) {
	pt := strconv.Itoa(int(f.PayloadType))
	md := &psdp.MediaDescription{MediaName: psdp.MediaName{Media: "audio", Protos: []string{"RTP", "AVP"}, Formats: []string{pt}}}
	if f.RTPMap != "" {
		md.Attributes = append(md.Attributes, psdp.Attribute{Key: "rtpmap", Value: pt + " " + f.RTPMap})
	}
	if len(f.FMTP) > 0 {
		value := pt + " "
		for i, key := range slices.Sorted(maps.Keys(f.FMTP)) {
			if i > 0 {
				value += "; "
			}
			value += key + "=" + f.FMTP[key]
		}
		md.Attributes = append(md.Attributes, psdp.Attribute{Key: "fmtp", Value: value})
	}
	return format.Unmarshal(md, pt)
}

// rtpTime is the RTP timestamp of a stream time.
func (o *outTrack) rtpTime(pts time.Duration) uint32 {
	return o.base + uint32(media.Ticks(pts, o.track.ClockRate))
}

// packetize makes a unit of a packet. Its errors are errTooLarge and errMalformed, wrapped.
func (o *outTrack) packetize(index int, p media.Packet) (*unit, error) {
	u := &unit{
		track: index, video: o.track.Kind == media.Video, keyframe: p.Keyframe, pts: p.PTS,
		rtp: o.rtpTime(p.PTS), marker: p.Marker,
	}
	if o.encode == nil {
		u.payloads = [][]byte{p.Data}
		if len(p.Data) > maxPayload {
			return nil, fmt.Errorf("%d bytes of %s: %w", len(p.Data), o.track.Codec, errTooLarge)
		}
	} else {
		packets, err := o.encode(p.Data)
		if err != nil {
			return nil, err
		}
		u.marker = true
		for _, pkt := range packets {
			u.payloads = append(u.payloads, pkt.Payload)
		}
	}
	for _, payload := range u.payloads {
		u.bytes += len(payload)
	}
	if u.bytes == 0 {
		return nil, fmt.Errorf("empty: %w", errMalformed)
	}
	return u, nil
}

// encodeNALs packetises an Annex B access unit and takes note of parameter sets in it.
func (o *outTrack) encodeNALs(data []byte, encode func([][]byte) ([]*rtp.Packet, error)) ([]*rtp.Packet, error) {
	nals := splitNALs(data, media.NALHeader(o.track.Codec))
	if len(nals) == 0 {
		return nil, fmt.Errorf("no NAL unit: %w", errMalformed)
	}
	o.setParams(nals)
	packets, err := encode(nals)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, errMalformed)
	}
	return packets, nil
}

// encodeJPEG guards gortsplib's encoder, which trusts the lengths in an image.
func encodeJPEG(image []byte, encode func([]byte) ([]*rtp.Packet, error)) ([]*rtp.Packet, error) {
	if err := checkJPEG(image); err != nil {
		return nil, fmt.Errorf("%w (%w)", err, errMalformed)
	}
	packets, err := encode(image)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", err, errMalformed)
	}
	return packets, nil
}

// checkJPEG walks the marker segments up to the start of scan (ITU-T T.81 section B.1.1) and holds each length against
// the bytes that are there.
func checkJPEG(image []byte) error {
	if len(image) < 4 || image[0] != 0xff || image[1] != 0xd8 {
		return errors.New("no JPEG image")
	}
	for p := image[2:]; ; {
		if len(p) < 4 || p[0] != 0xff {
			return errors.New("JPEG without a scan")
		}
		size := int(binary.BigEndian.Uint16(p[2:]))
		if size < 2 || size+2 > len(p) {
			return errors.New("truncated JPEG segment")
		}
		if p[1] == 0xda {
			return nil
		}
		p = p[2+size:]
	}
}

// setParams puts parameter sets that differ from the known ones into the description, which has room for one of each
// kind: a further PPS is found in the stream.
func (o *outTrack) setParams(nals [][]byte) {
	changed := false
	for _, n := range nals {
		changed = o.params.Add(n) || changed
	}
	if !changed {
		return
	}
	var pps []byte
	if len(o.params.PPS) > 0 {
		pps = o.params.PPS[0]
	}
	switch f := o.format.(type) {
	case *format.H264:
		f.SafeSetParams(o.params.SPS, pps)
	case *format.H265:
		f.SafeSetParams(o.params.VPS, o.params.SPS, pps)
	}
}

// splitNALs returns the NAL units of more than header bytes: shorter ones say nothing, and RTP cannot carry them.
func splitNALs(data []byte, header int) [][]byte {
	var nals [][]byte
	for n := range media.NALUs(data) {
		if len(n) > header {
			nals = append(nals, n)
		}
	}
	return nals
}
