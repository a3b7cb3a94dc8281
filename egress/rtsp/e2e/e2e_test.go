package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/bench/leak"
	egress "rave/egress/rtsp"
	"rave/engine/media"
	"rave/ingest"
	publishers "rave/ingest/publish"
	"rave/ingest/rtsp"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// toPath is an Output that writes to a Path. What comes before the path has a reader waits for it, so that the reader
// sees everything.
type toPath struct {
	path *egress.Path

	mu      sync.Mutex
	open    chan struct{} // closed at the first Tracks
	held    []media.Packet
	release bool
}

func newToPath(p *egress.Path) *toPath {
	return &toPath{path: p, open: make(chan struct{})}
}

func (o *toPath) Tracks(tracks []media.Track) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-o.open:
	default:
		close(o.open)
	}
	return o.path.Open(tracks)
}

func (o *toPath) Packet(p media.Packet) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.release {
		o.held = append(o.held, p)
		return nil
	}
	return o.path.Write(p)
}

// ready reports that a picture is held.
func (o *toPath) ready() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.ContainsFunc(o.held, func(p media.Packet) bool { return p.Track == 0 })
}

// start lets the held packets go, the first picture before sound that came ahead of it: readers get no sound without a
// picture.
func (o *toPath) start(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	i := slices.IndexFunc(o.held, func(p media.Packet) bool { return p.Track == 0 })
	first := o.held[i]
	for _, p := range append([]media.Packet{first}, slices.Delete(o.held, i, i+1)...) {
		if err := o.path.Write(p); err != nil {
			t.Error(err)
		}
	}
	o.held, o.release = nil, true
}

type house struct {
	server *egress.Server
	log    *slog.Logger
	drops  func() map[string]int
	onDrop func(string, int)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
	var mu sync.Mutex
	dropped := map[string]int{}
	h.onDrop = func(reason string, n int) {
		mu.Lock()
		defer mu.Unlock()
		dropped[reason] += n
	}
	h.drops = func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return dropped
	}
	s, err := egress.New(egress.Config{Listen: "127.0.0.1:0", Log: h.log, OnDrop: func(_, reason string, n int) { h.onDrop(reason, n) }})
	if err != nil {
		t.Fatal(err)
	}
	h.server = s
	t.Cleanup(func() { _ = s.Close() })
	return h
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}

// keep runs a source until the test ends.
func keep(t *testing.T, src media.Source, out media.Output, h *house) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ingest.Keep(ctx, src, ingest.Policy{Name: "cam1", Log: h.log, VideoTimeout: 20 * time.Second}, out)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// publish starts an FFmpeg that sends a clip in real time to our server.
func publish(t *testing.T, ffmpeg, file, url, transport string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "warning", "-re", "-i", file, "-map", "0", "-c", "copy",
		"-f", "rtsp", "-rtsp_transport", transport, url)
	var log output
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("publisher: %s", &log)
		}
	})
}

func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !within(t.Context(), cond) {
		t.Fatalf("not in time: %s", what)
	}
}

// within polls what no event announces.
func within(ctx context.Context, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

var (
	noB    = []string{"-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-pix_fmt", "yuv420p"}
	withB  = []string{"-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-b_strategy", "0", "-pix_fmt", "yuv420p"}
	hevc   = []string{"-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-x265-params", "log-level=error"}
	mjpeg  = []string{"-c:v", "mjpeg", "-huffman", "default", "-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p"}
	aac    = []string{"-c:a", "aac", "-b:a", "64k"}
	opus   = []string{"-c:a", "libopus", "-b:a", "48k", "-application", "lowdelay"}
	alaw   = []string{"-c:a", "pcm_alaw", "-ar", "8000"}
	silent []string
)

// FFmpeg publishes to us and FFmpeg reads from us, once directly and once through a Pull from our own server. Every
// picture arrives, bit for bit, and sound keeps its place beside it.
func TestFFmpegThroughUs(t *testing.T) {
	ffmpeg := peer(t, "ffmpeg")
	for _, c := range []struct {
		name    string
		clip    clip
		in, out string
		pull    rtsp.Transport // "": no Pull between
	}{
		{"h264 aac tcp tcp", clip{noB, aac}, "tcp", "tcp", ""},
		{"h264 opus udp udp", clip{noB, opus}, "udp", "udp", ""},
		{"h264 B-frames aac tcp udp", clip{withB, aac}, "tcp", "udp", ""},
		{"h264 B-frames alaw udp tcp", clip{withB, alaw}, "udp", "tcp", rtsp.TCP},
		{"h265 alaw udp tcp", clip{hevc, alaw}, "udp", "tcp", ""},
		{"h265 opus tcp udp", clip{hevc, opus}, "tcp", "udp", rtsp.UDP},
		{"mjpeg aac udp udp", clip{mjpeg, aac}, "udp", "udp", ""},
		{"mjpeg tcp tcp", clip{mjpeg, silent}, "tcp", "tcp", rtsp.Auto},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := c.clip.make(t, ffmpeg)
			h := newHouse(t)
			path, out := relay(t, h, c.pull)
			publish(t, ffmpeg, file, fmt.Sprintf("rtsp://%s/cam1", h.server.Addr()), c.in)
			select {
			case <-out.open:
			case <-time.After(30 * time.Second):
				t.Fatal("nothing is published")
			}
			r := startReader(t, ffmpeg, fmt.Sprintf("rtsp://%s/%s", h.server.Addr(), path), c.out)
			wait(t, "the reader", func() bool { return h.server.Stats()[path].Readers == 1 && out.ready() })
			out.start(t)
			got := collect(t, r, c.clip.audio != nil)
			compare(t, decoded(t, ffmpeg, file), r.finish(t))
			if c.clip.audio != nil {
				checkSync(t, copied(t, ffmpeg, file), got, slices.Equal(c.clip.audio, alaw))
			}
			if d := h.drops(); len(d) > 0 {
				t.Errorf("dropped: %v", d)
			}
			if t.Failed() {
				t.Logf("reader: %s", r.log)
			}
		})
	}
}

