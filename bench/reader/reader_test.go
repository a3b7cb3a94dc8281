package reader

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rave/bench/barcode"
	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/leak"
	"rave/bench/peer"
)

// TestMain is the camera as well, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "camera" {
		os.Exit(camera.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(leak.Main(m))
}

func TestReadsACameraFromOutside(t *testing.T) {
	ffmpeg := peer.Need(t, peer.FFmpeg)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	const loop = 30
	for _, c := range []struct {
		transport string
		clip      clip.Params
	}{
		{"tcp", clip.Params{}},
		{"udp", clip.Params{Codec: clip.H265}},
		{"tcp", clip.Params{Codec: clip.MJPEG}},
		{"tcp", clip.Params{BFrames: 2}},
	} {
		p := c.clip
		p.Source, p.Width, p.Height, p.FPS, p.Frames = "../../ingest/testsrc/clips/cockatoo-640x360.mp4", 320, 176, 20, loop
		path, err := clip.Make(ctx, ffmpeg, t.TempDir(), p)
		if err != nil {
			t.Fatal(err)
		}
		log := filepath.Join(t.TempDir(), "camera.csv")
		cam, err := camera.Start(ctx, os.Args[0], []string{"camera"}, camera.Config{Clip: path}, log)
		if err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		r, err := Start(Config{FFmpeg: ffmpeg, URL: cam.URL, Transport: c.transport})
		if err != nil {
			t.Fatal(err)
		}
		err = r.WaitFor(ctx, loop+loop/2) // over the loop's seam
		seen := r.Stop()
		if stopped := cam.Stop(5 * time.Second); err != nil || stopped != nil {
			t.Fatalf("%+v: %v, %v", c, err, stopped)
		}
		sent, err := camera.ReadLog(log)
		if err != nil {
			t.Fatal(err)
		}
		report, _ := Compare(sent, seen, loop, started, time.Now())
		if report.Lost+report.Duplicates+report.Disordered+report.Unreadable != 0 || report.Latency.P50 > time.Second {
			t.Errorf("%+v: %+v", c, report)
		}
		pictures := r.Pictures()
		if len(pictures) < len(seen) || pictures[0].Width != 320 || pictures[0].Height != 176 {
			t.Fatalf("%+v: %d of %d pictures, %+v", c, len(pictures), len(seen), pictures[:min(1, len(pictures))])
		}
		for i := range pictures[1:] {
			if pictures[i+1].PTS <= pictures[i].PTS {
				t.Errorf("%+v: PTS %v after %v", c, pictures[i+1].PTS, pictures[i].PTS)
			}
		}
	}
}

func TestReaderSaysWhyNothingComes(t *testing.T) {
	ffmpeg := peer.Need(t, peer.FFmpeg)
	r, err := Start(Config{FFmpeg: ffmpeg, URL: "rtsp://127.0.0.1:1/none"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	if err := r.WaitFor(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "Connection refused") {
		t.Errorf("got %v", err)
	}
}

func TestReadAnyPictureSize(t *testing.T) {
	for _, size := range [][2]int{{320, 180}, {384, 288}, {640, 360}, {768, 576}, {1280, 720}, {1920, 1080}} {
		w, h := size[0], size[1]
		rows := 2 * ((h + 15) / 16) // what FFmpeg is told to crop
		plane := make([]byte, w*h)
		if err := barcode.Draw(plane, w, w, h, 123456); err != nil {
			t.Fatal(err)
		}
		stream := fmt.Sprintf("YUV4MPEG2 W%d H%d F25:1 Ip A0:0 Cmono\nFRAME\n%sFRAME\n%s", w, rows, plane[:w*rows], plane[:9])
		r := &Reader{changed: make(chan struct{})}
		err := r.read(bufio.NewReader(strings.NewReader(stream)))
		if err != nil || len(r.seen) != 1 || r.seen[0].N != 123456 || r.seen[0].Err != nil {
			t.Errorf("%v: %v, %+v", size, err, r.seen)
		}
	}
	for _, bad := range []string{"", "YUV4MPEG2 W H4\n", "YUV4MPEG2\n", "YUV4MPEG2 W-1 H4\n"} {
		r := &Reader{changed: make(chan struct{})}
		if err := r.read(bufio.NewReader(strings.NewReader(bad))); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestCompareCountsEveryKindOfFault(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var sent []camera.Sent
	for n := range 20 {
		sent = append(sent, camera.Sent{N: int64(n), Time: at(40 * n)})
	}
	see := func(ms int, n uint32) Seen { return Seen{N: n, At: at(ms)} }
	const loop = 8
	for name, c := range map[string]struct {
		seen []Seen
		want Report
	}{
		"all well": {[]Seen{see(100, 0), see(140, 1), see(180, 2)}, Report{Pictures: 3}},
		"over the seam": {[]Seen{see(310, 6), see(350, 7), see(390, 0), see(430, 1)},
			Report{Pictures: 4}},
		"lost":         {[]Seen{see(100, 0), see(250, 4)}, Report{Pictures: 2, Lost: 3}},
		"lost at seam": {[]Seen{see(310, 6), see(430, 1)}, Report{Pictures: 2, Lost: 2}},
		"duplicate":    {[]Seen{see(100, 0), see(110, 0), see(140, 1)}, Report{Pictures: 3, Duplicates: 1}},
		"disorder":     {[]Seen{see(140, 1), see(150, 0), see(180, 2)}, Report{Pictures: 3, Disordered: 1}},
		"unreadable": {[]Seen{see(100, 0), {Err: errors.New("grey"), At: at(140)}, see(180, 2)},
			Report{Pictures: 3, Unreadable: 1, Lost: 1}},
		"never sent":     {[]Seen{see(100, 0), see(101, 9)}, Report{Pictures: 2, Unreadable: 1}},
		"before its day": {[]Seen{see(100, 5)}, Report{Pictures: 1, Unreadable: 1}},
		"out of time":    {[]Seen{see(99, 0), see(1100, 1)}, Report{}},
		"nothing":        {nil, Report{}},
	} {
		got, _ := Compare(sent, c.seen, loop, at(100), at(1100))
		got.Latency, got.FPS = Spread{}, 0
		if got != c.want {
			t.Errorf("%s: got %+v; want %+v", name, got, c.want)
		}
	}
	got, samples := Compare(sent, []Seen{see(100, 0), see(150, 1), see(190, 2)}, loop, at(100), at(1100))
	if got.Latency.P50 != 110*time.Millisecond || got.Latency.P99 != 110*time.Millisecond || got.FPS != 3 || len(samples) != 3 {
		t.Errorf("got %+v, %v", got, samples)
	}
}

func TestSpread(t *testing.T) {
	var samples []time.Duration
	for i := range 200 {
		samples = append(samples, time.Duration(200-i))
	}
	if got, want := NewSpread(samples), (Spread{100, 190, 198, 200}); got != want {
		t.Errorf("got %v; want %v", got, want)
	}
	if got := NewSpread([]time.Duration{7}); got != (Spread{7, 7, 7, 7}) {
		t.Errorf("of one: %v", got)
	}
	if got := NewSpread(nil); got != (Spread{}) {
		t.Errorf("of none: %v", got)
	}
}
