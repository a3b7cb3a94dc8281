package soak

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"rave/bench/camera"
	"rave/bench/reader"
)

// Window is what a reader saw in a span of time.
type Window struct {
	Pictures, Lost, Unreadable, Backward int64
	Age                                  reader.Spread // sending by the camera to decoding by the reader
	Arrived                              reader.Spread // to arriving there
}

// aged is the age of one picture.
type aged struct {
	at  time.Time
	age time.Duration
}

// watcher is a reader outside that stays for the whole run and knows each picture's age. If it is thrown out, that is
// counted and it comes again.
type watcher struct {
	name string
	cfg  reader.Config
	log  *slog.Logger

	mu     sync.Mutex
	reader *reader.Reader
	took   int // pictures taken from the reader
	track  *tracker
	logs   []string // of the camera, one for each of its starts
	known  int      // lines of the last one that the tracker has
	ages   []aged
	window Window
	since  int // ages before the window
	thrown int
}

func newWatcher(name string, cfg reader.Config, loop int64, log *slog.Logger) *watcher {
	cfg.Input = append(cfg.Input, "-loglevel", "warning") // a line for each picture would be kept
	return &watcher{name: name, cfg: cfg, log: log, track: newTracker(loop)}
}

// cameraStarted says that the camera, started again, has another log.
func (w *watcher) cameraStarted(log string) error {
	if err := w.advance(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs, w.known = append(w.logs, log), 0
	w.track.restart()
	return nil
}

// connect begins to read; the stream may not be there yet.
func (w *watcher) connect(ctx context.Context) error {
	for {
		r, err := reader.Start(w.cfg)
		if err != nil {
			return err
		}
		if err = r.WaitFor(ctx, 1); err == nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.reader = r
			return nil
		}
		r.Stop()
		if !sleep(ctx, 200*time.Millisecond) {
			return err
		}
	}
}

// advance takes the pictures that came since, and starts a new reader for one that was thrown out.
func (w *watcher) advance() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader == nil || len(w.logs) == 0 {
		return nil
	}
	ended := false
	select {
	case <-w.reader.Done():
		ended = true
	default:
	}
	seen := w.reader.Seen() // before the log, which then has them all
	sent, err := camera.ReadLog(w.logs[len(w.logs)-1])
	if err != nil {
		return err
	}
	for _, s := range sent[min(w.known, len(sent)):] {
		w.track.send(s)
	}
	w.known = len(sent)
	for _, s := range seen[w.took:] {
		w.take(s)
	}
	w.took = len(seen)
	if ended {
		w.thrown++
		w.log.Error("a permanent reader was thrown out", "reader", w.name, "pictures", w.took, "said", w.reader.Output())
		if w.reader, err = reader.Start(w.cfg); err != nil {
			return err
		}
		w.took = 0
		w.track.restart()
	}
	return nil
}

func (w *watcher) take(s reader.Seen) {
	w.window.Pictures++
	p, ok := w.track.see(s)
	if !ok {
		w.window.Unreadable++
		return
	}
	w.ages = append(w.ages, aged{p.at, p.age()})
	w.window.Lost += p.lost
	if p.backward {
		w.window.Backward++
	}
}

// next returns the window since the last call.
func (w *watcher) next() (Window, error) {
	if err := w.advance(); err != nil {
		return Window{}, fmt.Errorf("watch %s: %w", w.name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	window := w.window
	window.Age, window.Arrived = spread(w.ages[w.since:]), spread(arrivals(w.ages[max(0, w.since-1):]))
	w.window, w.since = Window{}, len(w.ages)
	return window, nil
}

// seenSince returns when the first picture came that was sent after t.
func (w *watcher) seenSince(t time.Time) (first time.Time, ok bool, err error) {
	if err := w.advance(); err != nil {
		return first, false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.ages) - 1; i >= 0 && w.ages[i].at.After(t); i-- {
		if w.ages[i].at.Add(-w.ages[i].age).After(t) {
			first = w.ages[i].at
		}
	}
	return first, !first.IsZero(), nil
}

func (w *watcher) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reader != nil {
		w.reader.Stop()
	}
}

func spread(list []aged) reader.Spread {
	samples := make([]time.Duration, len(list))
	for i, a := range list {
		samples[i] = a.age
	}
	return reader.NewSpread(samples)
}
