package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/config"
	web "rave/egress/http"
)

// lookPeriod is how often the configuration file is looked at.
const lookPeriod = time.Second

// reloader follows the configuration file: at SIGHUP, and when it has changed.
type reloader struct {
	watch  *fileWatch       // nil: there is no file
	hangup <-chan os.Signal // nil: there is no file
	load   func() (*config.Config, error)
	apply  func(*config.Config) (changes, error)
	log    *slog.Logger
	total  *prometheus.CounterVec
	good   prometheus.Gauge
	when   prometheus.Gauge

	questions chan question
	ended     chan struct{} // run has ended

	mu     sync.Mutex
	loaded time.Time
	err    error // of the last attempt
}

// newReloader makes the metrics. The configuration of the start counts as loaded, but not as reloaded.
func newReloader(opt options, apply func(*config.Config) (changes, error), log *slog.Logger, reg prometheus.Registerer) *reloader {
	r := &reloader{watch: opt.watch, hangup: opt.hangup, load: opt.load, apply: apply, log: log,
		questions: make(chan question), ended: make(chan struct{})}
	r.total = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rave_config_reloads_total",
		Help: "Attempts to follow a changed configuration file, by result (ok, error)."}, []string{"result"})
	r.good = prometheus.NewGauge(prometheus.GaugeOpts{Name: "rave_config_last_reload_successful",
		Help: "1 if the configuration that was read last is in effect."})
	r.when = prometheus.NewGauge(prometheus.GaugeOpts{Name: "rave_config_last_reload_success_timestamp_seconds",
		Help: "When a configuration last took effect."})
	reg.MustRegister(r.total, r.good, r.when)
	r.total.WithLabelValues("ok")
	r.total.WithLabelValues("error")
	r.result(nil)
	return r
}

// run follows the file until ctx ends.
func (r *reloader) run(ctx context.Context) {
	defer close(r.ended)
	look := time.NewTicker(lookPeriod)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hangup:
			_ = r.reload("SIGHUP") // it has been said
		case q := <-r.questions:
			q.answer <- r.reload(q.why)
		case <-look.C:
			if r.watch != nil && r.watch.changed() {
				_ = r.reload("the file has changed")
			}
		}
	}
}

// question asks for the file to be followed now.
type question struct {
	why    string
	answer chan error
}

// errNotAsked says that nobody follows the file any more.
var errNotAsked = errors.New("RAVE is stopping")

// ask has the file followed at once, and returns what became of it. It waits until ctx is done at the longest.
func (r *reloader) ask(ctx context.Context, why string) error {
	q := question{why, make(chan error, 1)}
	select {
	case r.questions <- q:
	case <-r.ended:
		return errNotAsked
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reload reads the file and makes what it says so, or says why not and returns that.
func (r *reloader) reload(why string) error {
	r.watch.reading()
	var c changes
	next, err := r.load()
	if err == nil {
		c, err = r.apply(next)
	}
	if r.result(err); err != nil {
		r.total.WithLabelValues("error").Inc()
		r.log.Error("configuration not reloaded: everything goes on as before", "file", r.watch.path, "why", why, "err", oneLine(err))
		return err
	}
	r.total.WithLabelValues("ok").Inc()
	r.log.Info("configuration reloaded", "file", r.watch.path, "why", why, "added", c.added, "removed", c.removed, "changed", c.changed,
		"unchanged", c.unchanged)
	return nil
}

// result keeps what became of an attempt.
func (r *reloader) result(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err != nil {
		r.good.Set(0)
		return
	}
	r.loaded = time.Now()
	r.good.Set(1)
	r.when.Set(float64(r.loaded.UnixNano()) / 1e9)
}

// status is what the page shows; nil without a file.
func (r *reloader) status() *web.File {
	if r.watch == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f := &web.File{Path: r.watch.path, Loaded: r.loaded}
	if r.err != nil {
		f.Error = oneLine(r.err)
	}
	return f
}

// oneLine writes an error of several lines, as a file with several mistakes gives, as one.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
