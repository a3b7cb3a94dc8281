package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/process"
	"rave/bench/reader"
)

// command runs the program to its end.
func command(ctx context.Context, t *testing.T, env []string, args ...string) (code int, output string) {
	t.Helper()
	p, err := process.Start(process.Config{Name: "rave", Path: shared.binary, Args: args, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		t.Errorf("rave %v does not end", args)
	}
	return p.ExitCode(), p.Output()
}

// wrongUse is the exit status for what the user wrote.
const wrongUse = 2

func TestCommands(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, yaml string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	library := []string{"RAVE_ONNXRUNTIME_LIBRARY=" + shared.library}
	for _, c := range []struct {
		name string
		args []string
		env  []string
		code int
		says []string
	}{
		{"version", []string{"version"}, nil, 0, []string{"rave ", "FFmpeg 7"}},
		{"help", []string{"--help"}, nil, 0, []string{"serve", "demo", "doctor", "version"}},
		{"doctor", []string{"doctor"}, library, 0, []string{"decode", "encode", "ONNX Runtime 1.", "live-x2", "Lanczos"}},
		{"doctor without ONNX Runtime", []string{"doctor"}, []string{"RAVE_ONNXRUNTIME_LIBRARY=/nowhere/libonnxruntime.so"}, 1,
			[]string{"/nowhere/libonnxruntime.so", "make setup", "onnxruntime.library"}},
		{"serve what", []string{"serve"}, nil, wrongUse, []string{"-c rave.yaml", "URL", "rave demo"}},
		{"both", []string{"serve", "-c", "x.yaml", "rtsp://127.0.0.1/x"}, nil, wrongUse, []string{"not both"}},
		{"unknown flag", []string{"serve", "--nonsense"}, nil, wrongUse, []string{"--nonsense"}},
		{"unknown command", []string{"nonsense"}, nil, wrongUse, []string{"nonsense"}},
		{"no such file", []string{"serve", "-c", "/nowhere/rave.yaml"}, nil, wrongUse, []string{"/nowhere/rave.yaml"}},
		{"no URL", []string{"serve", "camera"}, nil, wrongUse, []string{"rtsp://"}},
		{"URL with a password", []string{"serve", "rtsp://admin:" + passwordInURL + "@"}, nil, wrongUse, []string{"rtsp://HOST"}},
		{"unknown key", []string{"serve", "-c", file("key.yaml", "streams:\n  cam: {sorce: publish}\n")}, nil, wrongUse,
			[]string{"key.yaml:2", "sorce", "source"}},
		{"unknown enhancer", []string{"serve", "-c", file("quality.yaml", "streams:\n  cam: {source: publish, quality: [live-x3]}\n")}, nil, wrongUse,
			[]string{"quality.yaml:2", "live-x3", "live-x2"}},
		{"open to the network", []string{"serve", "-c", file("open.yaml", "rtsp: {listen: \":18554\"}\nstreams:\n  cam: {source: publish}\n")}, nil, wrongUse,
			[]string{"rtsp.listen", ":18554", "users", "auth: none"}},
		{"page open to the network", []string{"serve", "rtsp://127.0.0.1/x"}, []string{"RAVE_HTTP_LISTEN=0.0.0.0:18080"}, wrongUse,
			[]string{"RAVE_HTTP_LISTEN", "0.0.0.0:18080", "users", "auth: none"}},
		{"RUN_FOR", []string{"demo"}, []string{"RUN_FOR=soon"}, wrongUse, []string{"RUN_FOR=soon", "30s"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, output := command(deadline(t), t, c.env, c.args...)
			if code != c.code {
				t.Errorf("exit status %d; want %d", code, c.code)
			}
			for _, text := range c.says {
				if !strings.Contains(output, text) {
					t.Errorf("does not say %q", text)
				}
			}
			if strings.Contains(output, "w!rd") {
				t.Error("tells the password")
			}
			if t.Failed() {
				t.Log(output)
			}
		})
	}
}

func TestPortIsTaken(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	udp, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", freeUDPPair(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	ports := func(rtsp, http string, rtp int) []string {
		return []string{"RAVE_RTSP_LISTEN=" + rtsp, "RAVE_HTTP_LISTEN=" + http, fmt.Sprintf("RAVE_RTSP_RTP_PORT=%d", rtp)}
	}
	for key, env := range map[string][]string{
		"rtsp.listen":   ports(taken.Addr().String(), freeAddress(t), freeUDPPair(t)),
		"http.listen":   ports(freeAddress(t), taken.Addr().String(), freeUDPPair(t)),
		"rtsp.rtp_port": ports(freeAddress(t), freeAddress(t), udp.LocalAddr().(*net.UDPAddr).Port),
	} {
		t.Run(key, func(t *testing.T) {
			code, output := command(ctx, t, env, "serve", "rtsp://127.0.0.1:1/x")
			where := taken.Addr().String()
			if key == "rtsp.rtp_port" {
				where = udp.LocalAddr().String()
			}
			if code == 0 || !strings.Contains(output, key) || !strings.Contains(output, where) || !strings.Contains(output, "in use") {
				t.Errorf("exit status %d, does not name %s and %s:\n%s", code, key, where, output)
			}
		})
	}
}

