package clip

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rave/bench/barcode"
	"rave/bench/peer"
	"rave/ingest/testsrc"
)

const footage = "../../ingest/testsrc/clips/cockatoo-640x360.mp4"

func TestEveryNumberSurvivesTheEncoder(t *testing.T) {
	ffmpeg := peer.Need(t, peer.FFmpeg)
	folder := t.TempDir()
	for _, p := range []Params{
		{Codec: H264},
		{Codec: H264, BFrames: 2},
		{Codec: H264, Interlaced: true},
		{Codec: H264, Pixel: "yuv422p"},
		{Codec: H264, Pixel: "yuv420p10le"},
		{Codec: H264, FullRange: true},
		{Codec: H265},
		{Codec: MJPEG},
	} {
		p.Source, p.Width, p.Height, p.FPS, p.Frames = footage, 320, 176, 12, 30
		path, err := Make(t.Context(), ffmpeg, folder, p)
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		clip, err := testsrc.Open(path, testsrc.Options{})
		if err != nil {
			t.Errorf("%+v: %v", p, err)
			continue
		}
		if got := clip.FPS(); clip.Frames() != p.Frames || got < 11.99 || got > 12.01 {
			t.Errorf("%+v: %d frames at %v per second", p, clip.Frames(), got)
		}
		checkNumbers(t, ffmpeg, path, p)
	}
}

// checkNumbers decodes the clip at twice its size, with losses of a low-bitrate encode in between, and reads the codes.
func checkNumbers(t *testing.T, ffmpeg, path string, p Params) {
	t.Helper()
	again := filepath.Join(t.TempDir(), "again.mp4")
	run := func(args string) []byte {
		out, err := exec.Command(ffmpeg, strings.Fields(args)...).Output()
		if err != nil {
			t.Fatalf("%+v: ffmpeg %s: %v", p, args, err)
		}
		return out
	}
	run("-v error -i " + path + " -vf scale=2*iw:2*ih -pix_fmt yuv420p -c:v libx264 -preset ultrafast -b:v 150k " +
		"-fps_mode passthrough " + again)
	pictures := run("-v error -i " + again + " -f rawvideo -fps_mode passthrough -pix_fmt gray pipe:1")
	w, h := 2*p.Width, 2*p.Height
	if len(pictures) != p.Frames*w*h {
		t.Errorf("%+v: %d bytes of pictures; want %d pictures", p, len(pictures), p.Frames)
		return
	}
	for n := range p.Frames {
		got, err := barcode.Read(pictures[n*w*h:], w, w, h)
		if err != nil || got != uint32(n) {
			t.Errorf("%+v: picture %d reads as %d, %v", p, n, got, err)
		}
	}
}

func TestMakeKeepsClips(t *testing.T) {
	folder := t.TempDir()
	p := Params{Source: footage, Width: 320, Height: 180, FPS: 10, Frames: 5, Codec: H264, Pixel: "yuv420p"}
	source, err := os.ReadFile(footage)
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(folder, p.name(source))
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Make(t.Context(), "/no/ffmpeg", folder, p); got != kept || err != nil {
		t.Errorf("got %s, %v; want %s", got, err, kept)
	}
}

func TestMakeLeavesNothingBehindWhenItFails(t *testing.T) {
	ffmpeg := peer.Need(t, peer.FFmpeg)
	folder := t.TempDir()
	source := filepath.Join(folder, "text.mp4")
	if err := os.WriteFile(source, []byte("not a film"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(folder, "clips")
	_, err := Make(t.Context(), ffmpeg, out, Params{Source: source, Width: 320, Height: 180, FPS: 10, Frames: 5})
	if err == nil || !strings.Contains(err.Error(), "text.mp4") {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(out); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestBadParameters(t *testing.T) {
	for want, p := range map[string]Params{
		"size 64x48":          {Width: 64, Height: 48, FPS: 10, Frames: 5},
		"size 641x360":        {Width: 641, Height: 360, FPS: 10, Frames: 5},
		"0 frames per second": {Width: 640, Height: 360, Frames: 5},
		"0 frames: ":          {Width: 640, Height: 360, FPS: 10},
		"17 B-frames":         {Width: 640, Height: 360, FPS: 10, Frames: 5, BFrames: 17},
		`codec "vp9"`:         {Width: 640, Height: 360, FPS: 10, Frames: 5, Codec: "vp9"},
	} {
		if _, err := Make(t.Context(), "ffmpeg", t.TempDir(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v; want … %s …", p, err, want)
		}
	}
}
