package webrtc

import "time"

// How long a viewer whose network was too slow for the full picture keeps to the small one: at first, and at most.
const (
	leastRest  = 10 * time.Second
	mostRest   = 5 * time.Minute
	provenTime = time.Minute // with the full picture again, and the next rest is a short one
)

// slower moves the viewer to the small picture, if there is one, from its next keyframe on. It reports whether that changes
// who wants what. It needs path.mu.
func (v *viewer) slower(now time.Time) bool {
	low := v.path.renditions[Low]
	if low == nil || !v.h264() || v.picture == low || v.next == low {
		return false
	}
	v.rest = min(max(leastRest, 2*v.rest), mostRest)
	if now.Sub(v.stepped) > provenTime {
		v.rest = leastRest
	}
	v.next, v.retry = low, now.Add(v.rest)
	return true
}

// faster lets the viewer try the full picture again when its rest is over. It reports like slower. It needs path.mu.
func (v *viewer) faster(now time.Time) bool {
	if v.picture != v.path.renditions[Low] || v.next != nil || now.Before(v.retry) {
		return false
	}
	v.next, v.stepped = v.wants, now
	return true
}

// unfit is told that the stream has turned out to be one that browsers do not play: those that watch it as it is get it in
// another form, or must go. It needs path.mu.
func (p *Path) unfit() (gone []*viewer) {
	browser := p.renditions[Browser]
	for _, v := range p.viewers {
		switch {
		case v.wants != p.main:
		case browser == nil || !v.h264():
			gone = append(gone, v)
		default:
			v.wants = browser
			if v.picture == p.main || v.next == p.main {
				v.next = browser
			}
		}
	}
	return gone
}
