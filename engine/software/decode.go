package software

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// decoder decodes, deinterlaces what is flagged as interlaced, and converts what is not 8-bit 4:2:0.
type decoder struct {
	ctx  context.Context //nolint:containedctx // bounds waiting in Send, see engine.Device
	p    engine.DecoderParams
	dec  *ffmpeg.Decoder
	av   *astiav.Frame // what the decoder fills
	meta metaMap

	shells    *engine.Pool // frames around the decoder's own memory
	pictures  *engine.Pool // frames for converted pictures
	converter *ffmpeg.Scaler
	format    media.Format // of the pictures that leave
	raw       ffmpeg.Raw

	deinterlacer *ffmpeg.Deinterlacer
	layout       ffmpeg.Layout // that deinterlacer was built for
	lines        *astiav.Frame // what the deinterlacer fills
}

// NewDecoder implements engine.Device.
func (d *Device) NewDecoder(ctx context.Context, p engine.DecoderParams) (engine.Decoder, error) {
	dec, err := ffmpeg.NewDecoder(ffmpeg.DecoderConfig{
		Stream: p.Stream, Codec: p.Track.Codec, ParameterSets: p.Track.ParameterSets, Threads: p.Threads,
		MaxPixels: cmp.Or(p.MaxPixels, engine.DefaultMaxPixels), Log: p.Log,
	})
	if err != nil {
		return nil, err
	}
	shells, err := engine.NewPool(p.Frames, p.Ledger, engine.PoolHooks{
		Init: ffmpeg.Init, Reset: ffmpeg.Unref, Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		dec.Close()
		return nil, err
	}
	return &decoder{
		ctx: ctx, p: p, dec: dec, av: astiav.AllocFrame(), lines: astiav.AllocFrame(), shells: shells, meta: metaMap{},
	}, nil
}

// Send implements engine.Stage.
func (d *decoder) Send(p media.Packet, emit func(*media.Frame) error) error {
	pts := d.meta.free(media.Ticks(p.PTS, media.VideoClockRate))
	d.meta.put(pts, media.Meta{PTS: p.PTS, Arrival: p.Arrival, NTP: p.NTP, Keyframe: p.Keyframe, Unwanted: p.DecodeOnly})
	found, err := d.dec.Send(p.Data, pts)
	if err != nil {
		return err
	}
	if found != (ffmpeg.Found{}) && d.p.OnDamage != nil {
		d.p.OnDamage(p, !found.Damaged)
	}
	return d.receive(emit)
}

// Flush implements engine.Stage.
func (d *decoder) Flush(emit func(*media.Frame) error) error {
	if err := d.dec.Drain(); err != nil {
		return fmt.Errorf("flush decoder: %w", err)
	}
	if err := d.receive(emit); err != nil {
		return err
	}
	if d.deinterlacer == nil {
		return nil
	}
	if err := d.deinterlacer.Drain(); err != nil {
		return fmt.Errorf("flush deinterlacer: %w", err)
	}
	return d.deinterlaced(emit)
}

// done sorts out the errors that only mean "no more for now".
func done(err error) (bool, error) {
	if errors.Is(err, ffmpeg.ErrAgain) || errors.Is(err, astiav.ErrEof) {
		return true, nil
	}
	return err != nil, err
}

func (d *decoder) receive(emit func(*media.Frame) error) error {
	for {
		if stop, err := done(d.dec.Receive(d.av)); stop {
			return err
		}
		raw := ffmpeg.Inspect(d.av)
		if raw.Interlaced && d.p.Deinterlace && d.deinterlacer == nil {
			if err := d.startDeinterlacer(); err != nil {
				return err
			}
		}
		if d.deinterlacer == nil {
			if err := d.picture(d.av, raw, emit); err != nil {
				return err
			}
			continue
		}
		if err := d.interlaced(emit); err != nil {
			return err
		}
	}
}

func (d *decoder) startDeinterlacer() error {
	deinterlacer, err := ffmpeg.NewDeinterlacer(d.av, d.p.Threads)
	if err != nil {
		return err
	}
	d.deinterlacer, d.layout = deinterlacer, ffmpeg.LayoutOf(d.av)
	return nil
}

// interlaced passes a picture through the deinterlacer, which is rebuilt when the pictures' layout changes: given a
// picture of another one it reads beyond its planes.
func (d *decoder) interlaced(emit func(*media.Frame) error) error {
	if d.layout != ffmpeg.LayoutOf(d.av) {
		if err := d.deinterlacer.Drain(); err != nil {
			return err
		}
		if err := d.deinterlaced(emit); err != nil {
			return err
		}
		d.deinterlacer.Close()
		d.deinterlacer = nil
		if err := d.startDeinterlacer(); err != nil {
			return err
		}
	}
	err := d.deinterlacer.Send(d.av)
	d.av.Unref()
	if err != nil {
		return fmt.Errorf("deinterlace: %w", err)
	}
	return d.deinterlaced(emit)
}

func (d *decoder) deinterlaced(emit func(*media.Frame) error) error {
	for {
		if stop, err := done(d.deinterlacer.Receive(d.lines)); stop {
			return err
		}
		raw := ffmpeg.Inspect(d.lines)
		raw.Interlaced = true // what the camera sends, for the plan
		if err := d.picture(d.lines, raw, emit); err != nil {
			return err
		}
	}
}

// picture makes a media.Frame of a decoded picture and empties av.
func (d *decoder) picture(av *astiav.Frame, raw ffmpeg.Raw, emit func(*media.Frame) error) error {
	defer av.Unref()
	format, ok := ffmpeg.FormatOf(av)
	if format != d.format || raw.Pixel != d.raw.Pixel {
		if err := d.reformat(av, format, ok); err != nil {
			return err
		}
	}
	d.format, d.raw = format, raw
	pts := av.Pts() // before fill, which may empty av
	f, err := d.fill(av, ok)
	if err != nil {
		return err
	}
	f.Meta = d.meta.take(pts)
	f.Damaged = raw.Damaged
	return emit(f)
}

// fill moves the picture into a frame, or converts it into one of our own.
func (d *decoder) fill(av *astiav.Frame, ok bool) (*media.Frame, error) {
	if ok {
		f, err := d.shells.Get(d.ctx)
		if err != nil {
			return nil, err
		}
		ffmpeg.Native(f).MoveRef(av)
		ffmpeg.Adopt(f, d.format)
		return f, nil
	}
	f, err := d.pictures.Get(d.ctx)
	if err != nil {
		return nil, err
	}
	if err := d.converter.Frames(ffmpeg.Native(f), av); err != nil {
		f.Release()
		return nil, err
	}
	return f, nil
}

// reformat prepares the conversion to YUV420P, range and matrix kept, where one is needed.
func (d *decoder) reformat(av *astiav.Frame, format media.Format, ok bool) (err error) {
	d.closeConverter()
	d.format = media.Format{} // if this fails, it is tried again with the next picture
	if ok {
		return nil
	}
	from := ffmpeg.PictureOf(format)
	from.Pixel = av.PixelFormat()
	if d.converter, err = ffmpeg.NewScaler(from, ffmpeg.PictureOf(format), ffmpeg.ConvertExact, d.p.Threads); err != nil {
		return fmt.Errorf("convert %s: %w", from.Pixel, err)
	}
	d.pictures, err = engine.NewPool(d.p.Frames, d.p.Ledger, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	return err
}

func (d *decoder) closeConverter() {
	if d.converter != nil {
		d.converter.Close()
		d.converter = nil
	}
	if d.pictures != nil {
		d.pictures.Close()
		d.pictures = nil
	}
}

// SkipNonReference implements engine.Decoder.
func (d *decoder) SkipNonReference(on bool) { d.dec.SkipNonReference(on) }

// Input implements engine.Decoder.
func (d *decoder) Input() string {
	c := d.format.Color
	matrix, rng := "BT.601", "limited range"
	if c.Matrix == media.MatrixBT709 {
		matrix = "BT.709"
	}
	if c.FullRange {
		rng = "full range kept"
	}
	s := fmt.Sprintf("%s %s %s, %s %s", d.p.Track.Codec, d.format.Size(), d.raw.Pixel, matrix, rng)
	if d.converter != nil {
		s += ", converted to yuv420p"
	}
	if d.raw.Interlaced {
		if d.deinterlacer != nil {
			s += ", deinterlaced by bwdif"
		} else {
			s += ", interlaced and left so"
		}
	}
	if n := d.dec.Reorder(); n > 0 {
		s += fmt.Sprintf(", B-frames delay it by %d", n)
	}
	return s
}

// Close implements engine.Stage.
func (d *decoder) Close() {
	d.closeConverter()
	if d.deinterlacer != nil {
		d.deinterlacer.Close()
	}
	d.av.Free()
	d.lines.Free()
	d.shells.Close()
	d.dec.Close()
}

// metaMap keeps what travels with a picture while it is inside FFmpeg, which reorders pictures, by its time.
type metaMap map[int64]media.Meta

// What the decoder swallowed must not pile up: entries this much older than the newest go (10 s of 90 kHz).
const metaHorizon = 10 * media.VideoClockRate

// free returns the next time from pts on that no picture has: a camera may give two pictures one time.
func (m metaMap) free(pts int64) int64 {
	for {
		if _, taken := m[pts]; !taken {
			return pts
		}
		pts++
	}
}

func (m metaMap) put(pts int64, meta media.Meta) {
	if len(m) > 128 {
		for k := range m {
			if k < pts-metaHorizon || len(m) > 1024 {
				delete(m, k)
			}
		}
	}
	m[pts] = meta
}

// take returns the entry of a time; a picture whose time FFmpeg made up gets that time.
func (m metaMap) take(pts int64) media.Meta {
	meta, ok := m[pts]
	if !ok {
		meta.PTS = media.Duration(pts, media.VideoClockRate)
	}
	delete(m, pts)
	return meta
}
