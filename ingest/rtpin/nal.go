package rtpin

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
