package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// A decoder that fails this often in a row, with no picture in between, is rebuilt.
const decoderPatience = 50

// After so many pictures a decoder knows what the stream is like: interlaced, reordered.
const settled = 30

// Between two keyframes on demand.
const keyframeInterval = 500 * time.Millisecond

// decodeStage is what the decode goroutine owns.
type decodeStage struct {
	dec    Decoder
	failed int // in a row
	// sequence holds the sequence parameter sets that dec was made for; nil if they never came in-band
	sequence []byte
	input    atomic.Pointer[string]
	format   media.Format // of the last picture
	damage   damageGate
	pictures atomic.Int64 // decoded so far
	interval intervalMeter
	behind   bool // pictures are being skipped
}

func (d *decodeStage) close() {
	if d.dec != nil {
		d.dec.Close()
		d.dec = nil
	}
}

// decodeIn decodes one access unit into the frames queue.
func (s *Session) decodeIn(ctx context.Context) func(media.Packet, bool) error {
	return func(p media.Packet, behind bool) error {
		d := &s.dec
		s.obs.Waiting(StageDecode, s.packets.Len())
		if p.Discontinuity || d.damage.mends(s.cfg.Track.Codec, p) { // what the old decoder holds back is from before an outage or damage
			if err := s.endDecoder(ctx); err != nil {
				return err
			}
		}
		if err := s.followSequence(ctx, p); err != nil {
			return err
		}
		if d.dec == nil {
			if err := s.openDecoder(ctx); err != nil {
				return err
			}
		}
		d.damage.packet(s.cfg.Track.Codec, p)
		d.dec.SkipNonReference(behind)
		d.behind = behind
		start, waited := time.Now(), time.Since(p.Arrival)
		var emitting time.Duration
		before := d.pictures.Load()
		err := d.dec.Send(p, s.passDecoded(ctx, &emitting))
		s.obs.StageDone(StageDecode, waited, time.Since(start)-emitting)
		if err == nil {
			d.failed = 0
			if behind && d.pictures.Load() == before && media.Disposable(s.cfg.Track.Codec, p.Data) {
				s.obs.Dropped(StageDecode, DropSkipped, wanted(p))
			}
			return nil
		}
		if err := scope(ctx, err); err != nil {
			return err
		}
		s.obs.Dropped(StageDecode, DropCorrupt, wanted(p))
		d.damage.undecoded(s.cfg.Track.Codec, p)
		if n, ok := s.undecoded.pass(time.Now()); ok {
			s.log.Warn("access unit not decoded", "err", err, "bytes", len(p.Data), "keyframe", p.Keyframe, "others_before", n)
		}
		if d.failed++; d.failed >= decoderPatience {
			if n, ok := s.rebuilt.pass(time.Now()); ok {
				s.log.Warn("decoder rebuilt after repeated errors", "err", err, "errors", d.failed, "others_before", n)
			}
			d.failed = 0
			d.close()
			s.packets.WaitKeyframe()
		}
		return nil
	}
}

// followSequence gives new sequence parameter sets a new decoder: FFmpeg's keeps the colours of the old ones where the
// new ones are silent.
func (s *Session) followSequence(ctx context.Context, p media.Packet) error {
	if !p.Keyframe {
		return nil
	}
	sets := media.SequenceSets(s.cfg.Track.Codec, p.Data)
	if len(sets) == 0 || bytes.Equal(sets, s.dec.sequence) {
		return nil
	}
	known := s.dec.sequence != nil
	s.dec.sequence = sets
	if !known {
		return nil
	}
	return s.endDecoder(ctx)
}

// endDecoder gives out what the decoder holds back and closes it; the next packet gets a new one.
func (s *Session) endDecoder(ctx context.Context) error {
	err := s.decodeFlush(ctx)
	s.dec.close()
	if err != nil {
		return scope(ctx, err)
	}
	return nil
}

