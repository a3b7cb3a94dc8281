package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"rave/engine/media"
)

// Lanczos is the rung that needs no model: swscale's Lanczos. It opens in a millisecond.
const Lanczos = "lanczos"

// How long a rung that failed rests before it is tried again: a model that ran out of memory may fit later.
const (
	rungRetryMin = 30 * time.Second
	rungRetryMax = 10 * time.Minute
)

// ladder is the ordered list of enhancers that may serve one stream, best first, for one generation of the format.
// Rungs open in the background; each frame is made by one that is open at that moment, so a swap happens between two
// frames and loses none. Which one serves is decided in pace.go; how one follows the other, in fade.go. A rung that
// fails is closed and rests; another takes over.
//
// send, flush and close belong to the enhance goroutine; the loader runs beside it and hands rungs over under the lock.
// A rung that serves, or that a fade comes from, belongs to the enhance goroutine alone, all others to the loader.
type ladder struct {
	ladderConfig

	mu       sync.Mutex
	rungs    []rung
	level    int       // the rung that serves; -1: none has yet
	since    time.Time // when it took over
	stopgap  bool      // it serves only until a better one has loaded
	fading   *fade     // from the rung before
	interval time.Duration
	samples  []sample // of the rung that serves
	prefer   string   // serve with this one while it is open; empty: as measured
	wake     chan struct{}
	idle     chan struct{} // closed while the loader has nothing to open; replaced when it has

	cancel context.CancelFunc
	done   chan struct{}
}

// ladderConfig is what a ladder works with.
type ladderConfig struct {
	names   []string // best first
	live    bool     // step to a lighter rung rather than lose pictures, and fade
	open    func(ctx context.Context, rung string) (Enhancer, error)
	mix     func(into, from *media.Frame, share float64) error
	log     *slog.Logger
	misused func() // a frame was released twice
	// Called in the loader and in the enhance goroutine:
	onLoad   func(rung string, err error)
	onChange func(from, to, reason string)
}

type rung struct {
	name    string
	ready   Enhancer // nil while it is not open
	failed  error
	retryAt time.Time
	retries int
	made    int // pictures since it has opened
	pace
}

// provenAfter is how many pictures a rung must make until its earlier failures are forgotten.
const provenAfter = 250

// newLadder opens Lanczos at once, if it is on the list, and everything above it in the background, best first, until
// one has opened that holds the rate.
func newLadder(ctx context.Context, cfg ladderConfig) *ladder {
	ctx, cancel := context.WithCancel(ctx)
	l := &ladder{ladderConfig: cfg, level: -1, wake: make(chan struct{}, 1), idle: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	for _, n := range cfg.names {
		l.rungs = append(l.rungs, rung{name: n})
	}
	if i := slices.Index(cfg.names, Lanczos); i >= 0 {
		l.load(ctx, i)
	}
	go l.run(ctx)
	return l
}

// run opens what is needed: the best rung, or the one below it if that one failed or is too slow, or the one that is
// asked for. Between that it measures the better rungs that do not serve.
func (l *ladder) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		todo, wait := l.next(time.Now())
		l.setIdle(todo.open < 0)
		switch {
		case todo.open >= 0:
			l.load(ctx, todo.open)
			continue
		case todo.measure >= 0:
			l.measure(ctx, todo.measure)
			continue
		}
		var retry <-chan time.Time
		if wait > 0 {
			retry = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-retry:
		}
	}
}

func (l *ladder) setIdle(idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.idle:
		if !idle {
			l.idle = make(chan struct{})
		}
	default:
		if idle {
			close(l.idle)
		}
	}
}

// settle waits until the loader has opened what it can: in replay mode no picture is made by a stopgap. It fails when
// no rung is open then.
func (l *ladder) settle(ctx context.Context) error {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-idle:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, r := range l.rungs {
		if r.ready != nil {
			return nil
		}
		errs = append(errs, r.failed)
	}
	return fmt.Errorf("%w: %w", errNoRung, errors.Join(errs...))
}

// work is what the loader should do: open or measure a rung; -1: none.
type work struct{ open, measure int }

// next returns what to do now, and how long until there may be something else to do (0: not before a wake).
func (l *ladder) next(now time.Time) (todo work, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	until := func(t time.Time) {
		if w := max(t.Sub(now), time.Millisecond); wait == 0 || w < wait {
			wait = w
		}
	}
	todo = work{-1, -1}
	for i := range l.rungs {
		r := &l.rungs[i]
		wanted := l.prefer == "" || r.name == l.prefer
		switch {
		case r.ready != nil:
			if l.idleAbove(i) {
				if todo.measure < 0 && !now.Before(r.measureAt) {
					todo.measure = i
				}
				until(r.measureAt)
			}
			if wanted && !r.slow {
				return todo, wait
			}
		case r.failed != nil && now.Before(r.retryAt):
			until(r.retryAt)
		case wanted:
			todo.open = i
			return todo, wait
		}
	}
	return todo, wait
}

