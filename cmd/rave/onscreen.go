package main

import (
	"slices"
	"sync"
	"time"

	web "rave/egress/http"
	"rave/engine/media"
)

// onScreen is what a page must know of the pictures that it may be showing: who made them, and when they were captured. A
// browser shows a picture some time after it was made, so the enhancer of the last one may be another.
type onScreen struct {
	mu       sync.Mutex
	made     []web.Made
	captured *web.Captured
}

// keptChanges is how many changes of enhancer are told: more than there are in the seconds that a picture is under way.
const keptChanges = 8

// add takes a picture that goes out under an RTP time.
func (o *onScreen) add(rtp uint32, p media.Packet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.made); n == 0 || o.made[n-1].Enhancer != p.Enhancer {
		o.made = append(o.made[max(0, n-keptChanges+1):], web.Made{RTP: rtp, Enhancer: p.Enhancer})
	}
	switch {
	case !p.NTP.IsZero():
		o.captured = &web.Captured{RTP: rtp, Time: p.NTP, Clock: "camera"}
	case !p.Arrival.IsZero():
		o.captured = &web.Captured{RTP: rtp, Time: p.Arrival.Round(0), Clock: "arrival"}
	}
}

// tell puts it into a stream's status.
func (o *onScreen) tell(st *web.Stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	st.Made = slices.Clone(o.made)
	if o.captured != nil {
		c := *o.captured
		c.Time = c.Time.Round(time.Microsecond)
		st.Captured = &c
	}
}