func (s *Session) openDecoder(ctx context.Context) error {
	dec, err := s.cfg.Plan.Decode.NewDecoder(ctx, DecoderParams{
		Track:       s.cfg.Track,
		Threads:     s.cfg.Threads,
		Deinterlace: s.cfg.Deinterlace,
		// Waiting, in the decoder's hand, in the enhancer, kept: the last and the last enhanced; in renditions.
		Frames:    maxWaitingFrames + 4 + s.browser.frames() + s.originalLow.frames(),
		Ledger:    &s.ledger,
		Stream:    s.cfg.Stream,
		Log:       s.log,
		MaxPixels: s.cfg.MaxPixels,
		OnDamage:  s.dec.damage.found,
	})
	if err != nil {
		return fmt.Errorf("open decoder: %w", err)
	}
	s.dec.dec = dec
	return nil
}

// passDecoded stamps a picture and queues it; emitting collects the time that was spent in the queue.
func (s *Session) passDecoded(ctx context.Context, emitting *time.Duration) func(*media.Frame) error {
	return func(f *media.Frame) error {
		decoded := time.Now()
		f.Decoded = decoded
		defer func() { *emitting += time.Since(decoded) }()
		if n := s.dec.pictures.Add(1); f.Format != s.dec.format || n < settled {
			input := s.dec.dec.Input()
			s.dec.input.Store(&input)
			s.dec.format = f.Format
		}
		clean := s.dec.damage.clean(f)
		if f.Unwanted {
			f.Release()
			return nil
		}
		s.obs.Decoded()
		if s.dec.behind {
			s.dec.interval.skip()
		} else {
			s.dec.interval.observe(f.PTS)
		}
		if !clean {
			f.Release()
			s.obs.Dropped(StageDecode, DropDamaged, 1)
			return nil
		}
		f, same := share(f, s.ledger.misused)
		s.decoded.put(same)
		return put(ctx, s.frames, s.originalLow.tap(s.browser.tap(f)))
	}
}

func (s *Session) decodeFlush(ctx context.Context) error {
	if s.dec.dec == nil {
		return nil
	}
	var emitting time.Duration
	return s.dec.dec.Flush(s.passDecoded(ctx, &emitting))
}

// enhanceStage is what the enhance goroutine owns: one ladder for each generation.
type enhanceStage struct {
	ladder     *ladder
	in, out    media.Format
	modelScale int // of the first rung
	shown      time.Time
	prefer     *string
	overload   overloadReport
	steady     steady
}

func (e *enhanceStage) close() {
	e.steady.close()
	if e.ladder != nil {
		e.ladder.close()
		e.ladder = nil
	}
	e.in = media.Format{}
}

// enhanceIn makes one output picture, by whatever rung is best at this moment.
func (s *Session) enhanceIn(ctx context.Context) func(*media.Frame) error {
	return func(f *media.Frame) error {
		e := &s.enh
		s.obs.Waiting(StageEnhance, s.frames.Len())
		f, err := s.keepSize(ctx, f)
		if f == nil {
			return err
		}
		if f.Format != e.in {
			if err := s.newGeneration(ctx, f.Format); err != nil {
				f.Release()
				s.obs.Dropped(StageEnhance, DropError, 1)
				return err
			}
		}
		start := time.Now()
		if s.packets.Late(f.PTS, e.shown, start) || s.still.passed(f.PTS) {
			f.Release()
			s.obs.Dropped(StageEnhance, DropLate, 1)
			return nil
		}
		e.shown = start
		s.applyPreference()
		if s.cfg.Replay {
			if err := e.ladder.settle(ctx); err != nil {
				f.Release()
				return err
			}
		}
		return s.enhance(ctx, f, start)
	}
}

