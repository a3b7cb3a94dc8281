package engine

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// announcePlan says in one line what happens to this stream, where, and why.
func (s *Session) announcePlan() {
	e, p := &s.enh, s.cfg.Plan
	input := ""
	if in := s.dec.input.Load(); in != nil {
		input = *in
	}
	rungs := strings.Join(s.cfg.Quality, ", then ")
	if s.cfg.Strict {
		rungs = s.cfg.Quality[0] + " and nothing else (strict)"
	}
	plan := fmt.Sprintf("decode %s (%s) → enhance %s (%s) to %s → encode %s (h264, %s, GOP %v)",
		p.Decode.Name(), input, p.Enhance.Name(), rungs, e.out.Size(), p.Encode.Name(), s.cfg.Preset, s.cfg.GOP)
	if r := s.sizeReason(); r != "" {
		plan += "; " + r
	}
	if p.Reason != "" {
		plan += "; " + p.Reason
	}
	s.log.Info("plan", "plan", plan)
	s.obs.Planned(plan, e.in.Size(), e.out.Size())
}

// sizeReason explains an output size that is not what the scale alone would give.
func (s *Session) sizeReason() string {
	e := &s.enh
	r := s.cfg.Output
	free := r
	free.MaxWidth, free.MaxHeight = 0, 0
	want := free.Format(s.enh.in, e.modelScale)
	if want.Width <= e.out.Width {
		return ""
	}
	return fmt.Sprintf("output is %s and not %s because output.max is %dx%d", e.out.Size(), want.Size(), r.MaxWidth, r.MaxHeight)
}

// overloadReport says once, with measured figures, when the machine cannot hold the camera's frame rate.
type overloadReport struct {
	drops   atomic.Int64
	another atomic.Bool
	frames  int64
	camera  int64 // pictures decoded when the window began
	work    time.Duration
	since   time.Time
	said    bool
}

func (o *overloadReport) dropped() { o.drops.Add(1) }

// restart begins a new window: another enhancer serves. It may be called from any goroutine.
func (o *overloadReport) restart() { o.another.Store(true) }

// worked counts an enhanced frame; every five seconds it judges the window.
func (o *overloadReport) worked(s *Session, d time.Duration) {
	const window, tolerable = 5 * time.Second, 0.05
	now := time.Now()
	if o.another.Swap(false) {
		o.drops.Store(0)
		o.since, o.frames, o.work, o.camera = time.Time{}, 0, 0, 0
	}
	if o.since.IsZero() {
		o.since = now
	}
	o.frames++
	o.work += d
	if o.camera == 0 {
		o.camera = s.dec.pictures.Load()
	}
	if now.Sub(o.since) < window {
		return
	}
	drops := o.drops.Swap(0)
	share := float64(drops) / float64(drops+o.frames)
	switch {
	case share > tolerable && !o.said:
		o.said = true
		rung := s.enh.ladder.serving()
		perFrame, encode := o.work/time.Duration(o.frames), s.enc.spent.perFrame()
		lighter := "a smaller picture or a lower frame rate in the camera"
		switch last := s.cfg.Quality[max(0, rung)]; {
		case encode > perFrame:
			lighter = "a faster encode.preset, a smaller output.scale, or " + lighter
		case s.cfg.Strict && last != Lanczos:
			lighter = "strict: false with a lighter entry after " + last + " in quality, or " + lighter
		case rung == len(s.cfg.Quality)-1 && last != Lanczos:
			lighter = "a lighter entry after " + last + " in quality, such as lanczos, or " + lighter
		}
		s.log.Warn("this machine cannot hold the frame rate",
			"camera_fps", round1(float64(s.dec.pictures.Load()-o.camera)/now.Sub(o.since).Seconds()),
			"served_fps", round1(float64(o.frames)/now.Sub(o.since).Seconds()),
			"enhance_ms", round1(float64(perFrame)/1e6), "encode_ms", round1(float64(encode)/1e6), "enhancer", s.cfg.Quality[max(0, rung)], "lighter", lighter)
	case share == 0 && o.said:
		o.said = false
		s.log.Info("the frame rate is held again")
	}
	o.since, o.frames, o.work, o.camera = now, 0, 0, s.dec.pictures.Load()
}

// workMeter adds up the work of another goroutine.
type workMeter struct{ nanos, frames atomic.Int64 }

func (m *workMeter) add(d time.Duration) {
	m.nanos.Add(int64(d))
	m.frames.Add(1)
}

// perFrame returns the mean since the last call.
func (m *workMeter) perFrame() time.Duration {
	return time.Duration(m.nanos.Swap(0) / max(1, m.frames.Swap(0)))
}

func round1(v float64) float64 { return float64(int(v*10+0.5)) / 10 }
