package software

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Measure runs an enhancer on a few pictures of a size, with nothing else going on, and returns the median time of one.
func (d *Device) Measure(ctx context.Context, rung string, in media.Format, threads int) (time.Duration, error) {
	info, err := d.Inspect(ctx, rung)
	if err != nil {
		return 0, err
	}
	var ledger engine.Ledger
	out := engine.OutputRule{}.Format(in, info.Scale)
	e, err := d.NewEnhancer(ctx, engine.EnhancerParams{Rung: rung, In: in, Out: out, Threads: threads, Frames: 1, Ledger: &ledger})
	if err != nil {
		return 0, err
	}
	defer e.Close()
	var times []time.Duration
	for range 9 {
		took, err := e.Try()
		if err != nil {
			return 0, fmt.Errorf("measure %s: %w", rung, err)
		}
		times = append(times, took)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
