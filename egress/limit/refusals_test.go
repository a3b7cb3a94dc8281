package limit

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer collects log output of several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A burst is one line at once and one with the number of the others; a later one begins anew.
func TestRefusalsAreSaidInBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer // the messages come from timers
		r := NewRefusals(slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 500 {
			r.Add(WrongPassword, "credentials refused", "from", i)
		}
		r.Add(Busy, "busy")
		said := func() int { synctest.Wait(); return strings.Count(log.String(), "\n") }
		if n := said(); n != 2 || !strings.Contains(log.String(), "from=0 reason=wrong_password") {
			t.Errorf("%d lines at once: %s", n, log.String())
		}
		time.Sleep(burst)
		if n := said(); n != 3 || !strings.Contains(log.String(), "from=499") || !strings.Contains(log.String(), "count=499") {
			t.Errorf("%d lines after the burst: %s", n, log.String())
		}
		time.Sleep(10 * burst)
		if n := said(); n != 3 {
			t.Errorf("%d lines although all is quiet: %s", n, log.String())
		}
		r.Add(WrongPassword, "credentials refused", "from", 500)
		if n := said(); n != 4 || !strings.Contains(log.String(), "from=500") {
			t.Errorf("%d lines for a new burst: %s", n, log.String())
		}
		r.Add(WrongPassword, "credentials refused")
		r.Close()
		r.Close()
		time.Sleep(10 * burst)
		if n := said(); n != 4 {
			t.Errorf("%d lines after Close: %s", n, log.String())
		}
		if c := r.Counts(); c[WrongPassword] != 502 || c[Busy] != 1 {
			t.Errorf("counted: %v", c)
		}
	})
}

func TestNoRefusals(t *testing.T) {
	var r *Refusals
	r.Add(Busy, "busy")
	r.Close()
	if c := r.Counts(); c != nil {
		t.Errorf("counted: %v", c)
	}
}
