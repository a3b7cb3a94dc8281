package rtpin

import (
	"errors"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/pion/rtp"

	"rave/engine/media"
)

// Reasons for which an access unit (of sound: a packet) is not passed on.
const (
	DropLoss      = "packet_loss"
	DropMalformed = "malformed"
	DropTooLarge  = "too_large"
	DropStart     = "before_start" // joined within a picture
	DropRTP       = "rtp_error"
)

// maxUnit is the largest access unit that is taken, in bytes: more than any real one. gortsplib's decoders for H.264
// and H.265 have the same limit, the one for MJPEG has none.
const maxUnit = 8 << 20

// accessUnit is one assembled picture.
type accessUnit struct {
	data     []byte
	keyframe bool
	recovery int    // as in media.Packet
	lost     bool   // units before it are missing
	rtp      uint32 // its timestamp
}

// depacketizer turns the RTP packets of one video track into access units. Packets must be in order; gaps are found by
// sequence number. Not safe for concurrent use.
type depacketizer struct {
	codec  media.Codec
	fresh  func() (decode func(*rtp.Packet) ([][]byte, error), err error) // a new decoder
	decode func(*rtp.Packet) ([][]byte, error)
	units  *units // nil for MJPEG
	onDrop func(reason string, n int)

	started bool
	next    uint16 // sequence number expected
	open    bool   // a unit is in progress,
	rtp     uint32 // with this timestamp
	size    int    // and so many bytes
	lost    bool   // a unit was dropped since the last that was complete
	skip    bool   // the rest of the unit with this timestamp is of no use
	skipRTP uint32
}

// newDepacketizer returns one for a supported format, nil for others.
func newDepacketizer(f format.Format, sets [][]byte, onDrop func(string, int)) (*depacketizer, error) {
	d := &depacketizer{onDrop: onDrop}
	switch f := f.(type) {
	case *format.H264:
		d.codec, d.units = media.H264, newUnits(media.H264, sets)
		d.fresh = func() (func(*rtp.Packet) ([][]byte, error), error) {
			dec, err := f.CreateDecoder()
			if err != nil {
				return nil, err
			}
			return dec.Decode, nil
		}
	case *format.H265:
		d.codec, d.units = media.H265, newUnits(media.H265, sets)
		d.fresh = func() (func(*rtp.Packet) ([][]byte, error), error) {
			dec, err := f.CreateDecoder()
			if err != nil {
				return nil, err
			}
			return dec.Decode, nil
		}
	case *format.MJPEG:
		d.codec = media.MJPEG
		d.fresh = func() (func(*rtp.Packet) ([][]byte, error), error) {
			dec, err := f.CreateDecoder()
			if err != nil {
				return nil, err
			}
			return func(p *rtp.Packet) ([][]byte, error) {
				image, err := dec.Decode(p)
				return [][]byte{image}, err
			}, nil
		}
	default:
		return nil, nil
	}
	var err error
	d.decode, err = d.fresh()
	return d, err
}

// push takes the next packet. ok says that it completed an access unit.
func (d *depacketizer) push(p *rtp.Packet) (u accessUnit, ok bool) {
	if len(p.Payload) == 0 { // padding, by which browsers find out what the network carries: a number and nothing else
		if d.started && p.SequenceNumber == d.next {
			d.next++
		}
		return accessUnit{}, false
	}
	d.findGap(p)
	if d.skip && p.Timestamp == d.skipRTP {
		d.skip = !p.Marker
		return accessUnit{}, false
	}
	d.skip = false
	if !d.open {
		d.open, d.rtp, d.size = true, p.Timestamp, 0
	}
	if d.size += len(p.Payload); d.size > maxUnit {
		d.fail(DropTooLarge, p)
		return accessUnit{}, false
	}
	nals, err := d.decode(p)
	switch {
	case errors.Is(err, rtph264.ErrMorePacketsNeeded), errors.Is(err, rtph265.ErrMorePacketsNeeded), errors.Is(err, rtpmjpeg.ErrMorePacketsNeeded):
		return accessUnit{}, false
	case err != nil:
		d.fail(DropMalformed, p)
		return accessUnit{}, false
	}
	u.rtp = d.rtp
	// A unit that ended without a marker is returned with the next one's first packet, which the decoder keeps.
	d.open, d.rtp, d.size = p.Timestamp != d.rtp, p.Timestamp, len(p.Payload)
	if d.units == nil {
		u.data, u.keyframe = nals[0], true
	} else {
		u.data, u.keyframe, u.recovery = d.units.build(nals)
	}
	if u.data == nil {
		return u, false
	}
	u.lost, d.lost = d.lost, false
	return u, true
}

// findGap drops the units that a gap in the sequence numbers has damaged: the one in progress, and the one that the
// packet after the gap belongs to, unless that packet is the first of it.
func (d *depacketizer) findGap(p *rtp.Packet) {
	expected, started := d.next, d.started
	d.next, d.started = p.SequenceNumber+1, true
	if started && p.SequenceNumber == expected {
		return
	}
	headless := !d.begins(p.Payload)
	switch {
	case !started && headless: // joined within a picture
		d.onDrop(DropStart, 1)
	case !started:
		return
	case d.open && headless && p.Timestamp != d.rtp:
		d.onDrop(DropLoss, 2)
	case d.open, headless && !(d.skip && d.skipRTP == p.Timestamp), !headless && !d.skip: // the last: at least one whole unit
		d.onDrop(DropLoss, 1)
	}
	d.reset()
	if headless {
		d.skip, d.skipRTP = true, p.Timestamp
	}
}

// fail drops the unit in progress.
func (d *depacketizer) fail(reason string, p *rtp.Packet) {
	d.onDrop(reason, 1)
	d.reset()
	if !p.Marker {
		d.skip, d.skipRTP = true, p.Timestamp
	}
}

// reset forgets the unit in progress, which is lost.
func (d *depacketizer) reset() {
	d.open, d.size, d.lost = false, 0, true
	if decode, err := d.fresh(); err == nil { // it worked before
		d.decode = decode
	}
}

// begins reports that a payload can be the first of an access unit (RFC 6184 section 5.4, RFC 7798 section 4.4, RFC
// 2435 section 3.1).
func (d *depacketizer) begins(p []byte) bool {
	switch d.codec {
	case media.MJPEG:
		return len(p) >= 4 && p[1] == 0 && p[2] == 0 && p[3] == 0
	case media.H265:
		return beginsH265(p)
	default:
		return beginsH264(p)
	}
}

func beginsH264(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch p[0] & 0x1f {
	case 24: // STAP-A: the first NAL unit decides
		return len(p) > 3 && beginsNAL(media.H264, p[3:])
	case 28: // FU-A
		return p[1]&0x80 != 0 && beginsNAL(media.H264, append([]byte{p[1]}, p[2:min(len(p), 3)]...))
	default:
		return beginsNAL(media.H264, p)
	}
}

func beginsH265(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch p[0] >> 1 & 0x3f {
	case 48: // aggregation packet
		return len(p) > 5 && beginsNAL(media.H265, p[4:])
	case 49: // fragmentation unit
		return len(p) > 3 && p[2]&0x80 != 0 && beginsNAL(media.H265, []byte{p[2] & 0x3f << 1, p[1], p[3]})
	default:
		return beginsNAL(media.H265, p)
	}
}

func beginsNAL(codec media.Codec, nal []byte) bool {
	switch media.NALKindOf(codec, nal) {
	case media.NALIDR, media.NALPicture:
		return firstSlice(codec, nal)
	case media.NALSuffix:
		return false
	default:
		return true
	}
}
