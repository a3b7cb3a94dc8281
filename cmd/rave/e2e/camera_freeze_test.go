package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/process"
	"rave/bench/reader"
)

// frozenFor is how long RAVE or its camera stands still; the clip's loop is longer, so that no old picture is taken for
// a new one.
const (
	frozenFor  = 30 * time.Second
	frozenLoop = 600 // frames: 60 s
)

// freeze stops processes for a while and returns when they went on.
func freeze(ctx context.Context, t *testing.T, pids ...int) time.Time {
	t.Helper()
	if err := process.Freeze(ctx, pids...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Thaw(pids...) }) // a frozen process cannot be stopped
	select {
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	case <-time.After(frozenFor):
	}
	woke := time.Now()
	if err := process.Thaw(pids...); err != nil {
		t.Fatal(err)
	}
	return woke
}

// staysFresh checks that from two seconds after the waking a reader's pictures are at most half a second old, for five
// seconds, and that it gets them all. A reader directly at the camera tells how late this machine is without RAVE: what
// it sees later than a reader needs (a tenth of a second) is not RAVE's.
func staysFresh(ctx context.Context, t *testing.T, name string, cam *camera.Process, direct, r *reader.Reader, woke time.Time) {
	t.Helper()
	const settled, watched, age = 2 * time.Second, 5 * time.Second, 500 * time.Millisecond
	from, to := woke.Add(settled), woke.Add(settled+watched)
	for _, r := range []*reader.Reader{direct, r} {
		if err := r.Wait(ctx, func(seen []reader.Seen) bool { return len(seen) > 0 && seen[len(seen)-1].At.After(to) }); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	sent, err := camera.ReadLog(cam.Log)
	if err != nil {
		t.Fatal(err)
	}
	all := r.Seen()
	after, _ := reader.Compare(sent, all, frozenLoop, from, to)
	control, _ := reader.Compare(sent, direct.Seen(), frozenLoop, from, to)
	late := max(0, control.Latency.Max-100*time.Millisecond)
	if after.Latency.Max > age+late || after.Unreadable+after.Duplicates+after.Disordered > 0 || float64(after.Pictures) < 0.9*fps*watched.Seconds() {
		t.Errorf("%s: from 2 s after the waking on: %+v; at the camera %v", name, after, control.Latency)
	}
	old := time.Duration(0) // when the last old picture came
	for _, one := range all {
		if one.At.Before(woke) {
			continue
		}
		if now, _ := reader.Compare(sent, []reader.Seen{one}, frozenLoop, woke, to); now.Latency.Max > age {
			old = one.At.Sub(woke)
		}
	}
	t.Logf("%s: the last old picture came %v after the waking; then %v", name, old, after.Latency)
	ascending(t, r)
}

// frozenScene is a camera, RAVE with a stream over each transport, and readers of all paths.
func frozenScene(ctx context.Context, t *testing.T) (cam *camera.Process, p *program, direct *reader.Reader, readers map[string]*reader.Reader) {
	t.Helper()
	cam = startCamera(ctx, t, camera.Config{Clip: makeClip(ctx, t, clip.Params{Frames: frozenLoop})})
	p = serve(ctx, t, settings{streams: fmt.Sprintf(`
  tcp: {source: %[1]q, transport: tcp, quality: [lanczos]}
  udp: {source: %[1]q, transport: udp, quality: [lanczos]}`, cam.URL)})
	direct, readers = watch(t, cam.URL, "tcp"), map[string]*reader.Reader{}
	for _, path := range []string{"tcp", "udp", "tcp/original", "udp/original"} {
		p.serves(ctx, path)
		readers[path] = watch(t, p.url(path), "tcp")
	}
	for _, r := range readers {
		wait(ctx, t, r, 2*fps)
	}
	return cam, p, direct, readers
}

// drops shows what a stream has given up, and why.
func drops(t *testing.T, p *program, stream string) string {
	t.Helper()
	_, body, err := p.get("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "rave_frames_dropped_total{") && strings.Contains(line, fmt.Sprintf("stream=%q", stream)) && !strings.HasSuffix(line, " 0\n") {
			list = append(list, strings.TrimSpace(strings.TrimPrefix(line, "rave_frames_dropped_total")))
		}
	}
	return strings.Join(list, " ")
}

// RAVE is stopped for half a minute, with all its processes. What piled up in its sockets is old: nobody gets to see it
// as the present, and the camera is not blamed.
func TestFrozenRAVE(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam, p, direct, readers := frozenScene(ctx, t)
	pids := append([]int{p.PID()}, p.children()...)
	woke := freeze(ctx, t, pids...)
	for path, r := range readers {
		staysFresh(ctx, t, path, cam, direct, r, woke)
	}
	for _, stream := range []string{"tcp", "udp"} {
		t.Logf("%s: dropped %s", stream, drops(t, p, stream))
		labels := fmt.Sprintf("stream=%q", stream)
		if n := p.metric("rave_reconnects_total", labels); n != 0 {
			t.Errorf("%s: %v reconnects", stream, n)
		}
		if n := p.metric("rave_worker_restarts_total", labels); n != 0 {
			t.Errorf("%s: %v restarts of the worker", stream, n)
		}
		// Of what was sent meanwhile all but a few is given up: over UDP by the kernel already, if its buffers are small.
		lost := p.metric("rave_frames_dropped_total", labels, `stage="decode"`) + p.metric("rave_frames_dropped_total", labels, `stage="ingest"`)
		if few := frozenFor.Seconds() * fps / 10; lost < few {
			t.Errorf("%s: %v frames of the backlog are counted", stream, lost)
		}
	}
}

// The camera is stopped for half a minute: it accepts connections and says nothing.
func TestFrozenCamera(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam, p, direct, readers := frozenScene(ctx, t)
	woke := freeze(ctx, t, cam.PID())
	for path, r := range readers {
		staysFresh(ctx, t, path, cam, direct, r, woke)
	}
	for _, stream := range []string{"tcp", "udp"} {
		p.says(ctx, `WARN.*no stream.*stream=`+stream+`.*no video for 5s although the connection lives.*\(`+cam.URL+`\)`)
		t.Logf("%s: %v reconnects, dropped %s", stream, p.metric("rave_reconnects_total", fmt.Sprintf("stream=%q", stream)), drops(t, p, stream))
	}
}
