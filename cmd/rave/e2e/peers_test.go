package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
	"rave/bench/reader"
)

// The clip of most tests: small enough for two busy cores, in a loop that is longer than any delay.
const (
	width, height = 320, 184
	fps           = 10
	loop          = 150 // frames
)

// makeClip returns a numbered clip; what is left open is that of most tests.
func makeClip(ctx context.Context, t *testing.T, p clip.Params) string {
	t.Helper()
	if p.Source == "" {
		p.Source = filepath.Join(shared.root, "ingest", "testsrc", "clips", "cockatoo-640x360.mp4")
	}
	if p.Width == 0 {
		p.Width, p.Height = width, height
	}
	if p.FPS == 0 {
		p.FPS = fps
	}
	if p.Frames == 0 {
		p.Frames = loop
	}
	path, err := clip.Make(ctx, peer.Need(t, peer.FFmpeg), filepath.Join(shared.root, ".build", "clips"), p)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// transcode runs a clip through FFmpeg once more.
func transcode(ctx context.Context, t *testing.T, from, options string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "clip.mp4")
	args := append([]string{"-v", "error", "-nostdin", "-i", from}, strings.Fields(options)...)
	p, err := process.Start(process.Config{Name: "ffmpeg", Path: peer.Need(t, peer.FFmpeg), Args: append(args, to)})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
	}
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return to
}

// startCamera runs a camera until the test ends; without a clip it plays that of most tests.
func startCamera(ctx context.Context, t *testing.T, cfg camera.Config) *camera.Process {
	t.Helper()
	if cfg.Clip == "" {
		cfg.Clip = makeClip(ctx, t, clip.Params{})
	}
	c, err := camera.Start(ctx, os.Args[0], []string{"camera"}, cfg, filepath.Join(t.TempDir(), "camera.csv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Kill)
	return c
}

// address is host and port of an RTSP URL.
func address(url string) string {
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "rtsp://"), "/")
	return host
}

// watch reads a stream with FFmpeg until the test ends.
func watch(t *testing.T, url, transport string) *reader.Reader {
	t.Helper()
	r, err := reader.Start(reader.Config{
		FFmpeg: peer.Need(t, peer.FFmpeg), URL: url, Transport: transport,
		Input: []string{"-fflags", "-nobuffer"}, // with it FFmpeg throws away what it looks at first, such as a keyframe
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("%s, read over %s: %d pictures\n%s", url, transport, len(r.Seen()), ends(r.Output(), 20, 6))
		}
	})
	return r
}

// wait waits for n more pictures.
func wait(ctx context.Context, t *testing.T, r *reader.Reader, n int) {
	t.Helper()
	if err := r.WaitFor(ctx, n); err != nil {
		t.Fatal(err)
	}
}

// described returns what FFmpeg says of all pictures seen so far: its word may come a little later than the picture.
func described(ctx context.Context, t *testing.T, r *reader.Reader) []reader.Picture {
	t.Helper()
	n := max(1, len(r.Seen()))
	var list []reader.Picture
	eventually(ctx, t, "FFmpeg describes the pictures", func() error {
		if list = r.Pictures(); len(list) < n {
			return fmt.Errorf("%d of %d", len(list), n)
		}
		return nil
	})
	return list
}

// publish sends a clip in a loop, as FFmpeg does.
func publish(ctx context.Context, t *testing.T, clip, url, transport string) *process.Process {
	t.Helper()
	args := strings.Fields("-hide_banner -nostdin -v info -re -stream_loop -1 -i " + clip + " -c copy -f rtsp -rtsp_transport " + transport)
	p, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg), Args: append(args, url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the publisher's log:\n%s", ends(p.Output(), 10, 10))
		}
	})
	if _, err := p.Line(ctx, `Output #0`); err != nil {
		t.Fatal(err)
	}
	return p
}

// counts of what is wrong with a sequence of pictures.
type counts struct{ lost, twice, backwards, unreadable int }

func (c counts) String() string {
	return fmt.Sprintf("%d lost, %d twice, %d backwards, %d unreadable", c.lost, c.twice, c.backwards, c.unreadable)
}

// count looks at the numbers in pictures of a loop of so many frames.
func count(seen []reader.Seen, loop int) (c counts) {
	last := -1
	for _, s := range seen {
		if s.Err != nil {
			c.unreadable++
			continue
		}
		if last >= 0 {
			switch step := (int(s.N) - last + loop) % loop; {
			case step == 0:
				c.twice++
			case step > loop/2:
				c.backwards++
			default:
				c.lost += step - 1
			}
		}
		last = int(s.N)
	}
	return c
}

// complete waits until n pictures in a row are all there, in order. It tries again where the program says that it gave
// up pictures because the machine was too busy; what is lost without its word is a failure at once.
func complete(ctx context.Context, t *testing.T, p *program, r *reader.Reader, n, loop int) {
	t.Helper()
	for from := 0; ; from = len(r.Seen()) {
		if err := r.Wait(ctx, func(seen []reader.Seen) bool { return len(seen) >= from+n }); err != nil {
			t.Fatal(err)
		}
		all := r.Seen()
		c := count(all[from:], loop)
		if c == (counts{}) {
			return
		}
		total, dropped := count(all, loop), p.metric("rave_frames_dropped_total")
		if total.twice+total.backwards+total.unreadable > 0 || float64(total.lost) > dropped {
			t.Fatalf("of %d pictures: %v; the program counts %v dropped\n%s", len(all), total, dropped, numbers(all))
		}
		t.Logf("the machine is busy: %v of %d pictures; trying again", c, n)
	}
}

func numbers(seen []reader.Seen) string {
	var b strings.Builder
	for _, s := range seen {
		if s.Err != nil {
			fmt.Fprintf(&b, "(%v) ", s.Err)
		} else {
			fmt.Fprintf(&b, "%d ", s.N)
		}
	}
	return b.String()
}

// ascending checks that no timestamp of the pictures goes back.
func ascending(t *testing.T, r *reader.Reader) {
	t.Helper()
	pictures := r.Pictures()
	for i := range max(0, len(pictures)-1) {
		if a, b := pictures[i].PTS, pictures[i+1].PTS; b <= a {
			t.Errorf("picture %d: timestamp %v after %v", i+1, b, a)
		}
	}
}

// lastSent is the number of frames that a camera has sent.
func lastSent(t *testing.T, c *camera.Process) (n int64, at time.Time) {
	t.Helper()
	sent, err := camera.ReadLog(c.Log)
	if err != nil {
		t.Fatal(err)
	}
	if len(sent) == 0 {
		return -1, time.Time{}
	}
	last := sent[len(sent)-1]
	return last.N, last.Time
}
