package engine

import (
	"context"
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// A change of rungs fades over so many pictures, or over the time if that is shorter, so that sharpness does not jump.
const (
	fadePictures = 8
	fadeLimit    = 2 * time.Second
)

// fade is a change of rungs that is going on: both make every picture and the two are mixed.
type fade struct {
	from  int
	began time.Time
	made  int     // pictures, this one included
	share float64 // of the new rung in this picture
}

// next goes on to the next picture and reports whether it is still one of the fade.
func (f *fade) next(now time.Time) bool {
	f.made++
	f.share = max(float64(f.made)/(fadePictures+1), now.Sub(f.began).Seconds()/fadeLimit.Seconds())
	return f.share < 1
}

// sendBoth has f made by both rungs of a change and mixes the two pictures. The old one's failure ends the fade and
// costs nothing.
func (l *ladder) sendBoth(ctx context.Context, s served, f *media.Frame) ([]*media.Frame, error) {
	one, other := share(f, l.misused)
	outs, err := l.make(s.new, one)
	if err != nil {
		other.Release()
		return nil, err
	}
	olds, err := l.make(s.old, other)
	if err != nil {
		_ = l.failed(ctx, err) // it has been logged, and there is a picture all the same
		return outs, nil
	}
	defer releaseAll(olds)
	for i := range min(len(outs), len(olds)) {
		if err := l.mix(outs[i], olds[i], s.share); err != nil {
			l.log.Error("the change to another enhancer is sudden: the pictures of the two cannot be mixed", "err", err)
			l.mu.Lock()
			l.fading = nil
			l.mu.Unlock()
			break
		}
	}
	return outs, nil
}

// shared is a frame with several owners: it is released when all are done with it. Who calls view is one of them.
type shared struct {
	f       *media.Frame
	left    atomic.Int32
	misused func()
}

// share makes two frames of one, for two readers of the same memory. Each is released by its owner; misused is called if
// one is released twice.
func share(f *media.Frame, misused func()) (one, other *media.Frame) {
	s := &shared{f: f, misused: misused}
	return s.view(), s.view()
}

// view returns one more frame of the same memory.
func (s *shared) view() *media.Frame {
	s.left.Add(1)
	v := media.NewFrame(s)
	v.Meta, v.Format, v.Planes, v.Strides, v.Native = s.f.Meta, s.f.Format, s.f.Planes, s.f.Strides, s.f.Native
	return v
}

// Free implements media.Owner.
func (s *shared) Free(*media.Frame) {
	if s.left.Add(-1) == 0 {
		s.f.Release()
	}
}

// Misused implements media.Owner. The other reader may still need the memory.
func (s *shared) Misused(*media.Frame) { s.misused() }
