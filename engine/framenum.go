package engine

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"rave/engine/media"
)

// frameCounter follows frame_num of H.264, which counts the pictures that others refer to (ITU-T H.264 section 7.4.3): a
// jump tells that some are missing.
type frameCounter struct {
	bits int // of frame_num; 0: not known, or the stream may jump
	last int
	seen bool
}

// gap reports whether pictures are missing before an access unit.
func (c *frameCounter) gap(codec media.Codec, p media.Packet) bool {
	if codec != media.H264 {
		return false
	}
	for u := range media.NALUs(p.Data) {
		switch kind := media.NALKindOf(codec, u); kind {
		case media.NALSPS:
			c.sequence(u)
		case media.NALIDR:
			c.last, c.seen = 0, true
			return false
		case media.NALPicture:
			return c.picture(u, p.Keyframe)
		}
	}
	return false
}

func (c *frameCounter) sequence(nal []byte) {
	var sps h264.SPS
	c.bits = 0
	if err := sps.Unmarshal(nal); err == nil && !sps.GapsInFrameNumValueAllowedFlag && !sps.SeparateColourPlaneFlag {
		c.bits = int(sps.Log2MaxFrameNumMinus4) + 4
	}
}

// picture reads a slice header up to frame_num (ITU-T H.264 section 7.3.3). entry: decoding may begin here, whatever was
// before.
func (c *frameCounter) picture(nal []byte, entry bool) (gap bool) {
	const enough = 32 // bytes
	p := media.Unescape(nal[:min(len(nal), enough)])
	at := 8
	for range 3 { // first_mb_in_slice, slice_type, pic_parameter_set_id
		_, next, ok := media.ExpGolomb(p, at)
		if !ok {
			return false
		}
		at = next
	}
	const fewest, most = 4, 16
	if c.bits < fewest || c.bits > most || at+c.bits > 8*len(p) {
		return false
	}
	num := 0
	for i := at; i < at+c.bits; i++ {
		num = num<<1 | int(p[i/8]>>(7-i%8)&1)
	}
	gap = c.seen && !entry && num != c.last && num != (c.last+1)&(1<<c.bits-1)
	if nal[0]&0x60 != 0 { // others refer to it
		c.last, c.seen = num, true
	}
	return gap
}
