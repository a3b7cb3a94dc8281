package e2e

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/reader"
)

// TestFaultInWorker: a worker is killed, its H.264 decoder touches memory that is not there, its ONNX Runtime aborts.
// Readers over TCP and UDP stay connected and have a picture again within 2 s, the other stream loses none, and the
// death is said and counted.
func TestFaultInWorker(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	// Four slices a picture: FFmpeg decodes them on threads of its own as well, which Go does not know.
	sliced := transcode(ctx, t, makeClip(ctx, t, clip.Params{}), "-c:v libx264 -preset veryfast -crf 22 -bf 0 -g 10 -slices 4")
	trigger := filepath.Join(t.TempDir(), "abort")
	victim, other := startCamera(ctx, t, camera.Config{Clip: sliced}), startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		extra: "cpu: {threads: 4}", env: []string{"LD_PRELOAD=" + abortLibrary(ctx, t), "ABORT_WHEN=" + trigger},
		streams: fmt.Sprintf(`
  victim: {source: %q, transport: tcp, quality: [luma-copy-x2, lanczos]}
  other: {source: %q, transport: tcp, quality: [lanczos]}`, victim.URL, other.URL),
	})
	readers := map[string]*reader.Reader{}
	for name, transport := range map[string]string{"victim": "tcp", "victim/original": "udp", "other": "tcp"} {
		p.serves(ctx, name)
		readers[name] = watch(t, p.url(name), transport)
	}
	readers["victim over UDP"] = watch(t, p.url("victim"), "udp")
	for _, r := range readers {
		wait(ctx, t, r, fps)
	}
	neighbour := p.worker(ctx, "other")
	for _, c := range []struct {
		reason string
		fault  func(pid int)
	}{
		{"killed", func(pid int) { kill(t, pid, syscall.SIGKILL) }},
		{"segfault", func(pid int) { breakDecoder(t, pid) }},
		{"abort", func(int) { touch(t, trigger) }},
	} {
		p.until(ctx, "victim", "the model serves", func(s streamStatus) bool { return s.Enhancer == "luma-copy-x2" })
		before, at := p.worker(ctx, "victim"), time.Now()
		c.fault(before)
		t.Log(p.says(ctx, `ERROR.*worker process died.*stream=victim.*reason=`+c.reason+`.*`)[0])
		for _, name := range []string{"victim", "victim over UDP"} {
			wait(ctx, t, readers[name], 2*fps)
			gap := longestGap(readers[name].Seen(), at)
			t.Logf("%s: %s had no picture for %v", c.reason, name, gap.Round(time.Millisecond))
			if gap > 2*time.Second {
				t.Errorf("%s: %s had no picture for %v", c.reason, name, gap)
			}
		}
		if after := p.worker(ctx, "victim"); after == before {
			t.Errorf("%s: the worker is still %d", c.reason, after)
		}
		if n := p.metric("rave_worker_restarts_total", fmt.Sprintf(`reason=%q,stream="victim"`, c.reason)); n != 1 {
			t.Errorf("rave_worker_restarts_total of %s is %v", c.reason, n)
		}
	}
	if n := p.metric("rave_worker_restarts_total"); n != 3 || p.worker(ctx, "other") != neighbour {
		t.Errorf("%v restarts in all; the other stream's worker went from %d to %d", n, neighbour, p.worker(ctx, "other"))
	}
	for name, r := range readers {
		if c := count(r.Seen(), loop); c.unreadable+c.twice+c.backwards > 0 || c.lost > 0 && name[0] == 'o' {
			t.Errorf("%s: %v", name, c)
		}
		ascending(t, r)
	}
}

// longestGap is the longest time between two pictures, of which the second came after a time.
func longestGap(seen []reader.Seen, after time.Time) time.Duration {
	gap := time.Duration(0)
	for i := 1; i < len(seen); i++ {
		if seen[i].At.After(after) {
			gap = max(gap, seen[i].At.Sub(seen[i-1].At))
		}
	}
	return gap
}

func kill(t *testing.T, pid int, signal syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, signal); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// breakDecoder replaces the start of the function by which FFmpeg decodes a macroblock in a running worker: it now
// writes to address 0.
func breakDecoder(t *testing.T, pid int) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the instructions that fault are written for amd64 only")
	}
	program, err := elf.Open(shared.binary)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	symbols, err := program.Symbols()
	if err != nil || program.Type != elf.ET_EXEC {
		t.Fatalf("%s, %v: where its functions lie in memory is not known", program.Type, err)
	}
	i := slices.IndexFunc(symbols, func(s elf.Symbol) bool { return s.Name == "ff_h264_decode_mb_cabac" })
	if i < 0 {
		t.Fatal("the program has no ff_h264_decode_mb_cabac; another function of FFmpeg's H.264 decoder would do")
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	fault := []byte{0x31, 0xc0, 0x88, 0x00} // xor eax, eax; mov [rax], al
	if _, err := memory.WriteAt(fault, int64(symbols[i].Value)); err != nil {
		t.Fatal(err)
	}
}

// abortLibrary compiles what makes ONNX Runtime abort.
func abortLibrary(ctx context.Context, t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "abort.so")
	build := exec.CommandContext(ctx, "cc", "-shared", "-fPIC", "-O1", "-o", path, "testdata/abort.c", "-ldl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
