package worker_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"rave/engine/worker"
)

// TestPoison: an access unit that crashes every worker is given up after two; one that makes the kernel kill them, after
// four.
func TestPoison(t *testing.T) {
	track, packets := footage(t, 50, 25, 1)
	for fault, c := range map[string]struct {
		reason string
		deaths int
	}{"segfault": {"segfault", 2}, "panic": {"panic", 2}, "kill": {"killed", 4}} {
		t.Run(fault, func(t *testing.T) {
			r := inWorker(t, track, spec{Fault: fault, At: packets[5].PTS}, nil)
			for _, p := range packets[:5] {
				r.step(p)
			}
			r.send(packets[5])
			for range c.deaths {
				if reason := receive(t, r.deaths); reason != c.reason {
					t.Errorf("died by %s", reason)
				}
			}
			for _, p := range packets[6:25] {
				r.send(p)
			}
			if made := r.step(packets[25]); made.PTS != packets[25].PTS || !made.Keyframe {
				t.Errorf("back at %v", made.PTS)
			}
			for _, p := range packets[26:] {
				r.step(p)
			}
			r.stop()
			_, _, drops, _ := r.rec.Result()
			if drops["decode/poison"] != 1 || drops["decode/waiting_keyframe"] != 19 || r.client.Restarts() != c.deaths {
				t.Errorf("drops %v, %d restarts", drops, r.client.Restarts())
			}
			r.ascending()
			r.accounted(len(packets))
		})
	}
}

// TestKillsAreNoPoison: workers that are killed from outside, one after the other before any has given a picture, take
// no picture along.
func TestKillsAreNoPoison(t *testing.T) {
	track, packets := footage(t, 10, 10, 1)
	r := inWorker(t, track, spec{Fault: "kill", At: packets[5].PTS, Once: filepath.Join(t.TempDir(), "once"), Times: 3}, nil)
	for _, p := range packets {
		if made := r.step(p); made.PTS != p.PTS {
			t.Errorf("%v instead of %v", made.PTS, p.PTS)
		}
	}
	r.accounted(len(packets))
	if n := r.client.Restarts(); n != 3 {
		t.Errorf("%d restarts", n)
	}
}

// TestEveryPictureCounts: under overload, and with workers that are killed at any moment, pictures and drops together are
// what was sent.
func TestEveryPictureCounts(t *testing.T) {
	track, packets := footage(t, 400, 10, 4)
	r := inWorker(t, track, spec{}, func(c *worker.Config) { c.Session.Output.Scale = 2 })
	r.step(packets[0])
	beat := time.NewTicker(frameTime / 5) // faster than it can
	defer beat.Stop()
	kills := 0
	for i, p := range packets[1:] {
		<-beat.C
		r.send(p)
		if i%100 == 99 {
			kills++
			r.signal(syscall.SIGKILL)
		}
	}
	for range kills {
		receive(t, r.deaths)
	}
	r.accounted(len(packets))
	r.stop()
	r.accounted(len(packets))
	r.ascending()
	_, made, drops, _ := r.rec.Result()
	t.Logf("%d kills, %d pictures, drops %v", kills, len(made), drops)
	if drops["decode/worker_died"] == 0 && drops["decode/worker_down"] == 0 {
		t.Error("nothing was lost by a death: the test tests nothing")
	}
}
