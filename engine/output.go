package engine

import (
	"cmp"
	"fmt"
	"math"

	"rave/engine/media"
)

// OutputRule decides the size of the enhanced stream. It follows from the configuration and the camera's size alone,
// so that any rung can serve without a new encoder.
type OutputRule struct {
	Scale               float64 // 0: the scale of the first rung's model
	MaxWidth, MaxHeight int     // for landscape pictures; portrait ones are bounded by the same numbers swapped
}

// Format returns the output format for a camera's format: same shape, colour and sample aspect ratio, even sizes,
// never above the maximum.
func (r OutputRule) Format(in media.Format, modelScale int) media.Format {
	scale := r.Scale
	if scale == 0 {
		scale = float64(max(1, modelScale))
	}
	maxW, maxH := float64(r.MaxWidth), float64(r.MaxHeight)
	if in.Height > in.Width {
		maxW, maxH = maxH, maxW
	}
	if maxW > 0 && maxH > 0 {
		scale = min(scale, maxW/float64(in.Width), maxH/float64(in.Height))
	}
	out := in
	out.Width, out.Height = even(float64(in.Width)*scale, maxW), even(float64(in.Height)*scale, maxH)
	return out
}

// checkOutput refuses an enhanced picture above MaxPixels, before memory is taken for it.
func (c Config) checkOutput(out media.Format) error {
	most := cmp.Or(c.MaxPixels, DefaultMaxPixels)
	if out.Width*out.Height <= most {
		return nil
	}
	return fmt.Errorf("stream %s: the enhanced picture would have %s pixels, and max_pixels is %d; lower output.scale or "+
		"output.max, choose a first entry of quality with a smaller scale, or raise max_pixels", c.Stream, out.Size(), most)
}

// even rounds to the nearest even number up to limit (0: none): 4:2:0 has no odd sizes that every encoder and player
// takes.
func even(v, limit float64) int {
	n := 2 * int(math.Round(v/2))
	if limit > 0 && float64(n) > limit {
		n -= 2
	}
	return max(2, n)
}

// Bitrate returns a default rate in bits per second for H.264 at a fast preset: 2.3 Mb/s at 1280×720 and 25 frames/s,
// 12 Mb/s at 3840×2160. Larger pictures need fewer bits per pixel, and so do higher rates.
func Bitrate(size media.Format, fps float64) int {
	const at720p25 = 2.3e6
	pixels := float64(size.Width*size.Height) / (1280 * 720)
	return int(at720p25 * math.Pow(pixels, 0.75) * math.Pow(max(fps, 1)/25, 0.75))
}
