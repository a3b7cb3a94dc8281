package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"rave/bench/camera"
	"rave/bench/reader"
)

// TestWorkerDies kills one stream's worker process in several ways: its readers stay connected and see the next frames,
// times ascend, the death is said and counted, and the other stream loses nothing.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`
  victim: {source: %[1]q, transport: tcp, quality: [luma-copy-x2, lanczos]}
  other: {source: %[1]q, transport: tcp, quality: [lanczos]}`, cam.URL)})
	readers := map[string]*reader.Reader{}
	for _, stream := range []string{"victim", "other"} {
		p.serves(ctx, stream)
		readers[stream] = watch(t, p.url(stream), "tcp")
		wait(ctx, t, readers[stream], fps)
	}
	other := p.worker(ctx, "other")
	for signal, reason := range map[syscall.Signal]string{
		syscall.SIGKILL: "killed", syscall.SIGSEGV: "segfault", syscall.SIGABRT: "abort",
	} {
		before := p.worker(ctx, "victim")
		if err := syscall.Kill(before, signal); err != nil {
			t.Fatal(err)
		}
		p.says(ctx, `ERROR.*worker process died.*stream=victim.*reason=`+reason)
		wait(ctx, t, readers["victim"], fps)
		if after := p.worker(ctx, "victim"); after == before {
			t.Errorf("%v: the worker is still %d", signal, after)
		}
		labels := fmt.Sprintf(`reason=%q,stream="victim"`, reason)
		if n := p.metric("rave_worker_restarts_total", labels); n != 1 {
			t.Errorf("rave_worker_restarts_total{%s} is %v", labels, n)
		}
	}
	if pid := p.worker(ctx, "other"); pid != other {
		t.Errorf("the other stream's worker went from %d to %d", other, pid)
	}
	for stream, r := range readers {
		ascending(t, r)
		if c := count(r.Seen(), loop); c.unreadable > 0 || stream == "other" && c.lost > 0 {
			t.Errorf("%s: %+v", stream, c)
		}
	}
}

// TestWithoutWorkers: workers: off keeps everything in one process.
func TestWithoutWorkers(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [luma-copy-x2, lanczos]}", cam.URL), extra: "workers: off",
	})
	p.serves(ctx, "cam")
	wait(ctx, t, watch(t, p.url("cam"), "tcp"), fps)
	if pids := p.children(); len(pids) != 0 {
		t.Errorf("there are child processes: %v", pids)
	}
}

// worker returns the process that runs a stream.
func (p *program) worker(ctx context.Context, stream string) int {
	p.t.Helper()
	found := 0
	eventually(ctx, p.t, "worker of "+stream, func() error {
		for _, pid := range p.children() {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			if strings.HasSuffix(strings.TrimRight(string(line), "\x00"), "worker\x00"+stream) {
				found = pid
				return nil
			}
		}
		return fmt.Errorf("children are %v", p.children())
	})
	return found
}

// children returns the processes that RAVE has started.
func (p *program) children() []int {
	var pids []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		text := string(data)
		fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
		if len(fields) > 1 && fields[1] == strconv.Itoa(p.PID()) && fields[0] != "Z" {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			pids = append(pids, pid)
		}
	}
	return pids
}
