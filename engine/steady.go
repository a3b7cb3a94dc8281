package engine

import (
	"context"
	"time"

	"rave/engine/media"
)

// steady keeps the size of what is enhanced while the sender tries others: a browser that publishes rescales with every
// change of its network. It belongs to the enhance goroutine.
type steady struct {
	other   media.Format  // what comes instead; zero: nothing else
	since   time.Duration // stream time of the first picture of it
	resizer Enhancer      // from the format from to the generation's; nil: none has been needed
	from    media.Format
}

func (s *steady) close() {
	if s.resizer != nil {
		s.resizer.Close()
	}
	*s = steady{}
}

// keeps reports whether a picture is to be resized to the generation's format, in. Another shape is followed at once, as
// when a phone is turned: it cannot be resized without a distortion.
func (s *steady) keeps(in media.Format, f *media.Frame, patience time.Duration) bool {
	switch {
	case f.Format == in || patience == 0 || !sameShape(in, f.Format):
		s.other = media.Format{}
		return false
	case f.Format != s.other:
		s.other, s.since = f.Format, f.PTS
		return true
	}
	return f.PTS-s.since < patience
}

// sameShape reports that two formats differ in size only, and in what is guessed by size (media.Color.Resolve). Sizes are
// rounded to whole macroblocks at the worst: 2 % is the same shape.
func sameShape(a, b media.Format) bool {
	skew := a.Width*b.Height - b.Width*a.Height
	if max(skew, -skew)*50 > a.Width*b.Height {
		return false
	}
	const unspecified = 2
	if a.Color.Primaries == unspecified && b.Color.Primaries == unspecified {
		b.Color.Matrix = a.Color.Matrix
	}
	b.Width, b.Height = a.Width, a.Height
	return a == b
}

// keepSize returns the picture to enhance: f, or f resized. It returns nil if there is none; the error ends the run.
func (s *Session) keepSize(ctx context.Context, f *media.Frame) (*media.Frame, error) {
	e := &s.enh
	if !e.steady.keeps(e.in, f, s.cfg.SteadySize) {
		return f, nil
	}
	if e.steady.resizer == nil || e.steady.from != f.Format {
		if err := s.openResizer(ctx, f.Format); err != nil {
			s.log.Error("pictures of another size cannot be resized; the stream takes that size", "size", f.Size(), "err", err)
			return f, nil
		}
	}
	var resized *media.Frame
	err := e.steady.resizer.Send(f, func(out *media.Frame) error {
		resized = out
		return nil
	})
	if err != nil {
		s.obs.Dropped(StageEnhance, DropError, 1)
		return nil, scope(ctx, err)
	}
	return resized, nil
}

func (s *Session) openResizer(ctx context.Context, from media.Format) error {
	e := &s.enh
	if e.steady.resizer != nil {
		e.steady.resizer.Close()
		e.steady.resizer = nil
	}
	in := from
	in.Color = e.in.Color // what differs was guessed
	resizer, err := s.cfg.Plan.Enhance.NewEnhancer(ctx, EnhancerParams{
		Rung: Lanczos, In: in, Out: e.in, Threads: s.cfg.Threads, Ledger: &s.ledger,
		Frames: 3, // in the resizer's hand, in the enhancer, kept
	})
	if err != nil {
		return err
	}
	e.steady.resizer, e.steady.from = resizer, from
	return nil
}
