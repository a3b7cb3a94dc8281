package software

import (
	"fmt"
	"math"
	"sync/atomic"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// encoder is x264.
type encoder struct {
	enc      *ffmpeg.Encoder
	track    int
	keyframe atomic.Bool
	meta     metaMap
	what     string
}

// NewEncoder implements engine.Device.
func (d *Device) NewEncoder(p engine.EncoderParams) (engine.Encoder, error) {
	profile := ""
	if p.Baseline {
		profile = "baseline"
	}
	enc, err := ffmpeg.NewEncoder(ffmpeg.EncoderConfig{
		Format: p.In, Preset: p.Preset, Bitrate: p.Bitrate, FrameRate: p.FrameRate,
		Threads: threadsFor(p.In, p.FrameRate, p.Threads), Profile: profile,
	})
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("libx264 %s, %s, %d kb/s", p.Preset, p.In.Size(), p.Bitrate/1000)
	return &encoder{enc: enc, track: p.Track, meta: metaMap{}, what: what}, nil
}

// threadsFor returns how many threads the work on a picture is worth, up to limit: one for 1280×720 at 30 frames/s. More
// would wake for a few milliseconds each, cost 4 % more CPU and, in x264, cut the picture into slices.
func threadsFor(f media.Format, fps float64, limit int) int {
	const perThread = 1280 * 720 * 30
	return max(1, min(limit, int(math.Ceil(float64(f.Width*f.Height)*fps/perThread))))
}

// Send implements engine.Stage.
func (e *encoder) Send(f *media.Frame, emit func(media.Packet) error) error {
	defer f.Release()
	pts := media.Ticks(f.PTS, media.VideoClockRate)
	e.meta.put(pts, f.Meta)
	if err := e.enc.Send(ffmpeg.Native(f), pts, e.keyframe.Swap(false)); err != nil {
		return err
	}
	return e.receive(emit)
}

// Flush implements engine.Stage.
func (e *encoder) Flush(emit func(media.Packet) error) error {
	if err := e.enc.Drain(); err != nil {
		return fmt.Errorf("flush encoder: %w", err)
	}
	return e.receive(emit)
}

func (e *encoder) receive(emit func(media.Packet) error) error {
	for {
		data, pts, key, err := e.enc.Receive()
		if stop, err := done(err); stop {
			return err
		}
		m := e.meta.take(pts)
		err = emit(media.Packet{
			Track: e.track, PTS: m.PTS, Data: data, Keyframe: key, Marker: true,
			Arrival: m.Arrival, NTP: m.NTP, Enhancer: m.Enhancer, Held: m.Held,
		})
		if err != nil {
			return err
		}
	}
}

// RequestKeyframe implements engine.Encoder.
func (e *encoder) RequestKeyframe() { e.keyframe.Store(true) }

// SetRate implements engine.Encoder.
func (e *encoder) SetRate(bps int, fps float64) { e.enc.SetRate(bps, fps) }

// Describe implements engine.Encoder.
func (e *encoder) Describe() string { return e.what }

// Close implements engine.Stage.
func (e *encoder) Close() { e.enc.Close() }