// Without ONNX Runtime a stream is served by Lanczos and says so; others don't notice.
func TestWithoutONNXRuntime(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{library: "/nowhere/libonnxruntime.so", streams: fmt.Sprintf(`
  with: {source: %[1]q, quality: [live-x2, lanczos]}
  without: {source: %[1]q, quality: [lanczos]}`, cam.URL)})
	for _, path := range []string{"with", "without"} {
		p.serves(ctx, path)
		complete(ctx, t, p, watch(t, p.url(path), "tcp"), fps, loop)
	}
	p.says(ctx, `ERROR.*stream=with.*enhancer=live-x2.*/nowhere/libonnxruntime.so.*(make setup|onnxruntime\.library)`)
	s, err := p.stream("with")
	if err != nil || s.Enhancer != "lanczos" || !strings.Contains(s.Enhancers[0].Reason, "/nowhere/libonnxruntime.so") {
		t.Errorf("status: %+v, %v", s, err)
	}
	if s, err := p.stream("without"); err != nil || s.Enhancers[0].Reason != "" {
		t.Errorf("status of the other: %+v, %v", s, err)
	}
	if _, told, err := p.get("/api/v1/streams"); err != nil || !strings.Contains(told, "/nowhere/libonnxruntime.so") {
		t.Errorf("the page is not told why: %v", err)
	}
}

func TestBrokenModels(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	testdata := filepath.Join(shared.root, "engine", "model", "testdata")
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		models: fmt.Sprintf("  truncated: %q\n  absent: /nowhere/absent.onnx\n  two: %q", filepath.Join(testdata, "truncated.onnx"),
			filepath.Join(testdata, "bad-two-inputs.onnx")),
		streams: fmt.Sprintf(`
  a: {source: %[1]q, quality: [truncated, lanczos]}
  b: {source: %[1]q, quality: [absent, lanczos]}
  c: {source: %[1]q, quality: [two, lanczos]}
  d: {source: %[1]q, quality: [luma-copy-x2, lanczos]}`, cam.URL),
	})
	for stream, c := range map[string]struct{ model, file, why string }{
		"a": {"truncated", "truncated.onnx", "cannot be read as ONNX"},
		"b": {"absent", "/nowhere/absent.onnx", "no such file"},
		"c": {"two", "bad-two-inputs.onnx", "one image in and one image out"},
	} {
		p.serves(ctx, stream)
		wait(ctx, t, watch(t, p.url(stream), "tcp"), 3)
		p.says(ctx, `ERROR.*stream=`+stream+`.*enhancer=`+c.model+`.*`+c.why)
		s := p.until(ctx, stream, "the reason", func(s streamStatus) bool { return s.Enhancers[0].Reason != "" })
		if s.Enhancer != "lanczos" || !strings.Contains(s.Enhancers[0].Reason, c.why) || !strings.Contains(s.Enhancers[0].Reason, c.file) {
			t.Errorf("the reason names neither %q nor the file %s: %+v", c.why, c.file, s.Enhancers)
		}
	}
	p.until(ctx, "d", "the other model serves", func(s streamStatus) bool { return s.Enhancer == "luma-copy-x2" })
}

