// Package gate is what stands between a stream and one reader of it: a bounded queue that gives up whole pictures, up to a
// keyframe, when its reader is behind. So what a reader gets can always be decoded, it is never late for long, and who
// writes to it never waits.
package gate

import (
	"sync"
	"time"
)

// Unit is what waits: one access unit or one packet of sound. It is shared by gates and never changed.
type Unit interface {
	Video() bool
	Keyframe() bool // of video: decoding can start here
	Size() int      // bytes
}

// Limits bound what waits in a gate. The zero value of Age is no bound.
type Limits struct {
	Units, Bytes int
	Age          time.Duration // of the oldest unit
}

// Gate is the queue of one reader. Push may be called from any goroutine; the others by the reader's.
type Gate[U Unit] struct {
	limits Limits
	video  bool // the reader has video
	wake   chan struct{}

	mu      sync.Mutex
	backlog []U // the group of pictures that it starts with; not limited
	queue   []waiting[U]
	bytes   int  // in queue
	started bool // a keyframe has come, or there is no video
	skips   bool // it has fallen behind and waits for a keyframe
}

type waiting[U Unit] struct {
	unit  U
	since time.Time
}

// New makes a gate of a reader that starts with the units of start, or with the next keyframe if there are none. video says
// that it has video.
func New[U Unit](limits Limits, video bool, start []U) *Gate[U] {
	return &Gate[U]{limits: limits, video: video, backlog: start, started: len(start) > 0 || !video, wake: make(chan struct{}, 1)}
}

// Push offers a unit. dropped is the number of access units (packets, without video) that this reader will not get because
// it is slow; waits says that it needs a keyframe from now on.
func (g *Gate[U]) Push(u U) (dropped int, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	entry := u.Video() && u.Keyframe()
	switch {
	case !g.started && !entry:
		return 0, false // nothing to show yet
	case g.skips && !entry:
		return g.count(u), false
	case g.skips || g.full(u):
		if dropped, waits = g.skip(u); waits {
			return dropped, true
		}
	}
	g.started, g.skips = true, false
	g.queue = append(g.queue, waiting[U]{u, time.Now()})
	g.bytes += u.Size()
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return dropped, false
}

// Waits reports that the reader needs a keyframe to begin or to go on.
func (g *Gate[U]) Waits() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.started || g.skips
}

// full needs mu.
func (g *Gate[U]) full(u U) bool {
	if len(g.queue) == 0 {
		return g.limits.Units == 0
	}
	return len(g.queue) >= g.limits.Units || g.bytes+u.Size() > g.limits.Bytes ||
		g.limits.Age > 0 && time.Since(g.queue[0].since) > g.limits.Age
}

// skip makes room for u: what waits before the newest keyframe goes. If there is none, all goes and the reader waits for
// one, u included. A reader without video loses what waits. It needs mu.
func (g *Gate[U]) skip(u U) (dropped int, waits bool) {
	from := len(g.queue)
	entry := u.Video() && u.Keyframe()
	switch {
	case entry, !g.video, g.skips:
	default:
		for from--; from > 0 && !(g.queue[from].unit.Video() && g.queue[from].unit.Keyframe()); from-- {
		}
		if from <= 0 {
			from, g.skips = len(g.queue), true
		}
	}
	for _, old := range g.queue[:from] {
		g.bytes -= old.unit.Size()
		dropped += g.count(old.unit)
	}
	g.queue = append([]waiting[U](nil), g.queue[from:]...)
	if g.skips && !entry {
		return dropped + g.count(u), true
	}
	return dropped, false
}

// count is 1 for what drops are counted in: pictures, or packets of sound if there is no video.
func (g *Gate[U]) count(u U) int {
	if u.Video() || !g.video {
		return 1
	}
	return 0
}

// Next takes the next unit; false when stop is closed.
func (g *Gate[U]) Next(stop <-chan struct{}) (u U, ok bool) {
	for {
		if u, ok = g.take(); ok {
			return u, true
		}
		select {
		case <-g.wake:
		case <-stop:
			return u, false
		}
	}
}

func (g *Gate[U]) take() (u U, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.backlog) > 0 {
		u, g.backlog = g.backlog[0], g.backlog[1:]
		return u, true
	}
	if len(g.queue) == 0 {
		return u, false
	}
	u = g.queue[0].unit
	g.queue[0] = waiting[U]{}
	g.queue = g.queue[1:]
	g.bytes -= u.Size()
	return u, true
}
