package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/reader"
	lossy "rave/bench/relay" // beside the relay of these tests
)

// maxAge is how old a picture may be at a reader that sees each one a frame late, on a busy machine.
const maxAge = 700 * time.Millisecond

// ages checks what a reader saw of a camera in [from, to): every picture once, in order, and none too old.
func ages(t *testing.T, name string, cam *camera.Process, r *reader.Reader, loop int64, from, to time.Time) reader.Report {
	t.Helper()
	sent, err := camera.ReadLog(cam.Log)
	if err != nil {
		t.Fatal(err)
	}
	report, _ := reader.Compare(sent, r.Seen(), loop, from, to)
	t.Logf("%s: %+v", name, report)
	if report.Latency.Max > maxAge || report.Pictures == 0 || report.Unreadable+report.Duplicates+report.Disordered > 0 {
		t.Errorf("%s: %+v", name, report)
	}
	return report
}

// watchFor waits until a reader has seen pictures for so long.
func watchFor(ctx context.Context, t *testing.T, r *reader.Reader, d time.Duration) {
	t.Helper()
	end := time.Now().Add(d)
	if err := r.Wait(ctx, func(seen []reader.Seen) bool { return len(seen) > 0 && seen[len(seen)-1].At.After(end) }); err != nil {
		t.Fatal(err)
	}
}

// Whatever the camera's clock does, the pictures stay fresh and each comes once, readers stay, their time goes on, and it
// is said once.
func TestCameraClocks(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	const first, second = 4 * fps, 7 * fps
	clocks := map[string]camera.Steps{
		"ahead":  {{Frame: first, By: 3 * time.Hour}, {Frame: second, By: 30 * time.Hour}},
		"back":   {{Frame: first, By: -3 * time.Hour}, {Frame: second, By: -3 * time.Second}},
		"still":  {{Frame: first, Stop: true}, {Frame: second}},
		"always": {{Frame: 0, Stop: true}},
	}
	cams := map[string]*camera.Process{}
	streams := ""
	for name, steps := range clocks {
		cams[name] = startCamera(ctx, t, camera.Config{Clock: steps})
		streams += fmt.Sprintf("  %s: {source: %q, transport: %s, quality: [lanczos]}\n", name, cams[name].URL, map[bool]string{true: "udp", false: "tcp"}[name == "back"])
	}
	p := serve(ctx, t, settings{streams: streams})
	readers := map[string]*reader.Reader{}
	for name := range clocks {
		for _, path := range []string{name, name + "/original"} {
			p.serves(ctx, path)
			readers[path] = watch(t, p.url(path), "tcp")
		}
	}
	for _, r := range readers {
		wait(ctx, t, r, 2)
	}
	from := time.Now()
	for path, r := range readers {
		eventually(ctx, t, "the camera's last step", func() error {
			if n, _ := lastSent(t, cams[strings.TrimSuffix(path, "/original")]); n < second+3*fps {
				return fmt.Errorf("frame %d", n)
			}
			return nil
		})
		watchFor(ctx, t, r, time.Second)
	}
	to := time.Now()
	for path, r := range readers {
		name := strings.TrimSuffix(path, "/original")
		report := ages(t, path, cams[name], r, loop, from, to)
		if busy := p.metric("rave_frames_dropped_total", fmt.Sprintf("stream=%q", name)); float64(report.Lost) > busy {
			t.Errorf("%s: %d frames are lost, %v counted", path, report.Lost, busy)
		}
		if !strings.HasSuffix(path, "/original") {
			ascending(t, r)
			continue
		}
		pictures := r.Pictures() // equal timestamps for half a second are a camera's own business
		for i := range max(0, len(pictures)-1) {
			if a, b := pictures[i].PTS, pictures[i+1].PTS; b < a {
				t.Errorf("%s: picture %d: timestamp %v after %v", path, i+1, b, a)
			}
		}
	}
	for name := range clocks {
		if n := strings.Count(p.Output(), "the sender's clock has jumped"); n != len(clocks) {
			t.Errorf("jumps are said %d times", n)
		}
		p.says(ctx, `WARN.*the sender's clock has jumped.*stream=`+name)
		if n := p.metric("rave_reconnects_total", fmt.Sprintf("stream=%q", name)); n != 0 {
			t.Errorf("%s: %v reconnects", name, n)
		}
	}
}

// A camera sends 5 frames a second and says that they are 25, in its description and in its parameter sets. Bitrate,
// keyframes and age follow what it does.
func TestCameraLiesAboutItsFrameRate(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	const declared, actual = 25, 5
	const bitrate, gop = 400_000, 2 * time.Second
	cam := startCamera(ctx, t, camera.Config{FPS: actual, Clip: makeClip(ctx, t, clip.Params{FPS: declared})})
	between, err := lossy.Start(lossy.Config{Camera: address(cam.URL), Describe: func(sdp string) string {
		return strings.Replace(sdp, "a=rtpmap", fmt.Sprintf("a=framerate:%d\r\na=rtpmap", declared), 1)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(between.Close)
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`  cam: {source: "rtsp://%s/stream", quality: [lanczos], encode: {bitrate: %dk, gop: %v}}`,
		between.Address(), bitrate/1000, gop)})
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	wait(ctx, t, r, 3*actual) // until the rate has been measured
	from, bytes, pictures := time.Now(), p.metric("rave_encoded_bytes_total"), len(r.Seen())
	watchFor(ctx, t, r, 12*time.Second)
	to := time.Now()
	rate := 8 * (p.metric("rave_encoded_bytes_total") - bytes) / to.Sub(from).Seconds()
	report := ages(t, "cam", cam, r, loop, from, to)
	if report.Lost > 0 || report.FPS < actual*0.9 || report.FPS > actual*1.1 {
		t.Errorf("pictures: %+v", report)
	}
	if rate < bitrate*0.8 || rate > bitrate*1.2 {
		t.Errorf("bitrate %.0f, want %d", rate, bitrate)
	}
	var keys []time.Duration
	for _, picture := range described(ctx, t, r)[pictures:] {
		if picture.Key {
			keys = append(keys, picture.PTS)
		}
	}
	for i := range max(0, len(keys)-1) {
		if d := keys[i+1] - keys[i]; d < gop-time.Second/actual || d > gop+time.Second/actual {
			t.Errorf("%v between two keyframes", d)
		}
	}
	if len(keys) < 5 {
		t.Errorf("keyframes at %v", keys)
	}
	t.Logf("%.0f bit/s, keyframes at %v", rate, keys)
}
