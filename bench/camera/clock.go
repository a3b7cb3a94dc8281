package camera

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Step is something that happens to the clock behind the RTP timestamps of the video.
type Step struct {
	Frame int64         // from this one on, counted from 0 in order of sending
	By    time.Duration // it is set ahead, or back
	Stop  bool          // it stands still, until the next step
}

// Steps are a camera's, in ascending order. As a flag they are FRAME:DURATION or FRAME:stop, joined by commas.
type Steps []Step

// String implements flag.Value.
func (s Steps) String() string {
	var list []string
	for _, step := range s {
		what := step.By.String()
		if step.Stop {
			what = "stop"
		}
		list = append(list, fmt.Sprintf("%d:%s", step.Frame, what))
	}
	return strings.Join(list, ",")
}

// Set implements flag.Value.
func (s *Steps) Set(text string) error {
	*s = nil
	for item := range strings.SplitSeq(text, ",") {
		frame, what, _ := strings.Cut(item, ":")
		n, err := strconv.ParseInt(frame, 10, 64)
		if err != nil {
			return fmt.Errorf("%q: want FRAME:DURATION or FRAME:stop", item)
		}
		step := Step{Frame: n, Stop: what == "stop"}
		if !step.Stop {
			if step.By, err = time.ParseDuration(what); err != nil {
				return fmt.Errorf("%q: want FRAME:DURATION or FRAME:stop", item)
			}
		}
		*s = append(*s, step)
	}
	return nil
}

// at returns the time that the clock shows for a frame whose true time is pts.
func (s Steps) at(frame int64, pts time.Duration, stopped *time.Duration) time.Duration {
	still := false
	for _, step := range s {
		if step.Frame > frame {
			break
		}
		pts += step.By
		still = step.Stop
	}
	if !still {
		*stopped = pts
	}
	return *stopped
}
