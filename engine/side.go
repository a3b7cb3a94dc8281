package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// Renditions are what a session makes beside the enhanced picture, while somebody wants it. Their names are stages as well,
// for drops.
const (
	RenditionBrowser     = "browser"      // the camera's picture as H.264 that every browser shows: constrained baseline, no B-frames
	RenditionLow         = "low"          // the enhanced picture, small and at a low bitrate
	RenditionOpus        = "opus"         // the camera's sound; of AAC only
	RenditionOriginalLow = "original-low" // the camera's picture, small and at a low bitrate
)

// Renditions lists them.
func Renditions() []string {
	return []string{RenditionBrowser, RenditionLow, RenditionOpus, RenditionOriginalLow}
}

// After a failure a rendition rests for so long.
const sideRest = time.Second

// side is work beside the data path. It has a queue and a goroutine of its own, so that it delays nobody: when it is behind,
// its oldest item goes. While nobody wants it, it is given nothing and holds nothing. What fails costs that item, and what
// comes while it rests then. Drops are counted under its name.
type side[T any] struct {
	name     string
	obs      Observer
	log      *slog.Logger
	work     func(ctx context.Context, item T) error // owns item
	release  func(item T)                            // of what is not worked on
	end      func()                                  // frees what work has opened
	wanted   atomic.Bool
	queue    *Queue[sideItem[T]]
	failed   time.Time
	failures repeats
}

// sideItem is one item, or the word that nobody wants more.
type sideItem[T any] struct {
	item T
	stop bool
}

// newSide makes a side of which at most capacity items wait.
func newSide[T any](s *Session, name string, capacity int, release func(T)) *side[T] {
	b := &side[T]{name: name, obs: s.obs, log: s.log, release: release}
	b.failures.every = 10 * time.Second
	b.queue = NewQueue(capacity, func(i sideItem[T]) { b.drop(i, DropOverload) })
	return b
}

// put adds an item, which belongs to the side from now on. It never waits.
func (b *side[T]) put(item T) { b.queue.Put(context.Background(), sideItem[T]{item: item}) }

// want says whether anybody wants the work, from any goroutine.
func (b *side[T]) want(on bool) {
	if b.wanted.Swap(on) && !on {
		b.queue.Put(context.Background(), sideItem[T]{stop: true})
	}
}

// run works until ctx ends.
func (b *side[T]) run(ctx context.Context) {
	_ = b.queue.Each(ctx, func(i sideItem[T]) error {
		b.take(ctx, i)
		return nil
	})
	b.end()
}

func (b *side[T]) take(ctx context.Context, i sideItem[T]) {
	switch {
	case i.stop, !b.wanted.Load(): // or it was put while that was being said
		b.drop(i, "")
		b.end()
	case time.Since(b.failed) < sideRest:
		b.drop(i, DropError)
	default:
		err := b.work(ctx, i.item)
		if err == nil || ctx.Err() != nil {
			return
		}
		b.end()
		b.failed = time.Now()
		b.obs.Dropped(b.name, DropError, 1)
		if n, ok := b.failures.pass(b.failed); ok {
			b.log.Error("rendition failed, beginning anew", "rendition", b.name, "err", err, "in", sideRest, "others_before", n)
		}
	}
}

// drain empties the queue when nobody works any more.
func (b *side[T]) drain(failed bool) {
	reason := ""
	if failed {
		reason = DropError
	}
	b.queue.Drain(func(i sideItem[T]) { b.drop(i, reason) })
}

// drop gives up an item; it counts with a reason, and if anybody wants it.
func (b *side[T]) drop(i sideItem[T], reason string) {
	if i.stop {
		return
	}
	b.release(i.item)
	if reason != "" && b.wanted.Load() {
		b.obs.Dropped(b.name, reason, 1)
	}
}

// beside is a side of whatever items.
type beside interface {
	want(on bool)
	run(ctx context.Context)
	drain(failed bool)
}

// makeSides prepares the renditions that there are outputs for. Live only: in replay mode nothing may be dropped.
func (s *Session) makeSides() {
	s.sides = map[string]beside{}
	if s.cfg.Replay {
		return
	}
	picture := func(name string, size func(media.Format) media.Format, effort float64) *rendition {
		out := s.cfg.Renditions[name]
		if out == nil {
			return nil
		}
		r := newRendition(s, name, out, size, effort)
		s.sides[name] = r
		return r
	}
	s.browser = picture(RenditionBrowser, evenSize, 1.5)
	s.low = picture(RenditionLow, lowSize, 0.5)
	s.originalLow = picture(RenditionOriginalLow, lowSize, 0.5)
	if out := s.cfg.Renditions[RenditionOpus]; out != nil && Transcodes(s.cfg.Sound) {
		s.sound = newSound(s, out)
		s.sides[RenditionOpus] = s.sound
	}
}

// startSides lets the renditions work until stop is called.
func (s *Session) startSides(ctx context.Context) (stop func(failed bool)) {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	for _, b := range s.sides {
		working.Go(func() { b.run(ctx) })
	}
	return func(failed bool) {
		cancel()
		working.Wait()
		for _, b := range s.sides {
			b.drain(failed)
		}
	}
}

// Want says whether anybody wants a rendition: nothing is made of one that nobody does. One that there is no output for is
// ignored. It may be called from any goroutine, before Run as well.
func (s *Session) Want(rendition string, on bool) {
	if b := s.sides[rendition]; b != nil {
		b.want(on)
	}
}

// Refresh asks for a keyframe of a rendition soon; requests are shared and limited as those of RequestKeyframe, which asks
// for one of RenditionLow as well.
func (s *Session) Refresh(rendition string) {
	switch rendition {
	case RenditionBrowser:
		s.browser.refresh()
	case RenditionLow:
		s.low.refresh()
	case RenditionOriginalLow:
		s.originalLow.refresh()
	}
}

// evenSize is a format that H.264 can have.
func evenSize(f media.Format) media.Format { return OutputRule{Scale: 1}.Format(f, 1) }

// lowSize is a format for narrow networks: at most 640x360, or 360x640.
func lowSize(f media.Format) media.Format {
	return OutputRule{Scale: 1, MaxWidth: 640, MaxHeight: 360}.Format(f, 1)
}
