package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"rave/bench/camera"
	"rave/bench/reader"
)

// The camera is killed and comes back, again and again: its readers keep their sessions and see the next pictures, time
// goes on, and nothing piles up.
func TestCameraDiesTwentyTimes(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`
  tcp: {source: %[1]q, transport: tcp, quality: [lanczos], %[2]s}
  udp: {source: %[1]q, transport: udp, quality: [lanczos], %[2]s}`, cam.URL, quick)})
	readers := map[string]*reader.Reader{}
	for _, path := range []string{"tcp", "udp", "udp/original"} {
		p.serves(ctx, path)
		readers[path] = watch(t, p.url(path), "tcp")
		wait(ctx, t, readers[path], 2)
	}
	const warm, deaths = 3, 20
	var goroutines, files float64
	for n := 1; n <= deaths; n++ {
		cam.Kill()
		cam = startCamera(ctx, t, camera.Config{Listen: address(cam.URL)})
		for path, r := range readers {
			if err := r.WaitFor(ctx, 3); err != nil {
				t.Fatalf("%s, death %d: %v", path, n, err)
			}
		}
		if n == warm {
			goroutines, files = p.gauge("go_goroutines"), p.gauge("process_open_fds")
		}
	}
	for path, r := range readers {
		ascending(t, r)
		if c := count(r.Seen(), loop); c.unreadable > 0 {
			t.Errorf("%s: %v", path, c)
		}
	}
	for _, stream := range []string{"tcp", "udp"} {
		if n := p.metric("rave_reconnects_total", fmt.Sprintf("stream=%q", stream)); n < deaths {
			t.Errorf("%s: %v reconnects", stream, n)
		}
	}
	eventually(ctx, t, "as many goroutines and files as after three deaths", func() error {
		g, f := p.gauge("go_goroutines"), p.gauge("process_open_fds")
		if g > goroutines+4 || f > files+4 {
			return fmt.Errorf("%v goroutines and %v files; %v and %v before", g, f, goroutines, files)
		}
		t.Logf("%v goroutines, %v files; after three deaths %v and %v", g, f, goroutines, files)
		return nil
	})
}

// mute accepts connections, counts them and answers the first requests.
func mute(t *testing.T, answers int) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	connections = &atomic.Int64{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go func() {
				defer conn.Close()
				requests := bufio.NewReader(conn)
				for range answers {
					if !answer(conn, requests) {
						return
					}
				}
				_, _ = io.Copy(io.Discard, conn)
			}()
		}
	}()
	return l.Addr().String(), connections
}

// answer reads a request and says that all is well: a stream in H.264 whose control is the URL.
func answer(conn net.Conn, requests *bufio.Reader) bool {
	var request strings.Builder
	for !strings.HasSuffix(request.String(), "\r\n\r\n") {
		line, err := requests.ReadString('\n')
		if err != nil {
			return false
		}
		request.WriteString(line)
	}
	_, rest, _ := strings.Cut(request.String(), "CSeq: ")
	cseq, _, _ := strings.Cut(rest, "\r\n")
	header, body := "Public: DESCRIBE, SETUP, PLAY\r\n", ""
	if strings.HasPrefix(request.String(), "DESCRIBE") {
		body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n"
		header = fmt.Sprintf("Content-Type: application/sdp\r\nContent-Length: %d\r\n", len(body))
	}
	_, err := fmt.Fprintf(conn, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%s\r\n%s", cseq, header, body)
	return err == nil
}

// Cameras that accept connections and fall silent sooner or later: each is named with what it does not do, asked again,
// and costs another stream no frame.
func TestSilentCameras(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	dead, deadAsked := mute(t, 0)
	halting, haltingAsked := mute(t, 2)
	hushed := startCamera(ctx, t, camera.Config{SilentAfter: 2 * fps})
	good := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`
  dead: {source: "rtsp://%[1]s/stream", quality: [lanczos], %[5]s}
  halting: {source: "rtsp://%[2]s/stream", quality: [lanczos], %[5]s}
  hushed: {source: %[3]q, quality: [lanczos], %[5]s}
  good: {source: %[4]q, quality: [lanczos]}`, dead, halting, hushed.URL, good.URL, quick)})
	p.serves(ctx, "good")
	before := p.gaveUp("good")
	r := watch(t, p.url("good"), "tcp")
	wait(ctx, t, r, 1)
	for stream, want := range map[string]string{
		"dead":    dead + `/stream\): it accepts the connection and does not answer OPTIONS`,
		"halting": halting + `/stream\): it accepts the connection and does not answer SETUP`,
		"hushed":  `no video for 5s although the connection lives.*\(` + hushed.URL + `\) of stream hushed`,
	} {
		p.says(ctx, `WARN.*no stream.*stream=`+stream+` .*`+want)
	}
	eventually(ctx, t, "all are asked again", func() error {
		if d, h, again := deadAsked.Load(), haltingAsked.Load(), p.metric("rave_reconnects_total", `stream="hushed"`); d < 2 || h < 2 || again < 1 {
			return fmt.Errorf("connections: %d and %d, reconnects %v", d, h, again)
		}
		return nil
	})
	unharmed(ctx, t, p, "good", r, loop, before)
}

// unharmed checks that a stream's reader has got every frame since it started, but for those that the program says it
// gave up because the machine was too busy; before is what it had given up before the reader started.
func unharmed(ctx context.Context, t *testing.T, p *program, stream string, r *reader.Reader, loop int, before float64) {
	t.Helper()
	wait(ctx, t, r, 1)
	c := count(r.Seen(), loop)
	busy := p.gaveUp(stream) - before
	if c.unreadable+c.twice+c.backwards > 0 || float64(c.lost) > busy {
		t.Errorf("%s: %v of %d pictures; the program gave up %v: %s", stream, c, len(r.Seen()), busy, drops(t, p, stream))
	}
	if c.lost > 0 {
		t.Logf("%s: the machine is busy: %v", stream, c)
	}
	ascending(t, r)
}

// gaveUp is how many of a stream's pictures the program has given up because the machine was too busy.
func (p *program) gaveUp(stream string) float64 {
	p.t.Helper()
	label := fmt.Sprintf("stream=%q", stream)
	return p.metric("rave_frames_dropped_total", label, `reason="overload"`) + p.metric("rave_frames_dropped_total", label, `reason="late"`)
}
