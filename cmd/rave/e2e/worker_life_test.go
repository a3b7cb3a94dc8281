package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
)

// TestWorkerFreezes: a worker that is stopped is found out and replaced.
func TestWorkerFreezes(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)})
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	wait(ctx, t, r, fps)
	at := time.Now()
	kill(t, p.worker(ctx, "cam"), syscall.SIGSTOP)
	p.says(ctx, `ERROR.*worker process died.*stream=cam.*reason=hang`)
	wait(ctx, t, r, 2*fps)
	t.Logf("no picture for %v", longestGap(r.Seen(), at).Round(time.Millisecond))
	if c := count(r.Seen(), loop); c.unreadable+c.twice > 0 { // it may be away for half a loop: backwards says nothing
		t.Errorf("%v", c)
	}
	ascending(t, r)
}

// TestUpgradeInPlace: the program's file is replaced and then removed while it runs. Workers that are killed meanwhile
// are followed by ones of the program that runs, at any moment: also while they load, and several at once.
func TestUpgradeInPlace(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	data, err := os.ReadFile(shared.binary)
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "rave")
	if err := os.WriteFile(binary, data, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{binary: binary, streams: fmt.Sprintf(`
  a: {source: %[1]q, transport: tcp, quality: [live-x2, lanczos]}
  b: {source: %[1]q, transport: tcp, quality: [luma-copy-x2, lanczos]}`, cam.URL)})
	streams := []string{"a", "b"}
	for _, upgrade := range []func() error{
		func() error { return os.WriteFile(binary+".new", []byte("#!/bin/false\n"), 0o700) }, //nolint:gosec // a program
		func() error { return os.Rename(binary+".new", binary) },
		func() error { return os.Remove(binary) },
	} {
		if err := upgrade(); err != nil {
			t.Fatal(err)
		}
		killed := map[int]bool{}
		for range 2 { // the second time it has hardly started
			for _, s := range streams {
				pid := p.worker(ctx, s)
				killed[pid] = true
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
					t.Fatal(err)
				}
			}
		}
		for _, s := range streams {
			p.serves(ctx, s)
			wait(ctx, t, watch(t, p.url(s), "tcp"), 3)
			if pid := p.worker(ctx, s); killed[pid] {
				t.Errorf("%s: %d lives", s, pid)
			}
		}
	}
	if strings.Contains(p.Output(), "reason=start") {
		t.Error("a worker could not be started")
	}
	p.until(ctx, "a", "the model is back", func(s streamStatus) bool { return s.Enhancer == "live-x2" })
}

// TestMainDies: when the main process is killed its workers end by themselves, at once; so does one that is stopped.
func TestMainDies(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := launch(t, settings{streams: fmt.Sprintf(`
  a: {source: %[1]q, transport: tcp, quality: [live-x2, lanczos]}
  b: {source: %[1]q, transport: tcp, quality: [lanczos]}`, cam.URL)})
	t.Cleanup(p.Kill)
	if err := p.listens(ctx); err != nil {
		t.Fatal(err)
	}
	p.serves(ctx, "a")
	p.serves(ctx, "b")
	pids := []int{p.worker(ctx, "a"), p.worker(ctx, "b")}
	kill(t, pids[1], syscall.SIGSTOP)
	start := time.Now()
	kill(t, p.PID(), syscall.SIGKILL)
	for _, pid := range pids {
		eventually(ctx, t, "the worker ends", func() error {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // empty of a process that nobody has reaped
			if err == nil && len(line) > 0 {
				return fmt.Errorf("%q", line)
			}
			return nil
		})
	}
	took := time.Since(start)
	t.Logf("the workers ended within %v", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("the workers ended after %v", took)
	}
}

// TestNewCodecNewWorker: a camera that comes back with another codec gets a new worker; the old one is gone and nothing
// of it stays open.
func TestNewCodecNewWorker(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	clips := []string{makeClip(ctx, t, clip.Params{}), makeClip(ctx, t, clip.Params{Codec: clip.H265, Width: 256, Height: 144})}
	cam := startCamera(ctx, t, camera.Config{Clip: clips[0]})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos], %s}", cam.URL, quick)})
	p.serves(ctx, "cam")
	files := 0.0
	for round := range 5 {
		before := p.worker(ctx, "cam")
		cam.Kill()
		cam = startCamera(ctx, t, camera.Config{Listen: address(cam.URL), Clip: clips[(round+1)%2]})
		eventually(ctx, t, "another worker, and no other child", func() error {
			if now := p.children(); len(now) != 1 || now[0] == before {
				return fmt.Errorf("%v after %d", now, before)
			}
			return nil
		})
		p.until(ctx, "cam", "the picture", func(s streamStatus) bool { return s.State == "online" && s.Enhancer != "" })
		if round == 0 {
			files = p.gauge("process_open_fds")
		}
	}
	eventually(ctx, t, "as many files as before", func() error {
		if now := p.gauge("process_open_fds"); now > files+2 { // a page being served
			return fmt.Errorf("%v; %v before", now, files)
		}
		return nil
	})
	if strings.Contains(p.Output(), "worker process died") {
		t.Error("a worker died")
	}
}
