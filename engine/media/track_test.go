package media

import (
	"testing"
	"testing/quick"
	"time"
)

func TestTicksInvertsDuration(t *testing.T) {
	for _, rate := range []int{8000, 11025, 16000, 44100, 48000, VideoClockRate} {
		inverts := func(n int64) bool {
			n %= 1 << 40 // 141 days of 90 kHz
			return Ticks(Duration(n, rate), rate) == n
		}
		if err := quick.Check(inverts, nil); err != nil {
			t.Errorf("clock rate %d: %v", rate, err)
		}
	}
}

func TestTicksRoundsToNearest(t *testing.T) {
	for _, c := range []struct {
		t    time.Duration
		want int64
	}{
		{0, 0},
		{time.Second, 90000},
		{-time.Second, -90000},
		{40 * time.Millisecond, 3600},
		{11111, 1}, {5556, 1}, {5555, 0}, {-5556, -1}, {-5555, 0},
	} {
		if got := Ticks(c.t, VideoClockRate); got != c.want {
			t.Errorf("Ticks(%v) = %d, want %d", c.t, got, c.want)
		}
	}
}

func TestSameTracks(t *testing.T) {
	video := Track{Kind: Video, Codec: H264, ClockRate: VideoClockRate, Width: 640}
	larger := video
	larger.Width, larger.ParameterSets = 1280, [][]byte{{0x67}}
	audio := Track{ID: 1, Kind: Audio, Codec: "opus", ClockRate: 48000, RTP: RTPFormat{RTPMap: "opus/48000/2"}}
	mono := audio
	mono.RTP.RTPMap = "opus/48000/1"
	if !SameTracks([]Track{video, audio}, []Track{larger, audio}) {
		t.Error("another size must keep readers")
	}
	if SameTracks([]Track{video, audio}, []Track{video, mono}) {
		t.Error("another audio format must not")
	}
	if SameTracks([]Track{video, audio}, []Track{video}) {
		t.Error("a missing track must not")
	}
}

func TestColorResolve(t *testing.T) {
	for _, c := range []struct {
		in     Color
		height int
		want   Matrix
	}{
		{Color{Matrix: MatrixUnspecified}, 360, MatrixSMPTE170M},
		{Color{Matrix: MatrixUnspecified}, 720, MatrixBT709},
		{Color{}, 576, MatrixSMPTE170M},
		{Color{Matrix: MatrixBT709}, 360, MatrixBT709},
		{Color{Matrix: MatrixBT470BG}, 1080, MatrixBT470BG},
	} {
		if got := c.in.Resolve(c.height).Matrix; got != c.want {
			t.Errorf("%+v at %d lines: matrix %d, want %d", c.in, c.height, got, c.want)
		}
	}
}

type owner struct{ freed, misused int }

func (o *owner) Free(*Frame)    { o.freed++ }
func (o *owner) Misused(*Frame) { o.misused++ }

func TestSecondReleaseIsReportedNotRepeated(t *testing.T) {
	var o owner
	f := NewFrame(&o)
	f.Release()
	f.Release()
	if o.freed != 1 || o.misused != 1 {
		t.Fatalf("freed %d, misused %d; want 1, 1", o.freed, o.misused)
	}
	f.Reuse()
	f.Release()
	if o.freed != 2 || o.misused != 1 {
		t.Fatalf("after reuse: freed %d, misused %d; want 2, 1", o.freed, o.misused)
	}
}
