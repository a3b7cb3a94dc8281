package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rave/bench/camera"
	"rave/engine/model/onnxtest"
)

// TestPortHolderIsNamed: who has the port is part of the error.
func TestPortHolderIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	code, output := command(deadline(t), t, []string{"RAVE_HTTP_LISTEN=" + taken.Addr().String(), "RAVE_RTSP_LISTEN=" + freeAddress(t),
		fmt.Sprintf("RAVE_RTSP_RTP_PORT=%d", freeUDPPair(t))}, "serve", "rtsp://127.0.0.1:1/x")
	for _, want := range []string{"http.listen", taken.Addr().String(), fmt.Sprintf("process %d, ", os.Getpid()), "choose another port"} {
		if code != 1 || !strings.Contains(output, want) {
			t.Errorf("exit status %d, does not say %q:\n%s", code, want, output)
		}
	}
}

// library compiles a shared library that says it is ONNX Runtime.
func library(ctx context.Context, t *testing.T, code, version string) string {
	t.Helper()
	dir := t.TempDir()
	source, script, path := filepath.Join(dir, "lib.c"), filepath.Join(dir, "version"), filepath.Join(dir, "libonnxruntime.so")
	err := errors.Join(os.WriteFile(source, []byte(code), 0o600),
		os.WriteFile(script, []byte("VERS_"+version+" { global: OrtGetApiBase; local: *; };"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(ctx, "gcc", "-shared", "-fPIC", "-o", path, source, "-Wl,--version-script="+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A version of ONNX Runtime whose GetApi knows no version, as an old one does (onnxruntime_c_api.h).
const oldRuntime = `
typedef struct { const void *(*GetApi)(unsigned); const char *(*GetVersionString)(void); } Base;
static const void *api(unsigned version) { return 0; }
static const char *version(void) { return "1.17.0"; }
static Base base = { api, version };
const Base *OrtGetApiBase(void) { return &base; }
`

// TestWrongRuntime: whatever lies at the library's path, streams go on with Lanczos, the reason names the file, what it
// is and the fix, and a strict stream refuses with the same reason. Even a library that kills who loads it costs no more
// than two workers.
func TestWrongRuntime(t *testing.T) {
	ctx := deadline(t)
	text := filepath.Join(t.TempDir(), "libonnxruntime.so")
	if err := os.WriteFile(text, []byte("this is a text"), 0o600); err != nil {
		t.Fatal(err)
	}
	libm, err := filepath.Glob("/lib/x86_64-linux-gnu/libm.so.6")
	if err != nil || len(libm) == 0 {
		t.Fatal("no libm.so.6")
	}
	cam := startCamera(ctx, t, camera.Config{})
	for name, c := range map[string]struct{ path, why string }{
		"text":       {text, "not a shared library"},
		"another":    {libm[0], "is not ONNX Runtime"},
		"old":        {library(ctx, t, oldRuntime, "1.17.0"), "is ONNX Runtime 1.17.0, and 1.31 or newer is needed"},
		"old inside": {library(ctx, t, oldRuntime, "1.99.0"), "does not have the API of 1.31"},
		"deadly": {library(ctx, t, `#include <stdlib.h>
__attribute__((constructor)) static void die(void) { abort(); }`+oldRuntime, "1.99.0"), "worker processes died of it .abort"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			p := serve(ctx, t, settings{library: c.path, streams: fmt.Sprintf(`
  with: {source: %[1]q, transport: tcp, quality: [live-x2, lanczos]}
  strict: {source: %[1]q, transport: tcp, quality: [live-x2], strict: true}
  other: {source: %[1]q, transport: tcp, quality: [lanczos]}`, cam.URL)})
			p.serves(ctx, "other")
			r := watch(t, p.url("other"), "tcp")
			p.serves(ctx, "with")
			wait(ctx, t, watch(t, p.url("with"), "tcp"), fps)
			p.says(ctx, `ERROR.*stream=with.*enhancer=live-x2.*`+c.why)
			s := p.until(ctx, "with", "Lanczos serves, and why", func(s streamStatus) bool {
				return s.Enhancer == "lanczos" && s.Enhancers[0].Reason != ""
			})
			if !strings.Contains(s.Enhancers[0].Reason, c.path) {
				t.Errorf("the reason does not name the file: %s", s.Enhancers[0].Reason)
			}
			eventually(ctx, t, "the strict stream says why", func() error {
				code, answer, err := describe(p.rtsp, "strict")
				if err == nil && (code == http.StatusOK || !strings.Contains(answer, "live-x2")) {
					err = errors.New(answer)
				}
				return err
			})
			complete(ctx, t, p, r, fps, loop)
			if n := p.metric("rave_worker_restarts_total", `stream="with"`); name == "deadly" && n != 2 || name != "deadly" && n != 0 {
				t.Errorf("%v workers died", n)
			}
		})
	}
}

// TestHostileModels: model files that are not honest cost their stream that model. Those that a check of the file cannot
// find out meet the worker's limit of memory.
func TestHostileModels(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	dir := t.TempDir()
	models := ""
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name+".onnx")
		if data != nil {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		models += fmt.Sprintf("  %s: %q\n", name, path)
		return path
	}
	external := onnxtest.Message(nil).Int(1, 4).Int(2, onnxtest.Float32).Text(8, "w").
		Bytes(13, onnxtest.Message(nil).Text(1, "location").Text(2, "../../etc/passwd")).Int(14, 1)
	file("external", onnxtest.Luma(onnxtest.Copy().Nodes, external).Model())
	file("custom", onnxtest.Luma([]onnxtest.Message{onnxtest.Node("Hack", "my.ops", []string{"in"}, []string{"out"})}).Model())
	file("hungry", onnxtest.Hungry().Model())
	if err := syscall.Mkfifo(file("pipe", nil), 0o600); err != nil {
		t.Fatal(err)
	}
	cam := startCamera(ctx, t, camera.Config{})
	why := map[string]string{
		"external": "lies in another file", "custom": "custom operator", "pipe": "not a regular file",
		"hungry": "needs more than the 512 MiB of memory that a worker may use; raise limits.worker_memory",
	}
	streams := ""
	for name := range why {
		streams += fmt.Sprintf("\n  %s: {source: %q, transport: tcp, quality: [%s, lanczos]}", name, cam.URL, name)
	}
	p := serve(ctx, t, settings{streams: streams, models: models, extra: "limits: {worker_memory: 512M}"})
	for name, text := range why {
		p.serves(ctx, name)
		s := p.until(ctx, name, "the reason", func(s streamStatus) bool { return s.Enhancers[0].Reason != "" && s.Enhancer == "lanczos" })
		if reason := s.Enhancers[0].Reason; !strings.Contains(reason, text) || !strings.Contains(reason, filepath.Join(dir, name+".onnx")) {
			t.Errorf("%s: %s", name, reason)
		}
		wait(ctx, t, watch(t, p.url(name), "tcp"), 3)
	}
	if n, m := p.metric("rave_worker_restarts_total"), p.metric("rave_worker_restarts_total", `reason="memory"`, `stream="hungry"`); n != m {
		t.Errorf("%v workers died, %v of memory", n, m)
	}
}

// TestLogCannotBeWritten: a log that is full, closed, blocked or without a reader stops no stream, and what is lost is
// counted.
func TestLogCannotBeWritten(t *testing.T) {
	cam := startCamera(deadline(t), t, camera.Config{})
	fifo := func(t *testing.T) (path string, f *os.File) {
		t.Helper()
		path = filepath.Join(t.TempDir(), "log")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return path, f
	}
	for name, prepare := range map[string]func(t *testing.T) (to string, after func(p *program)){
		"full":   func(*testing.T) (string, func(*program)) { return "/dev/full", nil },
		"closed": func(*testing.T) (string, func(*program)) { return "&-", nil },
		"reader gone": func(t *testing.T) (string, func(*program)) {
			path, f := fifo(t)
			return path, func(*program) { f.Close() }
		},
		"blocked": func(t *testing.T) (string, func(*program)) {
			path, f := fifo(t)
			fill(t, f)
			return path, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			to, after := prepare(t)
			p := serve(ctx, t, settings{
				streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL),
				shell:   `exec "$0" "$@" 1>` + to + ` 2>` + to,
			})
			if after != nil {
				after(p)
			}
			p.serves(ctx, "cam")
			if err := syscall.Kill(p.worker(ctx, "cam"), syscall.SIGKILL); err != nil { // something to log
				t.Fatal(err)
			}
			eventually(ctx, t, "the death is counted", func() error {
				if n := p.metric("rave_worker_restarts_total"); n != 1 {
					return fmt.Errorf("%v workers died", n)
				}
				return nil
			})
			complete(ctx, t, p, watch(t, p.url("cam"), "tcp"), 2*fps, loop)
			lost := p.gauge("rave_log_lines_lost_total")
			if expect := name == "full" || name == "reader gone"; expect != (lost > 0) {
				t.Errorf("%v lines of the log are lost", lost)
			}
		})
	}
}

// fill writes into a pipe until it takes no more.
func fill(t *testing.T, f *os.File) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Write(func(fd uintptr) bool {
		for {
			if _, err = syscall.Write(int(fd), bytes.Repeat([]byte{'\n'}, 4096)); err != nil {
				return true
			}
		}
	})
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
}

// TestOpenFiles: the soft limit is raised to the hard one; a hard limit that will not do is said, with the fix.
func TestOpenFiles(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	s := settings{streams: "  a: {source: publish}\n  b: {source: publish}\n  c: {source: publish}", shell: `ulimit -Sn 64; exec "$0" "$@"`}
	p := serve(ctx, t, s)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	var soft, hard int // Go's runtime leaves one between the two
	_, line, _ := strings.Cut(string(limits), "Max open files")
	if _, err := fmt.Sscan(line, &soft, &hard); err != nil || soft < hard-1 {
		t.Errorf("the soft limit is %d of %d, %v", soft, hard, err)
	}
	if strings.Contains(p.Output(), "open files") {
		t.Error("complains without reason")
	}
	s.shell = `ulimit -n 64; exec "$0" "$@"`
	low := serve(ctx, t, s)
	low.says(ctx, `ERROR.*limit of open files is low.*ulimit -n.*LimitNOFILE.*limit=64 streams_need=72`)
	s.shell = `ulimit -n 800; exec "$0" "$@"`
	fair := serve(ctx, t, s)
	fair.says(ctx, `WARN.*limit of open files does not do for all connections.*LimitNOFILE.*limit=800 streams_need=72 with_all_connections=840`)
}
