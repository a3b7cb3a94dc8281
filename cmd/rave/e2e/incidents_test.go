package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/reader"
)

// quick makes cameras come back without long waits.
const quick = "reconnect: {min: 200ms, max: 500ms}"

func TestCameraComesBackWhileReadersStay(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			sound := map[string]camera.Audio{"tcp": camera.PCMA, "udp": camera.NoAudio}[transport]
			cam := startCamera(ctx, t, camera.Config{Audio: sound})
			p := serve(ctx, t, settings{
				streams: fmt.Sprintf("  cam: {source: %q, transport: %s, quality: [lanczos], video_timeout: 2s, %s}", cam.URL, transport, quick),
			})
			p.serves(ctx, "cam")
			readers := map[string]*reader.Reader{"cam": watch(t, p.url("cam"), "tcp"), "cam/original": watch(t, p.url("cam/original"), "tcp")}
			for round := 1; round <= 2; round++ {
				for _, r := range readers {
					wait(ctx, t, r, fps)
				}
				cam.Kill() // no goodbye
				p.until(ctx, "cam", "the camera is missed", func(s streamStatus) bool { return s.State != "online" && s.Reason != "" })
				cam = startCamera(ctx, t, camera.Config{Listen: address(cam.URL), Audio: sound})
				for path, r := range readers {
					if err := r.WaitFor(ctx, 2*fps); err != nil {
						t.Fatalf("%s, round %d: %v", path, round, err)
					}
				}
				if n := p.metric("rave_reconnects_total", `stream="cam"`); n < float64(round) {
					t.Errorf("rave_reconnects_total is %v after %d times", n, round)
				}
			}
			for path, r := range readers {
				ascending(t, r)
				if c := count(r.Seen(), loop); c.unreadable > 0 {
					t.Errorf("%s: %v", path, c)
				}
			}
		})
	}
}

// Another camera, or the same one with other settings, takes the place of the first.
func TestCameraComesBackWithAnotherFormat(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [luma-copy-x2, lanczos], %s}", cam.URL, quick),
	})
	p.serves(ctx, "cam")
	old := watch(t, p.url("cam/original"), "tcp")
	wait(ctx, t, old, fps)
	cam.Kill()
	startCamera(ctx, t, camera.Config{
		Listen: address(cam.URL), Audio: camera.Opus, Clip: makeClip(ctx, t, clip.Params{Codec: clip.H265, Width: 256, Height: 144}),
	})
	select {
	case <-old.Done(): // so that its player connects again
	case <-ctx.Done():
		t.Fatal("a reader of the old format is still there")
	}
	for path, size := range map[string][2]int{"cam": {512, 288}, "cam/original": {256, 144}} {
		eventually(ctx, t, path+" in the new format", func() error {
			r, err := reader.Start(reader.Config{FFmpeg: peer.Need(t, peer.FFmpeg), URL: p.url(path)})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Stop()
			if err := r.WaitFor(ctx, fps); err != nil {
				return err
			}
			pictures := described(ctx, t, r)
			last := pictures[len(pictures)-1]
			if last.Width != size[0] || last.Height != size[1] || !strings.Contains(r.Output(), "Audio: opus") {
				return fmt.Errorf("the last picture is %+v: %s", last, ends(r.Output(), 12, 0))
			}
			return nil
		})
	}
}

// Readers that come and go, and a camera that does, leave nothing behind.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{Audio: camera.PCMA})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: udp, quality: [luma-copy-x2, lanczos], video_timeout: 1s, %s}", cam.URL, quick)})
	p.until(ctx, "cam", "the model serves", func(s streamStatus) bool { return s.Enhancer == "luma-copy-x2" })
	visit := func(n int) {
		for i := range n {
			r := watch(t, p.url([]string{"cam", "cam/original"}[i%2]), "tcp") // over UDP a killed reader is missed a minute later
			wait(ctx, t, r, 2)
			r.Stop()
		}
		p.until(ctx, "cam", "the readers have gone", func(s streamStatus) bool { return s.Readers.Enhanced+s.Readers.Original == 0 })
	}
	visit(2)
	goroutines, files := p.gauge("go_goroutines"), p.gauge("process_open_fds")
	visit(6)
	cam.Kill()
	p.until(ctx, "cam", "the camera is missed", func(s streamStatus) bool { return s.State != "online" })
	startCamera(ctx, t, camera.Config{Listen: address(cam.URL), Audio: camera.PCMA})
	p.until(ctx, "cam", "the camera is back", func(s streamStatus) bool { return s.State == "online" })
	visit(2)
	// A few more may be on their way: pages being served, a model's threads.
	eventually(ctx, t, "as many goroutines and files as before", func() error {
		if g, f := p.gauge("go_goroutines"), p.gauge("process_open_fds"); g > goroutines+4 || f > files+4 {
			return fmt.Errorf("%v goroutines and %v files; %v and %v before", g, f, goroutines, files)
		}
		return nil
	})
}

