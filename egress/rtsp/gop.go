package rtsp

import "time"

// Bounds of a kept group of pictures.
const (
	maxGOPBytes = 16 << 20
	maxGOPTime  = 12 * time.Second
)

// gop keeps the pictures since the last keyframe, for readers that join. One that grows too large is given up until the
// next keyframe: such readers wait for that.
type gop struct {
	units []*unit
	bytes int
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
	g.units = append(g.units, u)
}

// snapshot returns what a new reader starts with.
func (g *gop) snapshot() []*unit { return append([]*unit(nil), g.units...) }
