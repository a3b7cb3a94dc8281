package ffmpeg

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"rave/engine/media"
)

// checkSize refuses an access unit whose sequence parameter sets declare a picture above the limit, before FFmpeg
// allocates anything for it. FFmpeg's own check (max_pixels) stands behind: it comes after some tables for H.265.
func checkSize(cfg DecoderConfig, data []byte) error {
	for u := range media.NALUs(data) {
		switch media.NALKindOf(cfg.Codec, u) {
		case media.NALSPS:
			if w, h := codedSize(cfg.Codec, u); int64(w)*int64(h) > int64(cfg.MaxPixels) {
				return tooLarge(cfg, w, h)
			}
		case media.NALIDR, media.NALPicture: // no sets follow
			return nil
		}
	}
	return nil
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

func tooLarge(cfg DecoderConfig, width, height int) error {
	return fmt.Errorf("stream %s: the camera sends %dx%d pixels, and max_pixels is %d; lower the camera's resolution, or raise "+
		"max_pixels of the stream", cfg.Stream, width, height, cfg.MaxPixels)
}
