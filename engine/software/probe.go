package software

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// Probe implements engine.Device: it encodes a picture, decodes it again and enhances it by Lanczos. Models are not
// part of it: OpenRuntime tells about them.
func (d *Device) Probe(ctx context.Context) engine.Caps {
	var (
		caps   engine.Caps
		ledger engine.Ledger
		format = media.Format{Width: 64, Height: 48, Pixel: media.YUV420P, Color: media.Color{Matrix: media.MatrixSMPTE170M}}
	)
	packet, err := d.probeEncode(ctx, format, &ledger)
	if caps.Encode = err; err != nil {
		caps.Decode = fmt.Errorf("not tried, since nothing could be encoded: %w", err)
		caps.Enhance = caps.Decode
		return caps
	}
	caps.Enhance = errors.New("not tried, since nothing could be decoded")
	caps.Decode = d.probeDecode(ctx, packet, &ledger, func(f *media.Frame) error {
		caps.Enhance = d.probeEnhance(ctx, f, &ledger)
		return nil
	})
	return caps
}

func (d *Device) probeEncode(ctx context.Context, format media.Format, ledger *engine.Ledger) (media.Packet, error) {
	pool, err := engine.NewPool(1, ledger, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		return media.Packet{}, err
	}
	defer pool.Close()
	f, err := pool.Get(ctx)
	if err != nil {
		return media.Packet{}, err
	}
	if err := ffmpeg.Native(f).ImageFillBlack(); err != nil {
		f.Release()
		return media.Packet{}, err
	}
	enc, err := d.NewEncoder(engine.EncoderParams{In: format, Preset: "ultrafast", Bitrate: 100_000, FrameRate: 25, Threads: 1})
	if err != nil {
		f.Release()
		return media.Packet{}, err
	}
	defer enc.Close()
	var made media.Packet
	collect := func(p media.Packet) error {
		made = p
		return nil
	}
	f.PTS = time.Second
	enc.RequestKeyframe()
	if err := errors.Join(enc.Send(f, collect), enc.Flush(collect)); err != nil {
		return media.Packet{}, err
	}
	if len(made.Data) == 0 {
		return media.Packet{}, errNoPicture
	}
	return made, nil
}

func (d *Device) probeDecode(ctx context.Context, p media.Packet, ledger *engine.Ledger, use func(*media.Frame) error) error {
	dec, err := d.NewDecoder(ctx, engine.DecoderParams{
		Track: media.Track{Kind: media.Video, Codec: media.H264}, Threads: 1, Frames: 1, Ledger: ledger,
	})
	if err != nil {
		return err
	}
	defer dec.Close()
	n := 0
	count := func(f *media.Frame) error {
		n++
		return use(f)
	}
	if err := errors.Join(dec.Send(p, count), dec.Flush(count)); err != nil {
		return err
	}
	if n == 0 {
		return errNoPicture
	}
	return nil
}

func (d *Device) probeEnhance(ctx context.Context, f *media.Frame, ledger *engine.Ledger) error {
	out := f.Format
	out.Width, out.Height = 2*out.Width, 2*out.Height
	e, err := d.NewEnhancer(ctx, engine.EnhancerParams{
		Rung: engine.Lanczos, In: f.Format, Out: out, Threads: 1, Frames: 1, Ledger: ledger,
	})
	if err != nil {
		f.Release()
		return err
	}
	defer e.Close()
	n := 0
	err = e.Send(f, func(out *media.Frame) error {
		n++
		out.Release()
		return nil
	})
	if err == nil && n == 0 {
		return errNoPicture
	}
	return err
}
