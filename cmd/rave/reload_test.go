package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rave/config"
)

// TestFileWatch: every way of changing a file is seen, once it has stood still for a look.
func TestFileWatch(t *testing.T) {
	folder := t.TempDir()
	path := func(name string) string { return filepath.Join(folder, name) }
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) error { return os.WriteFile(path(name), []byte(text), 0o600) }
	old := time.Now().Add(-time.Hour)
	must(os.Mkdir(path("1"), 0o700), os.Mkdir(path("2"), 0o700), write("1/rave.yaml", "one"), write("2/rave.yaml", "two"),
		os.Chtimes(path("1/rave.yaml"), old, old), os.Chtimes(path("2/rave.yaml"), old, old),
		os.Symlink("1", path("data")), os.Symlink("data/rave.yaml", path("rave.yaml")))
	w := &fileWatch{path: path("rave.yaml")}
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"written", func() { must(write("1/rave.yaml", "1234"), os.Chtimes(path("1/rave.yaml"), old, old)) }},
		{"of the same size and time", func() {
			before := inodeChanged(t, path("1/rave.yaml"))
			for inodeChanged(t, path("1/rave.yaml")) == before { // the file system's clock may be coarse
				must(write("1/rave.yaml", "5678"), os.Chtimes(path("1/rave.yaml"), old, old))
			}
		}},
		{"link of its folder changed", func() { must(os.Symlink("2", path("next")), os.Rename(path("next"), path("data"))) }},
		{"replaced", func() {
			must(write("new", "two"), os.Chtimes(path("new"), old, old), os.Rename(path("new"), path("rave.yaml")))
		}},
		{"removed", func() { must(os.Remove(path("rave.yaml"))) }},
		{"back", func() { must(write("rave.yaml", "three")) }},
	} {
		w.reading()
		for range 3 {
			if w.changed() {
				t.Fatalf("before %s: a change that was none", c.what)
			}
		}
		c.change()
		if first, second := w.changed(), w.changed(); first || !second {
			t.Errorf("%s: seen at the first look %v, at the second %v", c.what, first, second)
		}
	}
	w.reading()
	for i := range 5 { // somebody is writing
		must(write("rave.yaml", strings.Repeat("x", 10+i)))
		if w.changed() {
			t.Error("a file that grows at every look was taken")
		}
	}
	if !w.changed() {
		t.Error("a file that was written slowly is not seen")
	}
}

// inodeChanged is the time that no program can set.
func inodeChanged(t *testing.T, path string) syscall.Timespec {
	t.Helper()
	var s syscall.Stat_t
	if err := syscall.Stat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Ctim
}

// TestReloader: what SIGHUP and the file lead to, and what is told of it.
func TestReloader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rave.yaml")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("good")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hangup := make(chan os.Signal, 1)
		var log lines
		var applied int
		reg := prometheus.NewRegistry()
		opt := options{watch: &fileWatch{path: path}, hangup: hangup, load: func() (*config.Config, error) {
			data, err := os.ReadFile(path)
			if text := string(data); err == nil && strings.Contains(text, "bad") {
				err = fmt.Errorf("line 1: %s\nline 2: %s", text, text)
			}
			return config.Default(), err
		}}
		opt.watch.reading()
		apply := func(*config.Config) (changes, error) { applied++; return changes{added: []string{"cam"}}, nil }
		r := newReloader(opt, apply, slog.New(slog.NewTextHandler(&log, nil)), reg)
		started := r.status().Loaded
		done := make(chan struct{})
		go func() { r.run(ctx); close(done) }()
		for i, step := range []struct {
			act         func()
			within      time.Duration
			applied     int
			says, error string
		}{
			{func() {}, time.Hour, 0, "", ""},
			{func() { hangup <- nil }, 0, 1, `configuration reloaded.* why=SIGHUP added=[cam]`, ""},
			{func() { write("better") }, 2 * lookPeriod, 2, `why="the file has changed"`, ""},
			{func() { write("bad") }, 2 * lookPeriod, 2, `err="line 1: bad; line 2: bad"`, "line 1: bad; line 2: bad"},
			{func() {}, time.Hour, 2, "", "line 1: bad; line 2: bad"}, // said once
			{func() { hangup <- nil }, 0, 2, "why=SIGHUP err=", "line 1: bad; line 2: bad"},
			{func() { write("good again") }, 2 * lookPeriod, 3, "configuration reloaded", ""},
		} {
			step.act()
			time.Sleep(step.within)
			synctest.Wait()
			said := log.take()
			first, rest, _ := strings.Cut(step.says, ".*")
			if applied != step.applied || !strings.Contains(said, first) || !strings.Contains(said, rest) || (said == "") != (step.says == "") {
				t.Errorf("step %d: applied %d times, %s", i, applied, said)
			}
			if f := r.status(); f.Error != step.error || f.Path != path || f.Loaded.Before(started) {
				t.Errorf("step %d: %+v", i, f)
			}
			if good := testutil.ToFloat64(r.good) == 1; good != (step.error == "") {
				t.Errorf("step %d: rave_config_last_reload_successful is %v", i, good)
			}
		}
		if ok, bad := testutil.ToFloat64(r.total.WithLabelValues("ok")), testutil.ToFloat64(r.total.WithLabelValues("error")); ok != 3 || bad != 2 {
			t.Errorf("%v reloads, %v errors", ok, bad)
		}
		if at := testutil.ToFloat64(r.when); at != float64(r.status().Loaded.UnixNano())/1e9 || !r.status().Loaded.After(started) {
			t.Errorf("reloaded at %v, not %v", at, r.status().Loaded)
		}
		cancel()
		<-done
	})
}

// lines collects what is logged.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
