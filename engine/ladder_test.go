package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// fakeRung is an enhancer that passes frames through after some time, until it is told to fail.
type fakeRung struct {
	name   string
	broken *atomic.Bool
	closed *int
	test   *ladderTest
}

func (r fakeRung) Send(f *media.Frame, emit func(*media.Frame) error) error {
	time.Sleep(r.test.cost(r.name))
	if r.broken.Load() {
		f.Release()
		return errors.New("out of memory")
	}
	return emit(f)
}

func (r fakeRung) Try() (time.Duration, error) {
	d := r.test.cost(r.name)
	if d > r.test.contention {
		d -= r.test.contention
	}
	time.Sleep(d)
	r.test.mu.Lock()
	defer r.test.mu.Unlock()
	r.test.tried[r.name]++
	if r.broken.Load() {
		return 0, errors.New("out of memory")
	}
	return d, nil
}
func (r fakeRung) Flush(func(*media.Frame) error) error { return nil }
func (r fakeRung) Describe() string                     { return r.name }
func (r fakeRung) Close()                               { *r.closed++ }

// ladderTest opens rungs after the time in opens; a negative time is an error.
type ladderTest struct {
	opens  map[string]time.Duration
	broken map[string]*atomic.Bool
	closed int
	costs  map[string]time.Duration // of a picture
	// contention is what a picture costs more when it is one of the stream
	contention time.Duration

	mixed   []float64 // shares
	changes []string

	mu    sync.Mutex
	tries map[string]int // to open
	tried map[string]int // to measure
}

func (lt *ladderTest) cost(rung string) time.Duration {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	return lt.costs[rung]
}

func (lt *ladderTest) setCost(rung string, d time.Duration) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	lt.costs[rung] = d
}

func (lt *ladderTest) ladder(t *testing.T, names ...string) *ladder {
	lt.broken, lt.tries, lt.tried = map[string]*atomic.Bool{}, map[string]int{}, map[string]int{}
	for _, n := range names {
		lt.broken[n] = new(atomic.Bool)
	}
	open := func(ctx context.Context, name string) (Enhancer, error) {
		lt.mu.Lock()
		lt.tries[name]++
		d := lt.opens[name]
		lt.mu.Unlock()
		if d < 0 {
			return nil, errors.New("cannot be read")
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return fakeRung{name, lt.broken[name], &lt.closed, lt}, nil
	}
	l := newLadder(t.Context(), ladderConfig{
		names: names, live: true, open: open, misused: func() { t.Error("a frame was released twice") }, log: slog.New(slog.DiscardHandler), onLoad: func(string, error) {},
		mix: func(_, _ *media.Frame, share float64) error {
			lt.mixed = append(lt.mixed, share)
			return nil
		},
		onChange: func(from, to, reason string) { lt.changes = append(lt.changes, from+" → "+to+": "+reason) },
	})
	t.Cleanup(l.close)
	return l
}

// made sends a frame and returns who made it; "" if nobody did.
func made(t *testing.T, l *ladder) string {
	t.Helper()
	var ledger Ledger
	pool, err := NewPool(1, &ledger, PoolHooks{Init: func(*media.Frame) error { return nil }, Destroy: func(*media.Frame) {}})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := pool.Get(t.Context())
	by := ""
	_ = l.send(t.Context(), f, func(f *media.Frame) error {
		by = f.Enhancer
		f.Release()
		return nil
	})
	if ledger.InUse() != 0 {
		t.Error("the frame was not released")
	}
	return by
}

func TestLadderServesLanczosUntilTheModelHasLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": 20 * time.Second}}
		l := lt.ladder(t, "model", Lanczos)
		if by := made(t, l); by != Lanczos {
			t.Errorf("first frame by %q", by)
		}
		time.Sleep(21 * time.Second)
		if by := made(t, l); by != "model" {
			t.Errorf("after it has loaded: by %q", by)
		}
		l.close()
	})
}

func TestLadderFallsAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{}}
		l := lt.ladder(t, "large", "small", Lanczos)
		time.Sleep(time.Second)
		if by := made(t, l); by != "large" {
			t.Fatalf("by %q", by)
		}
		if lt.tries["small"] != 0 {
			t.Error("a rung that is not needed was opened")
		}
		lt.broken["large"].Store(true)
		if by := made(t, l); by != "" {
			t.Errorf("the frame of the failure was made by %q", by)
		}
		if by := made(t, l); by != Lanczos {
			t.Errorf("right after the failure: by %q", by)
		}
		time.Sleep(time.Second)
		if by := made(t, l); by != "small" {
			t.Errorf("a second later: by %q", by)
		}
		if lt.closed != 1 {
			t.Errorf("%d rungs closed; the one that failed must be", lt.closed)
		}
		lt.broken["large"].Store(false)
		time.Sleep(rungRetryMin)
		if by := made(t, l); by != "large" {
			t.Errorf("after its rest: by %q", by)
		}
		l.close()
		if lt.closed != 4 {
			t.Errorf("%d of 4 enhancers closed", lt.closed)
		}
	})
}

func TestLadderRetriesMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": -1}}
		l := lt.ladder(t, "model", Lanczos)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := lt.tries["model"]; n < 8 || n > 12 {
			t.Errorf("%d tries in an hour", n)
		}
		if l.strictFailure() == nil {
			t.Error("strict streams must be told why")
		}
		l.close()
	})
}

func TestLadderSettlesForReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": 5 * time.Second, "junk": -1}}
		l := lt.ladder(t, "junk", "model", Lanczos)
		start := time.Now()
		if err := l.settle(t.Context()); err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if by := made(t, l); by != "model" {
			t.Errorf("by %q", by)
		}
		l.close()
		alone := lt.ladder(t, "junk")
		if err := alone.settle(t.Context()); !errors.Is(err, errNoRung) {
			t.Errorf("nothing can serve: %v", err)
		}
		alone.close()
	})
}

func TestLadderPrefers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"small": time.Second}}
		l := lt.ladder(t, "large", "small", Lanczos)
		time.Sleep(time.Second)
		l.Prefer("small")
		if by := made(t, l); by != "large" {
			t.Errorf("before it has opened: by %q", by)
		}
		time.Sleep(2 * time.Second)
		if by := made(t, l); by != "small" {
			t.Errorf("by %q", by)
		}
		l.Prefer("")
		if by := made(t, l); by != "large" {
			t.Errorf("the best again: by %q", by)
		}
		l.close()
	})
}