func TestDemo(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	rtsp, page := freeAddress(t), freeAddress(t)
	p, err := process.Start(process.Config{Name: "demo", Path: shared.binary, Args: []string{"demo"}, Env: []string{
		"RUN_FOR=8s", "RAVE_RTSP_LISTEN=" + rtsp, "RAVE_HTTP_LISTEN=" + page, fmt.Sprintf("RAVE_RTSP_RTP_PORT=%d", freeUDPPair(t)),
		"RAVE_ONNXRUNTIME_LIBRARY=" + shared.library,
	}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the demo's output:\n%s", ends(p.Output(), 60, 60))
		}
	})
	for _, name := range []string{"security", "cockatoo"} {
		url := "rtsp://" + rtsp + "/" + name
		for _, pattern := range []string{`first enhanced frame.*` + name, regexpQuote(url) + `$`, regexpQuote(url+"/original") + `$`} {
			if _, err := p.Line(ctx, pattern); err != nil {
				t.Fatal(err)
			}
		}
	}
	sizes := map[string][2]int{"security": {768, 576}, "cockatoo": {1280, 720}}
	for name, size := range sizes {
		r := watch(t, "rtsp://"+rtsp+"/"+name, "tcp")
		if err := r.Wait(ctx, func(seen []reader.Seen) bool { return len(seen) >= 3 }); err != nil {
			t.Fatal(err)
		}
		if picture := described(ctx, t, r)[0]; picture.Width != size[0] || picture.Height != size[1] {
			t.Errorf("%s: %+v", name, picture)
		}
	}
	if code, body, err := get("http://"+page+"/api/v1/streams", ""); err != nil || code != http.StatusOK || !strings.Contains(body, "cockatoo") {
		t.Errorf("the page's streams: %d, %v", code, err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatal("it does not end")
	}
	if code := p.ExitCode(); code != 0 || time.Since(start) < 7*time.Second {
		t.Errorf("exit status %d after %v", code, time.Since(start))
	}
	for _, text := range []string{"http://" + page + "/", "/metrics", "msg=plan", "fps_out=", "latency_p50=", "latency_p95=", "drops="} {
		if !strings.Contains(p.Output(), text) {
			t.Errorf("does not say %q", text)
		}
	}
}

func TestServeURL(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{User: "admin", Password: password})
	rtsp, page := freeAddress(t), freeAddress(t)
	p, err := process.Start(process.Config{
		Name: "rave", Path: shared.binary, Args: []string{"serve", "rtsp://admin:" + passwordInURL + "@" + address(cam.URL) + "/stream"},
		Env: []string{
			"RAVE_RTSP_LISTEN=" + rtsp, "RAVE_HTTP_LISTEN=" + page, fmt.Sprintf("RAVE_RTSP_RTP_PORT=%d", freeUDPPair(t)),
			"RAVE_ONNXRUNTIME_LIBRARY=" + shared.library,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	running := &program{Process: p, t: t, rtsp: rtsp, http: page}
	t.Cleanup(running.finish)
	if err := running.listens(ctx); err != nil {
		t.Fatal(err)
	}
	running.serves(ctx, "camera")
	wait(ctx, t, watch(t, running.url("camera"), "tcp"), fps)
	keepsSecret(t, running, "camera")
}

func regexpQuote(text string) string { return strings.ReplaceAll(text, ".", `\.`) }
