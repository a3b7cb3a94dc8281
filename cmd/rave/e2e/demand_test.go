package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
)

// A stream with on_demand has no worker, and decodes nothing, while nobody reads its enhanced picture. The first reader has
// a picture of now at once; when the last has left, the stream goes on for a moment and falls asleep again.
func TestOnDemand(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(
		"  cam: {source: %q, transport: tcp, quality: [luma-copy-x2, lanczos], on_demand: true, on_demand_linger: 1s, %s}", cam.URL, quick)})
	p.serves(ctx, "cam")
	original := watch(t, p.url("cam/original"), "tcp")
	asleep := func() (decoded float64) {
		t.Helper()
		p.until(ctx, "cam", "it is asleep", func(s streamStatus) bool { return s.Asleep && s.State == "online" && s.Reason == "" })
		eventually(ctx, t, "its worker ends", func() error {
			if pids := p.children(); len(pids) > 0 {
				return fmt.Errorf("workers %v", pids)
			}
			return nil
		})
		decoded = p.metric("rave_frames_decoded_total")
		wait(ctx, t, original, fps) // it is served all the time, and wakes nothing
		if now := p.metric("rave_frames_decoded_total"); now != decoded || p.metric("rave_stream_asleep") != 1 || len(p.children()) > 0 {
			t.Errorf("%v pictures were decoded asleep, workers %v", now-decoded, p.children())
		}
		return decoded
	}
	if decoded := asleep(); decoded != 0 {
		t.Errorf("%v pictures were decoded before anybody came", decoded)
	}
	if code, body, err := p.get("/readyz"); err != nil || code != http.StatusOK {
		t.Errorf("it is not ready: %d %s %v", code, body, err)
	}
	for range 2 {
		sent, _ := lastSent(t, cam)
		r, beside := watch(t, p.url("cam"), "tcp"), watch(t, p.url("cam/original"), "tcp")
		wait(ctx, t, r, 1)
		wait(ctx, t, beside, 1)
		first := r.Seen()[0]
		if age := (int(first.N) - int(sent%loop) + loop) % loop; first.Err != nil || age > loop/2 && age < loop-2 {
			t.Errorf("the first picture is %d (%v), and the camera had sent %d before", first.N, first.Err, sent)
		}
		later := first.At.Sub(beside.Seen()[0].At)
		t.Logf("the first picture has come %v after that of a reader of the original", later)
		if later > 2*time.Second { // on a busy machine
			t.Errorf("the first picture has come %v after that of a reader of the original", later)
		}
		beside.Stop()
		p.until(ctx, "cam", "it is awake", func(s streamStatus) bool { return !s.Asleep && s.Reason == "" })
		other := watch(t, p.url("cam"), "tcp")
		wait(ctx, t, other, 1)
		r.Stop()
		wait(ctx, t, other, 2*fps) // longer than the stream waits for another reader
		if picture := described(ctx, t, other)[0]; picture.Width != 2*width {
			t.Errorf("the picture has the size of %+v", picture)
		}
		ascending(t, other)
		other.Stop()
		asleep()
	}
	// While the worker starts, a new keyframe takes the place of what waits.
	if n := p.metric("rave_frames_dropped_total", `stage="decode"`) - p.metric("rave_frames_dropped_total", `reason="worker_down"`); n != 0 {
		t.Errorf("it counts %v drops: %s", n, drops(t, p, "cam"))
	}
}

// A browser wakes a stream as well: on the enhanced picture, and on an original that has to be made into something that it
// can play. A thumbnail does not; it shows what there was before.
func TestOnDemandInBrowsers(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{Clip: makeClip(ctx, t, clip.Params{Codec: clip.H265})})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(
		"  cam: {source: %q, transport: tcp, quality: [lanczos], on_demand: true, on_demand_linger: 0s, %s}", cam.URL, quick)})
	thumbnail := func(want int) {
		t.Helper()
		asleep := func(s streamStatus) bool { return s.Asleep }
		p.until(ctx, "cam", "it is asleep", asleep)
		code, body, err := p.get("/api/v1/streams/cam/snapshot.jpg?width=160")
		if err != nil || code != want || code != http.StatusOK && !strings.Contains(body, "asleep") {
			t.Errorf("thumbnail: %d, %v, %.200q", code, err, body)
		}
		if s, err := p.stream("cam"); err != nil || !asleep(s) {
			t.Errorf("a thumbnail has woken it: %+v, %v", s, err)
		}
	}
	thumbnail(http.StatusServiceUnavailable)
	for _, path := range []string{"cam", "cam/original"} {
		v := p.show(ctx, t, path)
		v.wait(ctx, t, 3)
		if s, err := p.stream("cam"); err != nil || s.Asleep {
			t.Errorf("%s: %+v, %v", path, s, err)
		}
		eventually(ctx, t, "a thumbnail of what runs", func() error {
			code, body, err := p.get("/api/v1/streams/cam/snapshot.jpg?width=160")
			if err == nil && code != http.StatusOK {
				err = fmt.Errorf("%d %.200q", code, body)
			}
			return err
		})
		if err := v.Leave(ctx); err != nil {
			t.Error(err)
		}
		thumbnail(http.StatusOK)
	}
}
