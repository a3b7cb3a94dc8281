package rtsp

import "time"

// Bounds of a kept group of pictures.
const (
	maxGOPBytes = 16 << 20
	maxGOPTime  = 12 * time.Second
	maxGOPAge   = 5 * time.Second // a camera that is away must not look alive to who joins
)

// gop keeps the pictures since the last keyframe, for readers that join. One that grows too large is given up until the
// next keyframe: such readers wait for that.
type gop struct {
	units []*unit
	bytes int
	last  time.Time // when the newest was added
}

func (g *gop) add(u *unit) {
	if !u.video {
		return
	}
	if u.keyframe {
		*g = gop{}
	} else if len(g.units) == 0 {
		return
	}
	g.bytes += u.bytes
	if g.bytes > maxGOPBytes || len(g.units) > 0 && u.pts-g.units[0].pts > maxGOPTime {
		*g = gop{}
		return
	}
	g.units, g.last = append(g.units, u), time.Now()
}

// snapshot returns what a new reader starts with: nothing if that is no longer live.
func (g *gop) snapshot() []*unit {
	if time.Since(g.last) > maxGOPAge {
		return nil
	}
	return append([]*unit(nil), g.units...)
}
