package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/reader"
)

// slowLoop is longer than any delay that could be mistaken for another.
const slowFPS, slowLoop = 25, 500 // 20 s

func startSlow(t *testing.T) (*camera.Process, *program) {
	t.Helper()
	ctx := deadline(t)
	path := makeClip(ctx, t, clip.Params{Width: 320, Height: 184, FPS: slowFPS, Frames: slowLoop})
	cam := startCamera(ctx, t, camera.Config{Clip: path})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [luma-slow-x2]}", cam.URL)})
	p.serves(ctx, "cam")
	return cam, p
}

// A model that is several times too slow costs pictures and not liveness.
func TestSlowModelStaysLive(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam, p := startSlow(t)
	r := watch(t, p.url("cam"), "tcp")
	control := watch(t, cam.URL, "tcp") // how late pictures are on this machine without RAVE
	said := p.says(ctx, `WARN.*this machine cannot hold the frame rate.*camera_fps=(\S+) served_fps=(\S+) enhance_ms=(\S+).*enhancer=luma-slow-x2.*lighter=`)
	from := time.Now()
	wait(ctx, t, r, 20)
	middle := time.Now()
	wait(ctx, t, r, 40)
	end, seen := time.Now(), r.Seen()
	sent, err := camera.ReadLog(cam.Log)
	if err != nil {
		t.Fatal(err)
	}
	early, _ := reader.Compare(sent, seen, slowLoop, from, middle)
	late, _ := reader.Compare(sent, seen, slowLoop, middle, end)
	direct, _ := reader.Compare(sent, control.Seen(), slowLoop, from, end)
	t.Logf("camera, served, ms: %q; at first %+v; later %+v; the camera itself %+v", said[1:], early, late, direct)
	for _, report := range []reader.Report{early, late} {
		if report.Pictures < 15 || report.Unreadable+report.Duplicates+report.Disordered > 0 {
			t.Errorf("pictures are wrong: %+v", report)
		}
		if report.Latency.P95 > direct.Latency.P95+2*time.Second {
			t.Errorf("pictures are old: %+v", report)
		}
	}
	if late.Latency.P50 > early.Latency.P50+direct.Latency.P95+500*time.Millisecond {
		t.Errorf("pictures grow older: %v, then %v", early.Latency.P50, late.Latency.P50)
	}
	if dropped := p.metric("rave_frames_dropped_total", `stream="cam"`, `stage="enhance"`, `reason="overload"`); int(dropped) < late.Lost || late.Lost == 0 {
		t.Errorf("%d pictures were lost of late; %v were counted since the start", late.Lost, dropped)
	}
	if n := strings.Count(p.Output(), "this machine cannot hold the frame rate"); n != 1 {
		t.Errorf("that the machine cannot hold the frame rate is said %d times", n)
	}
	ascending(t, r)
}

func TestSignalsEndInTime(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			_, p := startSlow(t)
			var readers []*reader.Reader
			for path, transport := range map[string]string{"cam": "tcp", "cam/original": "udp"} {
				r := watch(t, p.url(path), transport)
				wait(ctx, t, r, 2)
				readers = append(readers, r)
			}
			stalled(t, p.rtsp, "cam/original")
			start := time.Now()
			if err := p.Signal(signal); err != nil {
				t.Fatal(err)
			}
			select {
			case <-p.Done():
			case <-ctx.Done():
				t.Fatal("it does not end")
			}
			took := time.Since(start)
			t.Logf("ended after %v", took)
			// The program ends itself with another status after two seconds; the rest is for a busy machine.
			if code := p.ExitCode(); code != 0 || took > 4*time.Second || !strings.Contains(p.Output(), "msg=stopped") {
				t.Errorf("exit status %d after %v", code, took)
			}
			for _, r := range readers {
				select {
				case <-r.Done():
				case <-ctx.Done():
					t.Error("a reader was not told")
				}
			}
		})
	}
}
