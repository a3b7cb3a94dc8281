package ffmpeg

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"rave/engine/media"
)

// FFmpeg rounds rows up to 64 pixels before it compares a picture with its limit. Pictures are at most 16384 rows high.
const rounding = 63 * 16384

// checkSize refuses an access unit whose headers declare a picture above the limit, before FFmpeg allocates anything for
// it. FFmpeg's own check stands behind: it is not exact, and comes after some tables for H.265.
func checkSize(cfg DecoderConfig, data []byte) error {
	if w, h := declared(cfg.Codec, data); int64(w)*int64(h) > int64(cfg.MaxPixels) {
		return tooLarge(cfg, w, h)
	}
	return nil
}

// declared returns the size that an access unit declares; 0×0 if it says none.
func declared(codec media.Codec, data []byte) (width, height int) {
	if codec == media.MJPEG {
		return jpegSize(data)
	}
	for u := range media.NALUs(data) {
		switch media.NALKindOf(codec, u) {
		case media.NALSPS:
			if w, h := codedSize(codec, u); w*h > width*height {
				width, height = w, h
			}
		case media.NALIDR, media.NALPicture: // no sets follow
			return width, height
		}
	}
	return width, height
}

// jpegSize reads the frame header, which comes before the first scan (ITU-T T.81 section B.2.2).
func jpegSize(data []byte) (width, height int) {
	const soi, sos, header = 0xd8, 0xda, 9
	for i := 0; i+header <= len(data); {
		if data[i] != 0xff || data[i+1] == 0xff {
			i++
			continue
		}
		switch m := data[i+1]; {
		case m == soi:
			i += 2
			continue
		case m == sos:
			return 0, 0
		case m >= 0xc0 && m <= 0xcf && m != 0xc4 && m != 0xc8 && m != 0xcc: // of 16 kinds; the others are tables
			return int(binary.BigEndian.Uint16(data[i+7:])), int(binary.BigEndian.Uint16(data[i+5:]))
		}
		i += 2 + int(binary.BigEndian.Uint16(data[i+2:]))
	}
	return 0, 0
}

// codedSize returns the size that is decoded, before cropping; 0×0 if the set cannot be read.
func codedSize(codec media.Codec, sps []byte) (width, height int) {
	if codec == media.H265 {
		var s h265.SPS
		if s.Unmarshal(sps) != nil {
			return 0, 0
		}
		return int(s.PicWidthInLumaSamples), int(s.PicHeightInLumaSamples)
	}
	var s h264.SPS
	if s.Unmarshal(sps) != nil {
		return 0, 0
	}
	const block = 16
	rows := (int(s.PicHeightInMapUnitsMinus1) + 1) * block
	if !s.FrameMbsOnlyFlag {
		rows *= 2
	}
	return (int(s.PicWidthInMbsMinus1) + 1) * block, rows
}

// wrongSize is about a picture that FFmpeg refuses for its size.
func wrongSize(cfg DecoderConfig, width, height int) error {
	if width <= 0 || height <= 0 {
		return fmt.Errorf("stream %s: the camera sends a picture of %dx%d pixels, which is damaged; if it goes on, restart the camera or "+
			"update its firmware", cfg.Stream, width, height)
	}
	return tooLarge(cfg, width, height)
}

func tooLarge(cfg DecoderConfig, width, height int) error {
	return fmt.Errorf("stream %s: the camera sends %dx%d pixels, and max_pixels is %d; lower the camera's resolution, or raise "+
		"max_pixels of the stream", cfg.Stream, width, height, cfg.MaxPixels)
}
