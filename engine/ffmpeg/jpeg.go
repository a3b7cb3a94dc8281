package ffmpeg

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// JPEGColor is what every viewer takes a JPEG image's colours for (ITU-T T.871, JFIF): BT.601, full range.
func JPEGColor() media.Color { return media.Color{Matrix: media.MatrixBT470BG, FullRange: true} }

// JPEG encodes one picture, whose colours are JPEGColor, as a baseline JPEG image.
func JPEG(av *astiav.Frame, threads int) ([]byte, error) {
	const quality = 3 // FFmpeg's quantiser, from 2 (best) to 31
	codec := astiav.FindEncoderByName("mjpeg")
	if codec == nil {
		return nil, errors.New("this build's FFmpeg has no mjpeg encoder")
	}
	c, pkt, opts := astiav.AllocCodecContext(codec), astiav.AllocPacket(), astiav.NewDictionary()
	defer c.Free()
	defer pkt.Free()
	defer opts.Free()
	c.SetWidth(av.Width())
	c.SetHeight(av.Height())
	c.SetPixelFormat(astiav.PixelFormatYuv420P)
	c.SetColorRange(astiav.ColorRangeJpeg)
	c.SetTimeBase(astiav.NewRational(1, media.VideoClockRate))
	c.SetThreadCount(max(1, threads))
	for _, key := range []string{"qmin", "qmax"} {
		if err := opts.Set(key, strconv.Itoa(quality), 0); err != nil {
			return nil, fmt.Errorf("JPEG encoder option %s: %w", key, err)
		}
	}
	if err := c.Open(codec, opts); err != nil {
		return nil, fmt.Errorf("open JPEG encoder for %dx%d: %w", av.Width(), av.Height(), err)
	}
	av.SetPts(0)
	if err := errors.Join(c.SendFrame(av), c.SendFrame(nil), c.ReceivePacket(pkt)); err != nil {
		return nil, fmt.Errorf("encode JPEG image: %w", err)
	}
	return pkt.Data(), nil
}