func (l *ladder) load(ctx context.Context, i int) {
	name := l.rungs[i].name
	start := time.Now()
	e, err := l.open(ctx, name)
	var cost time.Duration
	if err == nil && l.live && name != Lanczos { // Lanczos must be there at once, and is the last resort
		if cost, err = l.try(ctx, e, triesToOpen); err != nil {
			e.Close()
			e = nil
		}
	}
	if ctx.Err() != nil {
		if e != nil {
			e.Close()
		}
		return
	}
	l.onLoad(name, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fail(i, err)
		return
	}
	r := &l.rungs[i]
	r.ready, r.failed, r.made = e, nil, 0
	r.pace.measured(cost, time.Now(), l.interval)
	attrs := []any{"enhancer", name, "after", time.Since(start).Round(time.Millisecond), "how", e.Describe()}
	if cost > 0 {
		attrs = append(attrs, "ms_per_picture", round1(cost.Seconds()*1e3))
	}
	l.log.Info("enhancer ready", attrs...)
	if r.slow && l.wouldServe(i) && len(l.rungs) > 1 { // one that is alone serves all the same
		l.log.Warn("an enhancer is too slow for this stream here; the next entry of quality serves, and it is tried again",
			"enhancer", name, "ms_per_picture", round1(cost.Seconds()*1e3), "ms_between_pictures", round1(l.interval.Seconds()*1e3))
		if l.level >= 0 {
			l.onChange(name, l.rungs[l.level].name, ChangeLeftOut)
		}
	}
}

// fail notes the failure; the lock is held.
func (l *ladder) fail(i int, err error) {
	r := &l.rungs[i]
	rest := min(rungRetryMin<<min(r.retries, 8), rungRetryMax)
	r.failed, r.retryAt, r.ready = err, time.Now().Add(rest), nil
	r.retries++
	l.log.Error("enhancer failed", "enhancer", r.name, "err", err, "next_try_in", rest)
	signal(l.wake)
}

// errNoRung means that no rung has opened yet.
var errNoRung = errors.New("no enhancer is ready")

// send has f made by the rung that serves, and during a change by the one before as well. If a rung fails the frame is
// lost, the rung rests, and the next frame is made by another rung.
func (l *ladder) send(ctx context.Context, f *media.Frame, emit func(*media.Frame) error) error {
	pair, err := l.choose(time.Now())
	if err != nil {
		f.Release()
		return err
	}
	var outs []*media.Frame
	if pair.old.Enhancer != nil {
		outs, err = l.sendBoth(ctx, pair, f)
	} else {
		outs, err = l.make(pair.new, f)
	}
	if err != nil {
		return l.failed(ctx, err)
	}
	for i, out := range outs {
		if err := emit(out); err != nil {
			releaseAll(outs[i+1:])
			return err
		}
	}
	return nil
}

// chosen is a rung that makes a picture: its number, and its enhancer, which the loader leaves alone meanwhile.
type chosen struct {
	Enhancer
	i    int
	name string
}

// rungError is the failure of one rung on one picture.
type rungError struct {
	of  chosen
	err error
}

func (e rungError) Error() string { return e.err.Error() }
func (e rungError) Unwrap() error { return e.err }

// make has f made by one rung, measured. The pictures are the caller's.
func (l *ladder) make(c chosen, f *media.Frame) ([]*media.Frame, error) {
	var outs []*media.Frame
	start := time.Now()
	err := c.Send(f, func(out *media.Frame) error {
		out.Enhancer = c.name
		outs = append(outs, out)
		return nil
	})
	if err != nil {
		releaseAll(outs)
		return nil, rungError{c, err}
	}
	l.took(c.i, start, time.Now())
	return outs, nil
}

// failed closes the rung that err is of, unless it is the end.
func (l *ladder) failed(ctx context.Context, err error) error {
	var of rungError
	if ctx.Err() != nil || !errors.As(err, &of) {
		return err
	}
	of.of.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fading = nil // one of its two sides is gone
	l.fail(of.of.i, of.err)
	return of.err
}

// flush emits what rungs hold back, at the end of a generation.
func (l *ladder) flush(emit func(*media.Frame) error) error {
	l.mu.Lock()
	var e Enhancer
	if l.level >= 0 {
		e = l.rungs[l.level].ready
	}
	l.mu.Unlock()
	if e == nil {
		return nil
	}
	return e.Flush(emit)
}

// Prefer makes a rung serve while it is open, and opens it; empty means the best that holds the rate.
func (l *ladder) Prefer(name string) {
	l.mu.Lock()
	l.prefer, l.stopgap = name, true // at once
	l.mu.Unlock()
	l.setIdle(false)
	signal(l.wake)
}

// serving returns the number of the rung that serves, or -1.
func (l *ladder) serving() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.level
}

// strictFailure returns why the first rung cannot serve, for strict streams; nil while it may still load.
func (l *ladder) strictFailure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rungs[0].failed
}

// close ends the loader and closes all rungs.
func (l *ladder) close() {
	l.cancel()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.rungs {
		if l.rungs[i].ready != nil {
			l.rungs[i].ready.Close()
			l.rungs[i].ready = nil
		}
	}
}

func releaseAll(frames []*media.Frame) {
	for _, f := range frames {
		f.Release()
	}
}
