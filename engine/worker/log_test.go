package worker_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"rave/engine/worker"
)

// book is a log for a test to read.
type book struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *book) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// with returns the lines that hold all of the words.
func (b *book) with(words ...string) (found []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
next:
	for line := range strings.Lines(b.text.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

func (b *book) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// TestTraceOfACrash: of what Go's runtime tells of a crash a few lines are warnings, and the rest is for debugging. No
// model is named that had nothing to do with it.
func TestTraceOfACrash(t *testing.T) {
	track, packets := footage(t, 10, 10, 1)
	var log book
	r := inWorker(t, track, spec{Fault: "abort", At: packets[5].PTS, Once: filepath.Join(t.TempDir(), "once")}, func(c *worker.Config) {
		c.Session.Log = log.logger()
	})
	for _, p := range packets {
		r.step(p)
	}
	r.stop()
	const wrote = `msg="worker wrote"`
	warned, all := log.with("level=WARN", wrote), log.with(wrote)
	if n := len(warned); n == 0 || n > 5 || len(all) < 20 || !strings.Contains(warned[0], "SIGABRT") {
		t.Errorf("%d of %d lines are warnings:\n%s", n, len(all), strings.Join(warned, ""))
	}
	if died := log.with("worker process died", "reason=abort"); len(died) != 1 || strings.Contains(died[0], "model=") {
		t.Errorf("%q", died)
	}
}

// TestNoDescriptors: without descriptors for a worker the log says how to get some, and the stream goes on once they are
// there.
func TestNoDescriptors(t *testing.T) {
	track, packets := footage(t, 5, 5, 1)
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
	var log book
	set(syscall.Rlimit{Cur: 3, Max: was.Max})
	defer set(was)
	r := inWorker(t, track, spec{}, func(c *worker.Config) {
		c.Session.Log, c.FilesFix = log.logger(), "raise the limit of open files"
	})
	reason := receive(t, r.deaths)
	set(was)
	if said := log.with("worker process died", "too many open files; raise the limit of open files"); reason != "start" || len(said) == 0 {
		t.Errorf("died of %s, and the log says %q", reason, log.with(""))
	}
	for _, p := range packets {
		r.step(p)
	}
}
