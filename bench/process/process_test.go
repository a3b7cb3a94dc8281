package process

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func shell(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(Config{Name: "script", Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"WORD=hello"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func TestLineWaitsForOutput(t *testing.T) {
	p := shell(t, `echo first; echo "said $WORD" >&2; read never`)
	match, err := p.Line(t.Context(), `^said (\w+)$`)
	if err != nil || match[1] != "hello" {
		t.Errorf("got %q, %v", match, err)
	}
	if _, err := p.Line(t.Context(), `^first`); err != nil {
		t.Errorf("a line that came before: %v", err)
	}
}

func TestLineFailsWithTheEndOfTheOutput(t *testing.T) {
	p := shell(t, `echo last words; exit 3`)
	if _, err := p.Line(t.Context(), "ready"); err == nil || !strings.Contains(err.Error(), "last words") {
		t.Errorf("program ended: %v", err)
	}
	if p.ExitCode() != 3 || p.Wait() == nil {
		t.Errorf("exit status %d, %v", p.ExitCode(), p.Wait())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p = shell(t, `exec sleep 60`)
	if _, err := p.Line(ctx, "ready"); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("context done: %v", err)
	}
}

func TestStopEndsOrKills(t *testing.T) {
	if err := shell(t, `exec sleep 60`).Stop(10 * time.Second); err != nil {
		t.Errorf("ended by SIGTERM: %v", err)
	}
	p := shell(t, `trap "" TERM; echo deaf; while :; do sleep 1; done`)
	if _, err := p.Line(t.Context(), "deaf"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "did not end within") {
		t.Errorf("deaf program: %v", err)
	}
}

func TestUsageCountsCPUAndMemory(t *testing.T) {
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.PeakRSS < 1<<20 {
		t.Errorf("peak memory %d", before.PeakRSS)
	}
	var own syscall.Rusage
	burnUntil := time.Now().Add(10 * time.Second)
	for time.Now().Before(burnUntil) {
		after, err := UsageOf(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU-before.CPU >= 50*time.Millisecond {
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
				t.Fatal(err)
			}
			if got := time.Duration(own.Utime.Nano() + own.Stime.Nano()); got+time.Second < after.CPU {
				t.Errorf("%v of CPU; the kernel says %v", after.CPU, got)
			}
			return
		}
	}
	t.Error("no CPU time counted")
}

func TestStatWithAnAwkwardName(t *testing.T) {
	stat := "7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 100 20 3 4 20 0 1 0"
	if got, err := cpuTicks(stat); got != 127 || err != nil {
		t.Errorf("got %d, %v; want 127", got, err)
	}
	for _, bad := range []string{"", "7 (a) S 1", "7 (a) S 1 7 7 0 -1 0 0 0 0 0 x 20 3 4"} {
		if got, err := cpuTicks(bad); err == nil {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}

func TestFreezeAndThaw(t *testing.T) {
	p := shell(t, `echo ready; exec sleep 60`)
	if _, err := p.Line(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	if frozen(p.PID()) {
		t.Error("frozen before")
	}
	if err := Freeze(t.Context(), p.PID()); err != nil || !frozen(p.PID()) {
		t.Errorf("not frozen: %v", err)
	}
	if err := Thaw(p.PID()); err != nil {
		t.Error(err)
	}
	p.Kill()
	if err := Freeze(t.Context(), p.PID()); err == nil {
		t.Error("froze a process that has ended")
	}
}