func TestCameraIsAwayAtTheStart(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	where := freeAddress(t)
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`  gate: {source: "rtsp://%s/stream", quality: [lanczos], %s}`, where, quick)})
	p.says(ctx, `WARN.*no stream.*gate.*`+where)
	for _, path := range []string{"gate", "gate/original"} {
		eventually(ctx, t, "the reason", func() error {
			code, answer, err := describe(p.rtsp, path)
			if err != nil || code != http.StatusNotFound || !strings.Contains(answer, "gate") || !strings.Contains(answer, "refused") {
				return fmt.Errorf("DESCRIBE %s: %d, %w, %q", path, code, err, answer)
			}
			return nil
		})
	}
	if s, err := p.stream("gate"); err != nil || !strings.Contains(s.Reason, where) {
		t.Errorf("status: %+v, %v", s, err)
	}
	// What the page shows:
	if _, streams, err := p.get("/api/v1/streams"); err != nil || !strings.Contains(streams, "connection refused") || !strings.Contains(streams, where) {
		t.Errorf("the page is not told which camera and why: %v\n%s", err, streams)
	}
	if code, body, err := p.get("/readyz"); err != nil || code != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d, %v, %s", code, err, body)
	}
	startCamera(ctx, t, camera.Config{Listen: where})
	p.serves(ctx, "gate")
	for _, path := range []string{"gate", "gate/original"} {
		wait(ctx, t, watch(t, p.url(path), "tcp"), fps)
	}
	if code, body, err := p.get("/readyz"); err != nil || code != http.StatusOK {
		t.Errorf("/readyz: %d, %v, %s", code, err, body)
	}
}

// The camera's encoder hangs while its connection and its sound live.
func TestWatchdogMissesThePicture(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			cam := startCamera(ctx, t, camera.Config{Audio: camera.PCMA, SilentAfter: 3 * fps})
			p := serve(ctx, t, settings{
				streams: fmt.Sprintf("  cam: {source: %q, transport: %s, quality: [lanczos], video_timeout: 1s, %s}", cam.URL, transport, quick),
			})
			p.says(ctx, `WARN.*no stream.*no video for 1s although the connection lives`)
			eventually(ctx, t, "reconnect", func() error {
				if n := p.metric("rave_reconnects_total", `stream="cam"`); n < 1 {
					return fmt.Errorf("rave_reconnects_total is %v", n)
				}
				return nil
			})
			r := watch(t, p.url("cam"), "tcp")
			cam.Kill()
			startCamera(ctx, t, camera.Config{Listen: address(cam.URL), Audio: camera.PCMA})
			wait(ctx, t, r, fps)
		})
	}
}

// A reader that comes in the middle of a long group of pictures does not wait for its end.
func TestReaderStartsAtOnce(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	const gop = 10 * fps
	long := transcode(ctx, t, makeClip(ctx, t, clip.Params{Frames: gop}),
		fmt.Sprintf("-c:v libx264 -preset veryfast -crf 22 -bf 0 -g %d -keyint_min %d -sc_threshold 0", gop, gop))
	cam := startCamera(ctx, t, camera.Config{Clip: long})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos], encode: {gop: 1m}}", cam.URL)})
	p.serves(ctx, "cam")
	wait(ctx, t, watch(t, p.url("cam"), "tcp"), 3)
	eventually(ctx, t, "the first third of a group", func() error {
		if n, _ := lastSent(t, cam); n%gop < 15 || n%gop > 35 {
			return errors.New("not now")
		}
		return nil
	})
	for _, path := range []string{"cam", "cam/original"} {
		before, _ := lastSent(t, cam)
		r := watch(t, p.url(path), "tcp")
		wait(ctx, t, r, 2)
		after, _ := lastSent(t, cam)
		if before/gop != after/gop {
			t.Errorf("%s: asked after frame %d, served after frame %d, beyond the next keyframe", path, before, after)
		}
		t.Logf("%s: %d frames later", path, after-before)
	}
}

// One reader stops reading; another one loses nothing, and the slow one is found out.
func TestSlowReaderSlowsNobody(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := makeClip(ctx, t, clip.Params{Codec: clip.MJPEG, Width: 640, Height: 360, FPS: 25, Frames: 100})
	cam := startCamera(ctx, t, camera.Config{Clip: path})
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos], output: {scale: 1}, encode: {preset: ultrafast}}", cam.URL),
	})
	p.serves(ctx, "cam")
	good := watch(t, p.url("cam/original"), "tcp")
	wait(ctx, t, good, 1)
	stalled(t, p.rtsp, "cam/original")
	p.until(ctx, "cam", "both readers", func(s streamStatus) bool { return s.Readers.Original == 2 })
	eventually(ctx, t, "the slow reader", func() error {
		if n := p.metric("rave_frames_dropped_total", `reason="slow_reader"`); n > 0 {
			return nil
		}
		s, err := p.stream("cam")
		if err == nil && s.Readers.Original == 2 {
			err = errors.New("it is still there and nothing was dropped for it")
		}
		return err
	})
	wait(ctx, t, good, 25)
	if c := count(good.Seen(), 100); c != (counts{}) {
		t.Errorf("the good reader: %v", c)
	}
	ascending(t, good)
}

// stalled is a reader over TCP that starts to play and then takes nothing any more.
func stalled(t *testing.T, address, path string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	url := "rtsp://" + address + "/" + path
	session := ""
	for i, request := range []string{
		"SETUP " + url + "/trackID=0 RTSP/1.0\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", "PLAY " + url + " RTSP/1.0\r\n",
	} {
		if _, err := fmt.Fprintf(conn, "%sCSeq: %d\r\n%s\r\n", request, i+1, session); err != nil {
			t.Fatal(err)
		}
		code, answer, err := readAnswer(conn)
		if err != nil || code != http.StatusOK {
			t.Fatalf("%q: %d, %v, %q", request, code, err, answer)
		}
		if _, rest, ok := strings.Cut(answer, "Session: "); ok {
			id, _, _ := strings.Cut(rest, "\r\n")
			id, _, _ = strings.Cut(id, ";")
			session = "Session: " + id + "\r\n"
		}
	}
}
