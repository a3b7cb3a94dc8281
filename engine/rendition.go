package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// What may be in flight of a rendition's pictures: one waits, one is in its hand.
const renditionFrames = 2

// rendition is one more encoding of the camera's or of the enhanced pictures.
type rendition struct {
	*side[*media.Frame]
	s        *Session
	out      media.Output
	size     func(media.Format) media.Format // of what is made of pictures of a format
	effort   float64                         // its bitrate, over what is usual for the size
	keyframe atomic.Bool

	// Of its goroutine:
	enc    encodeStage
	in     media.Format // that pictures come in
	scaler Enhancer     // nil: they are encoded as they come
}

func newRendition(s *Session, name string, out media.Output, size func(media.Format) media.Format, effort float64) *rendition {
	r := &rendition{s: s, out: out, size: size, effort: effort}
	r.side = newSide(s, name, renditionFrames-1, (*media.Frame).Release)
	r.work, r.end = r.encode, r.close
	return r
}

// frames is how many pictures it may have in flight; r may be nil.
func (r *rendition) frames() int {
	if r == nil {
		return 0
	}
	return renditionFrames
}

// tap passes f on, and lets the rendition have it as well if that is wanted; r may be nil.
func (r *rendition) tap(f *media.Frame) *media.Frame {
	if r == nil || !r.wanted.Load() {
		return f
	}
	f, same := share(f, r.s.ledger.misused)
	r.put(same)
	return f
}

// refresh asks for a keyframe; r may be nil.
func (r *rendition) refresh() {
	if r != nil {
		r.keyframe.Store(true)
	}
}

// encode makes one access unit and gives it out.
func (r *rendition) encode(ctx context.Context, f *media.Frame) error {
	e := &r.enc
	if e.enc == nil || f.Format != r.in {
		r.close()
		if err := r.open(ctx, f); err != nil {
			f.Release()
			return err
		}
	}
	e.ascend(f)
	e.adaptRate(f.PTS, r.bitrate)
	if e.due(f.PTS, r.s.cfg.GOP, &r.keyframe) {
		e.requestKeyframe(f.PTS, &r.keyframe)
	}
	send := func(f *media.Frame) error { return e.enc.Send(f, r.give) }
	if r.scaler != nil {
		return r.scaler.Send(f, send)
	}
	return send(f)
}

// open makes an encoder, and a scaler where one is needed, for pictures like f.
func (r *rendition) open(ctx context.Context, f *media.Frame) error {
	e, c, out := &r.enc, &r.s.cfg, r.size(f.Format)
	if out != f.Format {
		scaler, err := c.Plan.Enhance.NewEnhancer(ctx, EnhancerParams{
			Rung: Lanczos, In: f.Format, Out: out, Threads: c.Threads, Frames: 1, Ledger: &r.s.ledger,
		})
		if err != nil {
			return fmt.Errorf("open scaler: %w", err)
		}
		r.scaler = scaler
	}
	e.fps = e.rate.fps(25)
	e.bitrate = r.bitrate(out, e.fps)
	enc, err := c.Plan.Encode.NewEncoder(EncoderParams{
		In: out, Track: c.Track.ID, Preset: c.Preset, Bitrate: e.bitrate, FrameRate: e.fps, Threads: c.Threads, Baseline: true,
	})
	if err != nil {
		r.close()
		return fmt.Errorf("open encoder: %w", err)
	}
	e.enc, e.in, e.announced, r.in = enc, out, false, f.Format
	e.requestKeyframe(f.PTS, &r.keyframe)
	return nil
}

func (r *rendition) bitrate(f media.Format, fps float64) int {
	return int(r.effort * float64(Bitrate(f, fps)))
}

// give sends a packet out, after the description of its track when it is the first of an encoder.
func (r *rendition) give(p media.Packet) error {
	if !r.enc.announced {
		if err := r.out.Tracks([]media.Track{encodedTrack(p, r.enc.in)}); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
		r.enc.announced = true
	}
	return r.out.Packet(p)
}

// close frees what open made.
func (r *rendition) close() {
	r.enc.close()
	r.in = media.Format{}
	if r.scaler != nil {
		r.scaler.Close()
		r.scaler = nil
	}
}

// ascend gives f a time after that of the picture before: the camera's clock may stand still, and the encoder needs time to
// go on.
func (e *encodeStage) ascend(f *media.Frame) {
	if e.started && f.PTS <= e.last {
		f.PTS = e.last + time.Second/media.VideoClockRate + 1
	}
	e.last, e.started = f.PTS, true
}

// due reports whether it is time for a keyframe, or somebody has asked for one and the last is old enough.
func (e *encodeStage) due(pts, gop time.Duration, asked *atomic.Bool) bool {
	since := pts - e.keyed
	return since >= gop || since >= keyframeInterval && asked.Load()
}

// requestKeyframe makes the picture at pts a keyframe, which answers all requests so far.
func (e *encodeStage) requestKeyframe(pts time.Duration, asked *atomic.Bool) {
	asked.Store(false)
	e.enc.RequestKeyframe()
	e.keyed = pts
}
