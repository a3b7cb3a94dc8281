package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"rave/config"
)

// file is a log file that can be full or blocked.
type file struct {
	mu    sync.Mutex
	text  bytes.Buffer
	err   error
	block chan struct{} // writing waits for its end
}

func (f *file) Write(b []byte) (int, error) {
	f.mu.Lock()
	block := f.block
	f.mu.Unlock()
	if block != nil {
		<-block
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return 0, f.err
	}
	return f.text.Write(b)
}

func (f *file) set(err error, block chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.block = err, block
}

func (f *file) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.text.String()
}

func TestLogWriterKeepsOrder(t *testing.T) {
	var f file
	w := newLogWriter(&f)
	var want strings.Builder
	for i := range 100 {
		fmt.Fprintf(&want, "line %d\n", i)
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Close()
	if f.String() != want.String() || w.Lost() != 0 {
		t.Errorf("lost %v:\n%s", w.Lost(), f.String())
	}
	if fmt.Fprintln(w, "late"); w.Lost() != 1 {
		t.Errorf("a line after the end: lost %v", w.Lost())
	}
}

// What a full file refuses is counted, and said once there is room.
func TestLogWriterSaysWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := file{err: errors.New("no space left on device")}
		log, w := newLogger(config.Default().Log, &f)
		log.Info("one")
		log.Info("two")
		synctest.Wait()
		f.set(nil, nil)
		log.Info("three")
		log.Info("four")
		w.Close()
		lines := strings.Split(strings.TrimSpace(f.String()), "\n")
		if w.Lost() != 2 || len(lines) != 3 {
			t.Fatalf("lost %v:\n%s", w.Lost(), f.String())
		}
		for i, want := range []string{"lines=2", "msg=three", "msg=four"} {
			if !strings.Contains(lines[i], want) {
				t.Errorf("line %d: %q lacks %s", i, lines[i], want)
			}
		}
	})
}

// A file that blocks delays nobody; the queue is bounded in lines and in bytes.
func TestLogWriterNeverWaits(t *testing.T) {
	for name, c := range map[string]struct {
		line  string
		lines int
	}{
		"many lines": {"x\n", 3 * waitingLines},
		"long lines": {strings.Repeat("x", waitingBytes/8) + "\n", 30},
	} {
		synctest.Test(t, func(t *testing.T) {
			block := make(chan struct{})
			f := file{block: block}
			w := newLogWriter(&f)
			for range c.lines {
				_, _ = w.Write([]byte(c.line)) // would deadlock, and synctest would say so
			}
			synctest.Wait()
			lost := w.Lost()
			if lost == 0 || lost > float64(c.lines) {
				t.Errorf("%s: lost %v of %d", name, lost, c.lines)
			}
			w.Close() // gives up
			close(block)
			synctest.Wait()
			if got := strings.Count(f.String(), "\n"); got != c.lines-int(lost) || len(f.String()) > waitingBytes+len(c.line) {
				t.Errorf("%s: %d lines written, %v lost of %d", name, got, lost, c.lines)
			}
		})
	}
}