func (s *Session) enhance(ctx context.Context, f *media.Frame, start time.Time) error {
	e := &s.enh
	e.ladder.setInterval(s.dec.interval.get())
	waited := start.Sub(f.Decoded)
	var emitting time.Duration
	f, original := share(f, s.ledger.misused)
	err := e.ladder.send(ctx, f, func(out *media.Frame) error {
		out.Enhanced = time.Now()
		enhanced := out.Enhanced // out has another owner after put
		defer func() { emitting += time.Since(enhanced) }()
		if original != nil {
			made, same := share(out, s.ledger.misused)
			s.made.put(original, same)
			out, original = made, nil
		}
		err := put(ctx, s.enhanced, s.low.tap(out))
		if err != nil && !errors.Is(context.Cause(ctx), context.Canceled) { // the session has failed, and was not ended
			s.obs.Dropped(StageEnhance, DropError, 1)
		}
		return err
	})
	if original != nil {
		original.Release()
	}
	if err == nil {
		worked := time.Since(start) - emitting
		s.obs.StageDone(StageEnhance, waited, worked)
		e.overload.worked(s, worked)
		return nil
	}
	if err := scope(ctx, err); err != nil {
		return err
	}
	if s.cfg.Strict {
		if why := e.ladder.strictFailure(); why != nil {
			s.obs.Dropped(StageEnhance, DropError, 1)
			return fmt.Errorf("%w, and %s failed: %w", errStrict, s.cfg.Quality[0], why)
		}
	}
	reason := DropError
	if errors.Is(err, errNoRung) {
		reason = DropNoEnhancer
	}
	s.obs.Dropped(StageEnhance, reason, 1)
	return nil
}

// newGeneration drains the old format's ladder and makes the new one's. The encoder follows when it sees the first
// picture of the new size.
func (s *Session) newGeneration(ctx context.Context, in media.Format) error {
	e := &s.enh
	if err := s.enhanceFlush(ctx); err != nil {
		return err
	}
	e.close()
	info := ModelInfo{Scale: 2}
	if s.cfg.Output.Scale == 0 {
		known, err := s.cfg.Plan.Enhance.Inspect(ctx, s.cfg.Quality[0])
		switch {
		case err == nil:
			info = known
		case s.cfg.Strict:
			s.obs.RungLoaded(s.cfg.Quality[0], err)
			return fmt.Errorf("%w: %w", errStrict, err)
		default:
			s.log.Error("the scale of the first entry of quality is not known, so the output is twice the input", "err", err)
		}
	}
	e.in, e.out, e.modelScale = in, s.cfg.Output.Format(in, info.Scale), info.Scale
	if err := s.cfg.checkOutput(e.out); err != nil {
		s.obs.RungLoaded(s.cfg.Quality[0], err)
		return err
	}
	rungs := s.cfg.Quality
	if s.cfg.Strict {
		rungs = rungs[:1]
	}
	out := e.out
	e.ladder = newLadder(ctx, ladderConfig{
		names: rungs, live: !s.cfg.Replay, mix: s.cfg.Plan.Enhance.Mix, misused: s.ledger.misused, log: s.log, onLoad: s.obs.RungLoaded,
		open: func(ctx context.Context, rung string) (Enhancer, error) {
			return s.cfg.Plan.Enhance.NewEnhancer(ctx, EnhancerParams{
				Rung:    rung,
				In:      in,
				Out:     out,
				Threads: s.cfg.Threads,
				// Waiting, in the enhancer's hand, in the encoder, kept for snapshots and to be repeated.
				Frames: maxWaitingEnhanced + 4 + s.low.frames(),
				Ledger: &s.ledger,
			})
		},
		onChange: func(from, to, reason string) {
			s.enh.overload.restart()
			s.obs.RungChanged(from, to, reason)
		},
	})
	s.announcePlan()
	return nil
}

func (s *Session) applyPreference() {
	if p := s.prefer.Load(); p != s.enh.prefer {
		s.enh.prefer = p
		s.enh.ladder.Prefer(*p)
	}
}

func (s *Session) enhanceFlush(ctx context.Context) error {
	if s.enh.ladder == nil {
		return nil
	}
	return s.enh.ladder.flush(func(f *media.Frame) error {
		f.Enhanced = time.Now()
		return put(ctx, s.enhanced, f)
	})
}
