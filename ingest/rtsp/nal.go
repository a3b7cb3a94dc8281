package rtsp

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"rave/engine/media"
)

// firstSlice reports that a coded slice is the first of its picture: first_mb_in_slice is 0 (H.264 section 7.3.3) or
// first_slice_segment_in_pic_flag is set (H.265 section 7.3.6.1); both are one leading 1 bit.
func firstSlice(codec media.Codec, nal []byte) bool {
	header := media.NALHeader(codec)
	return len(nal) > header && nal[header]&0x80 != 0
}

// recoveryPoint returns how many pictures after this one the picture is right (recovery_frame_cnt of H.264 section
// D.1.8, recovery_poc_cnt of H.265 section D.2.8) if the SEI holds a recovery point.
func recoveryPoint(codec media.Codec, sei []byte) (count int, ok bool) {
	header := media.NALHeader(codec)
	// Recovery points are short and come early: no need to unescape a long SEI.
	p := h264.EmulationPreventionRemove(sei[:min(len(sei), 256)])
	if len(p) <= header {
		return 0, false
	}
	p = p[header:]
	for len(p) > 2 { // two bytes of header and at least the trailing bits
		typ, n := seiNumber(p)
		size, m := seiNumber(p[n:])
		p = p[n+m:]
		if typ == 6 {
			count, _, ok = media.ExpGolomb(p, 0)
			return count, ok
		}
		if size > len(p) {
			break
		}
		p = p[size:]
	}
	return 0, false
}

// seiNumber reads a payload type or size: bytes are summed up to the first that is not 0xff.
func seiNumber(p []byte) (v, n int) {
	for n < len(p) {
		v += int(p[n])
		n++
		if p[n-1] != 0xff {
			break
		}
	}
	return v, n
}

// pictureSize returns the size in luma pixels that a sequence parameter set declares, 0×0 if it cannot be read.
func pictureSize(codec media.Codec, sps []byte) (width, height int) {
	switch codec {
	case media.H264:
		var s h264.SPS
		if len(sps) < 4 || s.Unmarshal(sps) != nil {
			return 0, 0
		}
		width, height = s.Width(), s.Height()
	case media.H265:
		var s h265.SPS
		if len(sps) < 4 || s.Unmarshal(sps) != nil {
			return 0, 0
		}
		width, height = s.Width(), s.Height()
	}
	const most = 1 << 15
	if width <= 0 || height <= 0 || width > most || height > most {
		return 0, 0
	}
	return width, height
}
