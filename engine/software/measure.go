package software

import (
	"context"
	"fmt"
	"slices"
	"time"

	"rave/engine"
	"rave/engine/ffmpeg"
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
	pool, err := engine.NewPool(1, &ledger, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, in) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	var times []time.Duration
	for range 9 {
		f, err := pool.Get(ctx)
		if err != nil {
			return 0, err
		}
		if err := ffmpeg.Native(f).ImageFillBlack(); err != nil {
			f.Release()
			return 0, fmt.Errorf("measure %s: %w", rung, err)
		}
		start := time.Now()
		if err := e.Send(f, func(out *media.Frame) error { out.Release(); return nil }); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}
