package ingest

import (
	"fmt"
	"time"
)

// Phase is what Keep is doing.
type Phase uint8

// The phases: Connecting until a source has announced its tracks, Online from then on, Waiting between two attempts.
const (
	Connecting Phase = iota + 1
	Online
	Waiting
)

// String returns "connecting", "online" or "waiting".
func (p Phase) String() string {
	switch p {
	case Connecting:
		return "connecting"
	case Online:
		return "online"
	case Waiting:
		return "waiting"
	default:
		return fmt.Sprintf("phase(%d)", uint8(p))
	}
}

// State is what is known about a source at one moment.
type State struct {
	Phase   Phase
	Err     error         // why the last attempt ended; nil once online; free of credentials
	Attempt int           // attempts since the source was last online; Online: how many it took
	Next    time.Duration // Waiting: how long until the next attempt
	Since   time.Time     // when this phase began
}
