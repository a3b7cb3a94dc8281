package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
)

// whip publishes a clip with FFmpeg's WHIP muxer, in a loop.
func whip(t *testing.T, clip, url string, options ...string) *process.Process {
	t.Helper()
	args := strings.Fields("-hide_banner -nostdin -v info -re -stream_loop -1 -i " + clip + " -c copy -f whip")
	args = append(append(args, options...), url)
	p, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the publisher's log:\n%s", ends(p.Output(), 10, 30))
		}
	})
	return p
}

// soundClip is the clip of most tests with a tone in Opus.
func soundClip(ctx context.Context, t *testing.T) string {
	t.Helper()
	return transcode(ctx, t, makeClip(ctx, t, clip.Params{}),
		"-f lavfi -i sine=frequency=440:sample_rate=48000 -map 0:v -map 1:a -shortest -c:v copy -c:a libopus -ac 2 -b:a 32k")
}

// FFmpeg publishes by WHIP: its picture is enhanced and read by RTSP like a camera's, with its sound; it may be killed and
// come back, and meanwhile nobody else gets in.
func TestPublishByWHIP(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := soundClip(ctx, t)
	p := serve(ctx, t, settings{streams: "  studio: {source: publish, quality: [luma-copy-x2, lanczos]}"})
	endpoint := "http://" + p.http + "/studio/whip"
	first := whip(t, path, endpoint)
	p.serves(ctx, "studio")
	enhanced := watch(t, p.url("studio"), "tcp")
	original := watch(t, p.url("studio/original"), "tcp")
	complete(ctx, t, p, enhanced, 2*fps, loop)
	complete(ctx, t, p, original, 2*fps, loop)
	if picture := described(ctx, t, enhanced)[0]; picture.Width != 2*width {
		t.Errorf("enhanced is %+v", picture)
	}
	if picture := described(ctx, t, original)[0]; picture.Width != width {
		t.Errorf("original is %+v", picture)
	}
	for _, path := range []string{"studio", "studio/original"} {
		if code, answer, err := describe(p.rtsp, path); err != nil || code != http.StatusOK || !strings.Contains(strings.ToLower(answer), "opus/48000/2") {
			t.Errorf("DESCRIBE %s: %d, %v, %s", path, code, err, answer)
		}
	}
	second := whip(t, path, endpoint)
	if _, err := second.Line(ctx, "409"); err != nil {
		t.Errorf("a second publisher: %v", err)
	}
	other, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg),
		Args: strings.Fields("-hide_banner -nostdin -re -i " + path + " -c copy -an -f rtsp -rtsp_transport tcp " + p.url("studio"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Kill)
	p.says(ctx, `publisher refused.*studio has a publisher already`)

	first.Kill() // it does not say goodbye
	p.says(ctx, `publisher gone`)
	whip(t, path, endpoint)
	wait(ctx, t, enhanced, 2*fps)
	wait(ctx, t, original, fps)
	ascending(t, enhanced)
	ascending(t, original)
}

// What is not for publishers answers so.
func TestWHIPIsRefused(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos]}\n  studio: {source: publish, quality: [lanczos]}", cam.URL)})
	for _, c := range []struct {
		path, contentType string
		status            int
		want              string
	}{
		{"/cam/whip", "application/sdp", http.StatusForbidden, `source: publish`},
		{"/nowhere/whip", "application/sdp", http.StatusNotFound, "nowhere"},
		{"/studio/whip", "application/sdp", http.StatusBadRequest, "the SDP cannot be read"},
		{"/studio/whip", "text/plain", http.StatusUnsupportedMediaType, "application/sdp"},
	} {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.http+c.path, strings.NewReader("nonsense"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.contentType)
		res, err := (&http.Client{Timeout: 10 * time.Second}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != c.status || res.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), c.want) {
			t.Errorf("%s as %s: %d %s, %v", c.path, c.contentType, res.StatusCode, body, err)
		}
	}
}