// relay makes the way from publisher to reader and returns the path to read.
func relay(t *testing.T, h *house, pull rtsp.Transport) (string, *toPath) {
	t.Helper()
	src := publishers.New(publishers.Config{Name: "cam1", Log: h.log, OnDrop: h.onDrop})
	h.server.AcceptPublish("cam1", rtsp.NewPublish(src))
	first := newToPath(h.server.Path("cam1/original", egress.PathConfig{KeepGOP: true}))
	keep(t, src, first, h)
	if pull == "" {
		return "cam1/original", first
	}
	p, err := rtsp.NewPull(rtsp.PullConfig{
		Name: "cam1", URL: fmt.Sprintf("rtsp://%s/cam1/original", h.server.Addr()), Transport: pull, Log: h.log, OnDrop: h.onDrop,
	})
	if err != nil {
		t.Fatal(err)
	}
	second := newToPath(h.server.Path("copy", egress.PathConfig{KeepGOP: true}))
	keep(t, p, second, h)
	released := make(chan struct{})
	go func() { // what is published waits for the Pull, so that it misses nothing
		defer close(released)
		if within(t.Context(), func() bool { return h.server.Stats()["cam1/original"].Readers == 1 && first.ready() }) {
			first.start(t)
		}
	}()
	t.Cleanup(func() { <-released })
	return "copy", second
}

// collect reads packets until all that is compared must have come.
func collect(t *testing.T, r *reader, audio bool) (got []frame) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	var video int
	var heard time.Duration
	for first := time.Duration(-1); video < frames+tail/2 || audio && heard < frames*time.Second/fps; {
		select {
		case f := <-r.packets:
			got = append(got, f)
			if f.stream == 0 {
				video++
				continue
			}
			if first < 0 {
				first = f.pts
			}
			heard = f.pts - first
		case <-deadline:
			t.Fatalf("%d pictures, %v of sound; reader: %s", video, heard, r.log)
		}
	}
	return got
}

// compare holds decoded pictures against those of the clip: the same, all of them, at the same distances.
func compare(t *testing.T, want, got []frame) {
	t.Helper()
	if len(got) < frames {
		t.Fatalf("%d pictures decoded, want %d at least", len(got), frames)
	}
	for i := range frames {
		if want[i].md5 != got[i].md5 {
			t.Fatalf("picture %d differs", i)
		}
		if d := (got[i].pts - got[0].pts) - (want[i].pts - want[0].pts); d.Abs() > 2*time.Millisecond {
			t.Fatalf("picture %d is off by %v", i, d)
		}
	}
}

// checkSync compares when sound is heard beside the pictures: at its start, and near the end.
func checkSync(t *testing.T, want, got []frame, alaw bool) {
	t.Helper()
	for _, at := range []int{0, 16000} {
		w, g := lag(want, at, alaw), lag(got, at, alaw)
		t.Logf("sound from byte %d begins %v after the first picture, in the clip %v", at, g, w)
		if (g - w).Abs() > 15*time.Millisecond {
			t.Errorf("sound from byte %d begins %v after the first picture, in the clip %v", at, g, w)
		}
	}
}

// lag is the time of the sound with a byte, after the first picture. A-law has one byte for 125 µs, however it is cut
// into packets; the other codecs keep their packets, so the start of the packet serves.
func lag(frames []frame, at int, alaw bool) time.Duration {
	first, sound := time.Duration(-1), time.Duration(-1)
	bytes := 0
	for _, f := range frames {
		if f.stream == 0 {
			if first < 0 || f.pts < first {
				first = f.pts
			}
			continue
		}
		if bytes <= at && at < bytes+f.size {
			sound = f.pts
			if alaw {
				sound += time.Duration(at-bytes) * 125 * time.Microsecond
			}
		}
		bytes += f.size
	}
	return sound - first
}
