package gate

import (
	"slices"
	"time"
)

// Bounds of a kept group of pictures.
const (
	maxGOPBytes = 16 << 20
	maxGOPTime  = 12 * time.Second
	maxGOPAge   = 5 * time.Second // a camera that is away must not look alive to who joins
)

// GOP keeps the pictures since the last keyframe, for readers that join. One that grows too large is given up until the
// next keyframe: such readers wait for that. It is for one goroutine at a time.
type GOP[U Unit] struct {
	units []U
	bytes int
	began time.Duration // stream time of the keyframe
	last  time.Time     // when the newest was added
}

// Add takes the next unit with its stream time; sound is not kept.
func (g *GOP[U]) Add(u U, pts time.Duration) {
	if !u.Video() {
		return
	}
	if u.Keyframe() {
		*g = GOP[U]{began: pts}
	} else if len(g.units) == 0 {
		return
	}
	g.bytes += u.Size()
	if g.bytes > maxGOPBytes || pts-g.began > maxGOPTime {
		*g = GOP[U]{}
		return
	}
	g.units, g.last = append(g.units, u), time.Now()
}

// Snapshot returns what a new reader starts with: nothing if that is no longer live.
func (g *GOP[U]) Snapshot() []U {
	if time.Since(g.last) > maxGOPAge {
		return nil
	}
	return slices.Clone(g.units)
}
