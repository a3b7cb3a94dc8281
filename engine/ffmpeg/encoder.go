package ffmpeg

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// EncoderConfig says how to encode.
type EncoderConfig struct {
	Format    media.Format
	Preset    string  // x264's: ultrafast … veryslow
	Bitrate   int     // bits per second
	FrameRate float64 // what is expected; SetRate tells of another
	Threads   int
	Profile   string // x264's, at most; empty: what the preset needs
}

// Encoder is libx264 for live video: no B-frames, no lookahead, a picture in gives a packet out. It makes keyframes
// only where Send is told to.
type Encoder struct {
	ctx     *astiav.CodecContext
	in      *astiav.Frame // refers to the picture that is sent: others may read that at the same time
	pkt     *astiav.Packet
	nominal float64 // frames per second that x264 believes in
}

// NewEncoder opens libx264.
//
// With zerolatency x264 gives each picture bitrate/nominal frame rate bits, whatever the times say, so a stream whose
// rate falls to a fifth gets a fifth of its bits. x264's own remedy, force-cfr=0, holds each picture back until the
// next one has come: a whole frame of delay. SetRate scales the bitrate instead.
func NewEncoder(cfg EncoderConfig) (*Encoder, error) {
	codec := astiav.FindEncoderByName("libx264")
	if codec == nil {
		return nil, errors.New("this build's FFmpeg has no libx264")
	}
	e := &Encoder{ctx: astiav.AllocCodecContext(codec), in: astiav.AllocFrame(), pkt: astiav.AllocPacket(), nominal: max(1, cfg.FrameRate)}
	c, f := e.ctx, cfg.Format
	c.SetWidth(f.Width)
	c.SetHeight(f.Height)
	c.SetPixelFormat(astiav.PixelFormatYuv420P)
	c.SetTimeBase(astiav.NewRational(1, media.VideoClockRate))
	c.SetFramerate(astiav.NewRational(int(e.nominal*1000+0.5), 1000))
	c.SetSampleAspectRatio(astiav.NewRational(f.SAR[0], max(1, f.SAR[1])))
	c.SetColorSpace(astiav.ColorSpace(f.Color.Matrix))
	c.SetColorPrimaries(astiav.ColorPrimaries(unspecified(f.Color.Primaries)))
	c.SetColorTransferCharacteristic(astiav.ColorTransferCharacteristic(unspecified(f.Color.Transfer)))
	c.SetColorRange(astiav.ColorRangeMpeg)
	if f.Color.FullRange {
		c.SetColorRange(astiav.ColorRangeJpeg)
	}
	c.SetGopSize(1 << 30) // x264's "infinite": keyframes come by wall time, from the caller
	c.SetMaxBFrames(0)
	c.SetThreadCount(max(1, cfg.Threads))
	e.SetRate(cfg.Bitrate, e.nominal)
	opts := astiav.NewDictionary()
	defer opts.Free()
	for _, kv := range [][2]string{
		{"preset", cfg.Preset}, {"tune", "zerolatency"}, {"forced-idr", "1"},
		{"x264-params", "repeat-headers=1:scenecut=0:threads=" + strconv.Itoa(max(1, cfg.Threads))},
		{"profile", cfg.Profile},
	} {
		if kv[1] == "" {
			continue
		}
		if err := opts.Set(kv[0], kv[1], 0); err != nil {
			e.Close()
			return nil, fmt.Errorf("encoder option %s=%s: %w", kv[0], kv[1], err)
		}
	}
	if err := c.Open(codec, opts); err != nil {
		e.Close()
		return nil, fmt.Errorf("open libx264 for %s: %w", f.Size(), err)
	}
	return e, nil
}

// SetRate makes pictures that come at fps add up to bps, from the next picture on and without a keyframe. The peak is
// capped over one second, so that a keyframe may use what a still scene saves.
func (e *Encoder) SetRate(bps int, fps float64) {
	scaled := int64(float64(bps) * e.nominal / max(fps, 0.1))
	e.ctx.SetBitRate(scaled)
	e.ctx.SetRateControlMaxRate(scaled)
	e.ctx.SetRateControlBufferSize(bps)
}

// Send gives one picture with its time in 90 kHz ticks, which must ascend. av is not changed. Its memory may be used again after
// Receive has said ErrAgain.
func (e *Encoder) Send(av *astiav.Frame, pts int64, keyframe bool) error {
	if err := e.in.Ref(av); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	defer e.in.Unref()
	e.in.SetPts(pts)
	e.in.SetPictureType(astiav.PictureTypeNone)
	if keyframe {
		e.in.SetPictureType(astiav.PictureTypeI)
	}
	if err := e.ctx.SendFrame(e.in); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return nil
}

// Drain announces the end; Receive then gives what is left.
func (e *Encoder) Drain() error { return e.ctx.SendFrame(nil) }

// Receive returns the next access unit as Annex B, a keyframe led by its parameter sets; the data is the caller's.
// ErrAgain: send more; astiav.ErrEof: drained.
func (e *Encoder) Receive() (data []byte, pts int64, keyframe bool, err error) {
	if err = e.ctx.ReceivePacket(e.pkt); err != nil {
		if errors.Is(err, astiav.ErrEagain) {
			err = ErrAgain
		}
		return nil, 0, false, err
	}
	defer e.pkt.Unref()
	return e.pkt.Data(), e.pkt.Pts(), e.pkt.Flags().Has(astiav.PacketFlagKey), nil
}

// Close frees the encoder.
func (e *Encoder) Close() {
	e.pkt.Free()
	e.in.Free()
	e.ctx.Free()
}
