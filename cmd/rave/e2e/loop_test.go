package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/measure"
	"rave/bench/peer"
	"rave/bench/process"
)

// The way of every frame: a camera, RAVE, a reader, whatever the transports and the enhancer.
func TestEveryFrameArrivesInOrderAtTwiceTheSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		quality           string
		transport, camera camera.Transport
		reader            string
	}{
		{"lanczos", "udp", camera.Any, "tcp"},
		{"luma-copy-x2", "tcp", camera.Any, "udp"},
		{"live-x2", "auto", camera.Any, "udp"},
		{"live-x2", "auto", camera.TCP, "tcp"},
	} {
		t.Run(fmt.Sprintf("%s_%s_of_%s_%s", c.quality, c.transport, c.camera, c.reader), func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			cam := startCamera(ctx, t, camera.Config{Transport: c.camera})
			p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: %s, quality: [%s]}", cam.URL, c.transport,
				c.quality)})
			p.serves(ctx, "cam")
			r := watch(t, p.url("cam"), c.reader)
			wait(ctx, t, r, 1)
			p.until(ctx, "cam", "the enhancer serves", func(s streamStatus) bool { return s.Enhancer == c.quality })
			complete(ctx, t, p, r, 4*fps, loop)
			for i, picture := range described(ctx, t, r) {
				if picture.Width != 2*width || picture.Height != 2*height {
					t.Fatalf("picture %d is %dx%d", i, picture.Width, picture.Height)
				}
			}
			ascending(t, r)
			if code, body, err := p.get("/readyz"); err != nil || code != http.StatusOK {
				t.Errorf("/readyz: %d, %v, %s", code, err, body)
			}
		})
	}
}

func TestPublishers(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			path := makeClip(ctx, t, clip.Params{})
			p := serve(ctx, t, settings{streams: "  studio: {source: publish, quality: [lanczos], hold_last_frame: 0s}"})
			if code, answer, err := describe(p.rtsp, "studio"); err != nil || code != http.StatusNotFound || !strings.Contains(answer, "nobody has published") {
				t.Errorf("before a publisher came: %d, %v, %q", code, err, answer)
			}
			first := publish(ctx, t, path, p.url("studio"), transport)
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
			if transport == "tcp" {
				first.Kill() // it does not say goodbye
			} else {
				_ = first.Stop(10 * time.Second) // it does; its exit status tells nothing
			}
			p.until(ctx, "studio", "the publisher is gone", func(s streamStatus) bool { return s.State != "online" })
			publish(ctx, t, path, p.url("studio"), transport)
			wait(ctx, t, enhanced, 2*fps)
			wait(ctx, t, original, fps)
			ascending(t, enhanced)
			ascending(t, original)
			if c := count(enhanced.Seen(), loop); c.unreadable > 0 || c.twice > 0 {
				t.Errorf("enhanced: %v", c)
			}
		})
	}
}

func TestPublishersAreRefused(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	clip := makeClip(ctx, t, clip.Params{})
	p := serve(ctx, t, settings{streams: "  studio: {source: publish, quality: [lanczos]}"})
	publish(ctx, t, clip, p.url("studio"), "tcp")
	p.serves(ctx, "studio")
	r := watch(t, p.url("studio"), "tcp")
	wait(ctx, t, r, 1)
	for path, want := range map[string]string{"studio": "Server returned 4", "nowhere": "no stream nowhere"} {
		args := strings.Fields("-hide_banner -nostdin -re -i " + clip + " -c copy -f rtsp -rtsp_transport tcp " + p.url(path))
		second, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg), Args: args})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(second.Kill)
		if _, err := second.Line(ctx, want); err != nil {
			t.Errorf("publishing to %s: %v", path, err)
		}
	}
	p.says(ctx, `publisher refused.*studio has a publisher already`)
	complete(ctx, t, p, r, fps, loop)
}

func TestMediaMTXUpstream(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := makeClip(ctx, t, clip.Params{})
	mtx := startMediaMTX(ctx, t, "")
	publish(ctx, t, path, "rtsp://"+mtx+"/yard", "tcp")
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`  cam: {source: "rtsp://%s/yard", quality: [luma-copy-x2, lanczos]}`, mtx)})
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	complete(ctx, t, p, r, 3*fps, loop)
	ascending(t, r)
}

func TestMediaMTXDownstream(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos]}", cam.URL)})
	p.serves(ctx, "cam")
	mtx := startMediaMTX(ctx, t, fmt.Sprintf("  enhanced:\n    source: %s\n  original:\n    source: %s", p.url("cam"), p.url("cam/original")))
	for _, path := range []string{"enhanced", "original"} {
		eventually(ctx, t, "MediaMTX has "+path, func() error {
			if code, answer, err := describe(mtx, path); err != nil || code != http.StatusOK {
				return fmt.Errorf("%w %s", err, answer)
			}
			return nil
		})
		r := watch(t, "rtsp://"+mtx+"/"+path, "tcp")
		complete(ctx, t, p, r, 3*fps, loop)
		ascending(t, r)
	}
}

func startMediaMTX(ctx context.Context, t *testing.T, paths string) (address string) {
	t.Helper()
	p, address, err := measure.StartMediaMTX(ctx, peer.Need(t, peer.MediaMTX), t.TempDir(), paths)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("MediaMTX's log:\n%s", ends(p.Output(), 5, 30))
		}
	})
	return address
}

// Both paths and all their readers live on one connection to the camera.
func TestOneConnectionToTheCamera(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	between := startRelay(t, address(cam.URL), "")
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf(`  cam: {source: "rtsp://%s/stream", transport: tcp, quality: [lanczos]}`, between.address),
	})
	p.serves(ctx, "cam")
	for _, path := range []string{"cam", "cam/original", "cam", "cam/original"} {
		wait(ctx, t, watch(t, p.url(path), "tcp"), fps)
	}
	p.until(ctx, "cam", "four readers", func(s streamStatus) bool { return s.Readers.Enhanced == 2 && s.Readers.Original == 2 })
	if n, said := between.stats(); n != 1 || strings.Count(said, "PLAY ") != 1 {
		t.Errorf("the camera saw %d connections: %q", n, said)
	}
}

// relay passes TCP connections on, counts them and keeps what clients said first.
type relay struct {
	address string
	mu      sync.Mutex
	n       int
	said    strings.Builder
	hide    string // a header in what servers answer, which gets another name
}

func startRelay(t *testing.T, to, hide string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	r := &relay{address: l.Addr().String(), hide: hide}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.n++
			r.mu.Unlock()
			go r.pass(client, to)
		}
	}()
	return r
}

func (r *relay) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		buffer := make([]byte, 1<<16) // answers are small: each comes in one piece
		for {
			n, err := server.Read(buffer)
			if r.hide != "" {
				copy(buffer, bytes.ReplaceAll(buffer[:n], []byte(r.hide), append([]byte("XXX"), r.hide[3:]...)))
			}
			if _, e := client.Write(buffer[:n]); err != nil || e != nil {
				return
			}
		}
	}()
	_, _ = io.Copy(server, io.TeeReader(client, r))
}

// Write takes what clients say.
func (r *relay) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said.Len() < 1<<16 {
		r.said.Write(b)
	}
	return len(b), nil
}

func (r *relay) stats() (connections int, said string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n, r.said.String()
}
