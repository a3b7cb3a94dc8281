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
// Rungs open in the background; each frame is made by the best rung that is open at that moment, so a swap happens
// between two frames and loses none. A rung that fails is closed and rests; the next one down takes over.
//
// send and close belong to the enhance goroutine; the loader runs beside it and hands rungs over under the lock.
type ladder struct {
	open   func(ctx context.Context, rung string) (Enhancer, error)
	log    *slog.Logger
	onLoad func(rung string, err error)

	mu     sync.Mutex
	rungs  []rung
	prefer string // serve with this one while it is open; empty: the best
	wake   chan struct{}
	idle   chan struct{} // closed while the loader has nothing to open; replaced when it has

	cancel context.CancelFunc
	done   chan struct{}
}

type rung struct {
	name    string
	ready   Enhancer // nil while it is not open
	failed  error
	retryAt time.Time
	retries int
	made    int // pictures since it has opened
}

// provenAfter is how many pictures a rung must make until its earlier failures are forgotten.
const provenAfter = 250

// newLadder opens Lanczos at once, if it is on the list, and everything above it in the background, best first, until
// one has opened.
func newLadder(ctx context.Context, names []string, open func(context.Context, string) (Enhancer, error), log *slog.Logger,
	onLoad func(string, error),
) *ladder {
	ctx, cancel := context.WithCancel(ctx)
	l := &ladder{open: open, log: log, onLoad: onLoad, wake: make(chan struct{}, 1), idle: make(chan struct{}), cancel: cancel, done: make(chan struct{})}
	for _, n := range names {
		l.rungs = append(l.rungs, rung{name: n})
	}
	if i := slices.Index(names, Lanczos); i >= 0 {
		l.load(ctx, i)
	}
	go l.run(ctx)
	return l
}

// run opens what is needed: the best rung, or the one below it if that one failed, or the one that is asked for.
func (l *ladder) run(ctx context.Context) {
	defer close(l.done)
	for ctx.Err() == nil {
		i, wait := l.next(time.Now())
		l.setIdle(i < 0)
		if i >= 0 {
			l.load(ctx, i)
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
	if i, _ := l.best(); i < 0 {
		return fmt.Errorf("%w: %w", errNoRung, l.failures())
	}
	return nil
}

func (l *ladder) failures() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, r := range l.rungs {
		errs = append(errs, r.failed)
	}
	return errors.Join(errs...)
}

// next returns the rung to open now, or -1 and how long until one may be tried again (0: not before a wake).
func (l *ladder) next(now time.Time) (int, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wait time.Duration
	for i := range l.rungs {
		r := &l.rungs[i]
		wanted := l.prefer == "" || r.name == l.prefer
		switch {
		case r.ready != nil:
			if wanted {
				return -1, wait
			}
		case r.failed != nil && now.Before(r.retryAt):
			if w := r.retryAt.Sub(now); wait == 0 || w < wait {
				wait = w
			}
		case wanted:
			return i, 0
		}
	}
	return -1, wait
}

func (l *ladder) load(ctx context.Context, i int) {
	name := l.rungs[i].name
	start := time.Now()
	e, err := l.open(ctx, name)
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
	l.log.Info("enhancer ready", "enhancer", name, "after", time.Since(start).Round(time.Millisecond), "how", e.Describe())
	l.rungs[i].ready, l.rungs[i].failed, l.rungs[i].made = e, nil, 0
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

// best returns the rung that makes the next frame, or -1.
func (l *ladder) best() (int, Enhancer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	best := -1
	for i, r := range l.rungs {
		if r.ready == nil {
			continue
		}
		if r.name == l.prefer {
			return i, r.ready
		}
		if best < 0 {
			best = i
		}
	}
	if best < 0 {
		return -1, nil
	}
	return best, l.rungs[best].ready
}

// errNoRung means that no rung has opened yet.
var errNoRung = errors.New("no enhancer is ready")

// send has f made by the best rung. If that one fails the frame is lost, the rung rests, and the next frame is made by
// the next rung.
func (l *ladder) send(ctx context.Context, f *media.Frame, emit func(*media.Frame) error) error {
	i, e := l.best()
	if i < 0 {
		f.Release()
		return errNoRung
	}
	name := l.rungs[i].name // names never change
	var emitErr error
	err := e.Send(f, func(out *media.Frame) error {
		out.Enhancer = name
		emitErr = emit(out)
		return emitErr
	})
	if err == nil {
		l.proven(i)
	}
	if err == nil || emitErr != nil || ctx.Err() != nil {
		return err
	}
	e.Close()
	l.mu.Lock()
	l.fail(i, err)
	l.mu.Unlock()
	return err
}

// proven counts a picture that a rung has made.
func (l *ladder) proven(i int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rungs[i].made++; l.rungs[i].made == provenAfter {
		l.rungs[i].retries = 0
	}
}

// flush emits what rungs hold back, at the end of a generation.
func (l *ladder) flush(emit func(*media.Frame) error) error {
	_, e := l.best()
	if e == nil {
		return nil
	}
	return e.Flush(emit)
}

// Prefer makes a rung serve while it is open, and opens it; empty means the best.
func (l *ladder) Prefer(name string) {
	l.mu.Lock()
	l.prefer = name
	l.mu.Unlock()
	l.setIdle(false)
	signal(l.wake)
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
