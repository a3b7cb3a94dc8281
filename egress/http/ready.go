package web

import (
	"fmt"
	"slices"
)

// Readiness is the body of /readyz.
type Readiness struct {
	Ready   bool          `json:"ready"`
	Reasons []string      `json:"reasons"` // why it is not ready
	States  map[State]int `json:"states"`  // how many streams are in which state
	// Streams is only told to those who may see the status.
	Streams []StreamReadiness `json:"streams,omitempty"`
}

// StreamReadiness is what /readyz tells of a stream.
type StreamReadiness struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Reason string `json:"reason,omitempty"`
	Frames int64  `json:"frames"` // enhanced pictures since start
}

// Ready decides whether RAVE is ready: all listeners are up, and if there are streams that it fetches from cameras, at
// least one stream has given an enhanced picture, or would if somebody watched. So a wrong model or address keeps a rollout back, while a camera that
// goes away later does not take the others' readers with it. Streams without a picture are told all the same.
func (s Status) Ready() Readiness {
	r := Readiness{Reasons: []string{}, States: map[State]int{}}
	for _, l := range s.Listeners {
		if !l.Up {
			r.Reasons = append(r.Reasons, fmt.Sprintf("the %s listener is not up", l.Name))
		}
	}
	for _, st := range s.Streams {
		r.States[st.State]++
		r.Streams = append(r.Streams, StreamReadiness{st.Name, st.State, st.Reason, st.Output.Frames})
	}
	pulled := func(st Stream) bool { return !st.Publish }
	served := func(st Stream) bool { return st.Output.Frames > 0 || st.Asleep }
	if slices.ContainsFunc(s.Streams, pulled) && !slices.ContainsFunc(s.Streams, served) {
		r.Reasons = append(r.Reasons, fmt.Sprintf("none of %d streams has given an enhanced picture yet", len(s.Streams)))
	}
	r.Ready = len(r.Reasons) == 0
	return r
}
