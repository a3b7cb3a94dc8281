package engine

import (
	"testing"
	"time"

	"rave/engine/media"
)

func TestOutputFormat(t *testing.T) {
	for _, c := range []struct {
		rule       OutputRule
		w, h       int
		modelScale int
		want       string
	}{
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 640, 360, 2, "1280x720"},
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 1920, 1080, 2, "3840x2160"},
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 2560, 1440, 2, "3840x2160"}, // 4 MP
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 2592, 1944, 2, "2880x2160"}, // 5 MP, 4:3
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 1080, 1920, 2, "2160x3840"}, // upright
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 640, 360, 4, "2560x1440"},
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 640, 360, 0, "640x360"},
		{OutputRule{MaxWidth: 3840, MaxHeight: 2160}, 4096, 2160, 2, "3840x2026"}, // 2025 rounded to even
		{OutputRule{MaxWidth: 1921, MaxHeight: 1081}, 1280, 720, 2, "1920x1080"},
		{OutputRule{MaxWidth: 1279, MaxHeight: 719}, 640, 360, 2, "1278x718"},
		{OutputRule{Scale: 1.5, MaxWidth: 3840, MaxHeight: 2160}, 640, 360, 2, "960x540"},
		{OutputRule{Scale: 1}, 641, 361, 2, "642x362"},
		{OutputRule{Scale: 2}, 641, 361, 2, "1282x722"},
	} {
		in := media.Format{Width: c.w, Height: c.h, Pixel: media.YUV420P, Color: media.Color{Matrix: 1, FullRange: true}, SAR: [2]int{4, 3}}
		out := c.rule.Format(in, c.modelScale)
		if out.Size() != c.want {
			t.Errorf("%+v of %dx%d: %s, want %s", c.rule, c.w, c.h, out.Size(), c.want)
		}
		if out.Color != in.Color || out.SAR != in.SAR {
			t.Errorf("colour or aspect ratio changed: %+v", out)
		}
	}
}

func TestBitrateFollowsSizeAndRate(t *testing.T) {
	at := func(w, h int, fps float64) int { return Bitrate(media.Format{Width: w, Height: h}, fps) }
	if b := at(1280, 720, 25); b < 2.2e6 || b > 2.4e6 {
		t.Errorf("720p25: %d", b)
	}
	if b := at(3840, 2160, 25); b < 10e6 || b > 14e6 {
		t.Errorf("2160p25: %d", b)
	}
	if at(1280, 720, 5) >= at(1280, 720, 25) || at(640, 360, 25) >= at(1280, 720, 25) {
		t.Error("fewer pictures or pixels must not cost more")
	}
}

func TestRateMeter(t *testing.T) {
	var m rateMeter
	if m.fps(25) != 25 {
		t.Error("before the first window the guess counts")
	}
	pts := time.Duration(0)
	for range 100 {
		m.observe(pts)
		pts += 100 * time.Millisecond
	}
	if got := m.fps(25); got < 9.9 || got > 10.1 {
		t.Errorf("10 frames/s measured as %v", got)
	}
	pts += 8 * time.Second // a gap is no rate
	for range 8 {
		if pts += 100 * time.Millisecond; m.observe(pts) && (m.fps(25) < 9 || m.fps(25) > 11) {
			t.Errorf("after a gap of 8 s: %v", m.fps(25))
		}
	}
	pts += time.Hour
	for range 100 {
		m.observe(pts)
		pts += 50 * time.Millisecond
	}
	if got := m.fps(25); got < 19.9 || got > 20.1 {
		t.Errorf("20 frames/s after a gap measured as %v", got)
	}
	for range 20 { // a camera that sends a picture every five seconds
		m.observe(pts)
		pts += 5 * time.Second
	}
	if got := m.fps(25); got < 0.19 || got > 0.21 {
		t.Errorf("a picture every 5 s measured as %v", got)
	}
}
