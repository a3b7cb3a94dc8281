package testsrc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rave/bench/leak"
	"rave/engine/media"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// recorder is an Output that keeps what it gets.
type recorder struct {
	tracks  []media.Track
	packets []media.Packet
	took    time.Duration // how long each packet's reception takes
	fail    error
}

func (r *recorder) Tracks(t []media.Track) error { r.tracks = t; return nil }

func (r *recorder) Packet(p media.Packet) error {
	r.packets = append(r.packets, p)
	if r.took > 0 {
		time.Sleep(r.took)
	}
	return r.fail
}

func demo(t *testing.T, name string, opt Options) *Clip {
	t.Helper()
	c, err := Demo(name, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, name string, opt Options) *Clip {
	t.Helper()
	c, err := Open(filepath.Join("testdata", name), opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nalTypes returns the types of the NAL units in Annex B data that has 4-byte start codes only.
func nalTypes(t *testing.T, codec media.Codec, data []byte) []int {
	t.Helper()
	if !bytes.HasPrefix(data, []byte{0, 0, 0, 1}) {
		t.Fatalf("no start code: % x", data[:min(8, len(data))])
	}
	var types []int
	for _, u := range bytes.Split(data, []byte{0, 0, 0, 1})[1:] {
		if codec == media.H264 {
			types = append(types, int(u[0]&31))
		} else {
			types = append(types, int(u[0]>>1&63))
		}
	}
	return types
}

func TestClipsHoldEveryFrame(t *testing.T) {
	for _, c := range []struct {
		clip          *Clip
		codec         media.Codec
		width, height int
		frames        int
		duration      time.Duration
	}{
		{demo(t, "security", Options{}), media.H264, 384, 288, 200, 20 * time.Second},
		{demo(t, "cockatoo", Options{}), media.H264, 640, 360, 280, 14 * time.Second},
		{demo(t, "cockatoo", Options{Speed: 2}), media.H264, 640, 360, 280, 7 * time.Second},
		{open(t, "bframes.mp4", Options{}), media.H264, 64, 48, 12, 480 * time.Millisecond},
		{open(t, "h265.mp4", Options{}), media.H265, 64, 48, 12, 480 * time.Millisecond},
		{open(t, "mjpeg.mp4", Options{}), media.MJPEG, 64, 48, 12, 480 * time.Millisecond},
		{open(t, "audio.mp4", Options{}), media.H264, 64, 48, 5, 200 * time.Millisecond},
	} {
		track := c.clip.Tracks()[0]
		if track.Codec != c.codec || track.Width != c.width || track.Height != c.height ||
			track.Kind != media.Video || track.ClockRate != 90000 {
			t.Errorf("track %+v; want %s %dx%d", track, c.codec, c.width, c.height)
		}
		if c.clip.Frames() != c.frames || c.clip.Duration() != c.duration {
			t.Errorf("%s %s: %d frames in %v; want %d in %v", c.codec, "clip", c.clip.Frames(), c.clip.Duration(), c.frames, c.duration)
		}
		want := map[media.Codec]int{media.H264: 2, media.H265: 3, media.MJPEG: 0}[c.codec]
		if len(track.ParameterSets) != want {
			t.Errorf("%s: %d parameter sets; want %d", c.codec, len(track.ParameterSets), want)
		}
	}
}

func TestKeyframesAreLedByParameterSets(t *testing.T) {
	for _, c := range []struct {
		clip *Clip
		sets []int // types of the parameter sets, in order
		idr  []int // types that decoding can start at
		keys int
	}{
		{demo(t, "cockatoo", Options{}), []int{7, 8}, []int{5}, 0},
		{open(t, "bframes.mp4", Options{}), []int{7, 8}, []int{5}, 2},
		{open(t, "h265.mp4", Options{}), []int{32, 33, 34}, []int{19, 20, 21}, 2},
	} {
		codec, keys := c.clip.track.Codec, 0
		for i, f := range c.clip.frames {
			types := nalTypes(t, codec, f.data)
			isIDR := slices.ContainsFunc(types, func(n int) bool { return slices.Contains(c.idr, n) })
			if isIDR != f.keyframe {
				t.Errorf("%s frame %d: keyframe %v, NAL units %v", codec, i, f.keyframe, types)
			}
			if !f.keyframe {
				continue
			}
			keys++
			if len(types) < len(c.sets) || !slices.Equal(types[:len(c.sets)], c.sets) {
				t.Errorf("%s keyframe %d starts with NAL units %v; want %v", codec, i, types, c.sets)
			}
		}
		if c.keys != 0 && keys != c.keys {
			t.Errorf("%s: %d keyframes; want %d", codec, keys, c.keys)
		}
	}
}

func TestJPEGsAreWhole(t *testing.T) {
	for i, f := range open(t, "mjpeg.mp4", Options{}).frames {
		if !bytes.HasPrefix(f.data, []byte{0xff, 0xd8}) || !bytes.HasSuffix(f.data, []byte{0xff, 0xd9}) || !f.keyframe {
			t.Errorf("image %d: starts with % x", i, f.data[:2])
		}
	}
}

func TestFramesLeaveOnTimeAndLoopsJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frames = 2*280 + 3
		var r recorder
		var sent []int64
		start := time.Now()
		clip := demo(t, "cockatoo", Options{Count: frames, OnSend: func(n int64, at time.Time) {
			sent = append(sent, n)
			if !at.Equal(time.Now()) {
				t.Errorf("frame %d: told %v at %v", n, at, time.Now())
			}
		}})
		if err := clip.Run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if len(r.packets) != frames || len(sent) != frames {
			t.Fatalf("%d packets, %d told of; want %d", len(r.packets), len(sent), frames)
		}
		for i, p := range r.packets {
			want := time.Duration(i) * 50 * time.Millisecond
			if p.PTS != want || p.Arrival.Sub(start) != want || p.NTP.Sub(start.Round(0)) != want || sent[i] != int64(i) {
				t.Fatalf("frame %d (told as %d): PTS %v, arrival +%v, NTP +%v; want %v", i, sent[i], p.PTS,
					p.Arrival.Sub(start), p.NTP.Sub(start), want)
			}
			if p.Discontinuity != (i == 0) {
				t.Errorf("frame %d: discontinuity %v", i, p.Discontinuity)
			}
		}
		if !r.packets[280].Keyframe || &r.packets[280].Data[0] != &r.packets[0].Data[0] {
			t.Error("the second loop does not start with the clip's first keyframe")
		}
	})
}

func TestLateFramesDoNotDelayThoseAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := recorder{took: 49 * time.Millisecond}
		start := time.Now()
		if err := demo(t, "cockatoo", Options{Count: 200}).Run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		last := r.packets[199]
		if got := last.Arrival.Sub(start); got != 199*50*time.Millisecond {
			t.Errorf("frame 199 left after %v; want 9.95s", got)
		}
	})
}

func TestSpeedAndRateOverDays(t *testing.T) {
	clip := demo(t, "security", Options{Speed: 2.5})
	if got := clip.FPS(); got < 24.999 || got > 25.001 {
		t.Errorf("%v fps; want 25", got)
	}
	week := int64(7 * 24 * 3600 * 10240) // ticks of the clip's time scale
	if got, want := clip.at(week), 7*24*time.Hour*2/5; got != want {
		t.Errorf("a week plays in %v; want %v", got, want)
	}
}

func TestBFramesLeaveInDecodeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		var numbers []int64
		start := time.Now()
		clip := open(t, "bframes.mp4", Options{Count: 24, OnSend: func(n int64, _ time.Time) { numbers = append(numbers, n) }})
		if err := clip.Run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		var reordered bool
		for i, p := range r.packets {
			const period = 40 * time.Millisecond
			if got := p.Arrival.Sub(start); got != time.Duration(i)*period {
				t.Errorf("frame %d left after %v", i, got)
			}
			if p.PTS != time.Duration(numbers[i])*period {
				t.Errorf("frame %d: PTS %v as number %d in order of presentation", i, p.PTS, numbers[i])
			}
			if p.NTP.After(p.Arrival) {
				t.Errorf("frame %d left before it was seen: %v", i, p.NTP.Sub(p.Arrival))
			}
			reordered = reordered || i > 0 && p.PTS < r.packets[i-1].PTS
		}
		if !reordered {
			t.Error("the clip has no B-frames")
		}
		slices.Sort(numbers)
		for i, n := range numbers {
			if n != int64(i) {
				t.Fatalf("numbers %v; want each once", numbers)
			}
		}
	})
}

func TestSecondRunContinuesTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		clip := demo(t, "security", Options{Count: 5})
		for _, pause := range []time.Duration{0, 10 * time.Second} {
			time.Sleep(pause)
			if err := clip.Run(t.Context(), &r); err != nil {
				t.Fatal(err)
			}
		}
		if again := r.packets[5]; again.PTS != 10400*time.Millisecond || !again.Discontinuity || !again.Keyframe {
			t.Errorf("second run starts at %v, discontinuity %v", again.PTS, again.Discontinuity)
		}
	})
}

func TestRunEndsWithItsContextOrOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var r recorder
		if err := demo(t, "security", Options{}).Run(ctx, &r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if n := len(r.packets); n < 10 || n > 11 {
			t.Errorf("%d frames in a second; want 10", n)
		}
		broken := recorder{fail: errors.New("closed")}
		if err := demo(t, "security", Options{}).Run(t.Context(), &broken); !errors.Is(err, broken.fail) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBadFilesSayWhatIsWrong(t *testing.T) {
	good := func() []byte {
		b, err := os.ReadFile("testdata/bframes.mp4")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	at := func(b []byte, box string) int { return bytes.Index(b, []byte(box)) + 4 }
	put := func(box string, offset int, value uint32) func() []byte {
		return func() []byte {
			b := good()
			binary.BigEndian.PutUint32(b[at(b, box)+offset:], value)
			return b
		}
	}
	rename := func(from, to string) func() []byte {
		return func() []byte { return bytes.ReplaceAll(good(), []byte(from), []byte(to)) }
	}
	for _, c := range []struct {
		name string
		make func() []byte
		want string
	}{
		{"empty", func() []byte { return nil }, "no moov box"},
		{"text", func() []byte { return []byte("rtsp://camera/stream") }, `box "://c": size`},
		{"cut off", func() []byte { b := good(); return b[:len(b)-100] }, `box "moov": size`},
		{"audio only", rename("vide", "soun"), "no video track"},
		{"another codec", rename("avc1\x00\x00\x00\x00", "vp09\x00\x00\x00\x00"), `video format "vp09": only H.264`},
		{"no configuration", rename("avcC", "xxxx"), "avc1: no decoder configuration"},
		{"no sizes", rename("stsz", "xxxx"), "no stsz box"},
		{"no times", rename("stts", "xxxx"), "no stts box"},
		{"no chunks", rename("stco", "xxxx"), "no stco box"},
		{"no time scale", put("mdhd", 12, 0), "mdhd: time scale 0"},
		{"too many frames", put("stsz", 8, 1<<31), "stsz: 2147483648 frames do not fit"},
		{"huge frame", put("stsz", 12, 1<<31), "stsz: frames of"},
		{"outside", put("stco", 8, 1<<31), "stco: frame 0 lies outside the file"},
		{"no such keyframe", put("stss", 8, 99), "stss: no frame 99"},
		{"starts without keyframe", put("stss", 8, 2), "first frame is not a keyframe"},
		{"broken lengths", put("stco", 8, 0), "NAL unit"},
		{"fragments", func() []byte {
			b, err := os.ReadFile("testdata/fragmented.mp4")
			if err != nil {
				t.Fatal(err)
			}
			return b
		}, "fragmented MP4 is not supported"},
	} {
		if _, err := New(c.make(), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v; want … %s …", c.name, err, c.want)
		}
	}
	if _, err := Open("testdata/none.mp4", Options{}); err == nil || !strings.Contains(err.Error(), "testdata/none.mp4") {
		t.Errorf("missing file: %v", err)
	}
	if _, err := Demo("parrot", Options{}); err == nil || !strings.Contains(err.Error(), `"parrot": there is only security, cockatoo`) {
		t.Errorf("unknown clip: %v", err)
	}
	if _, err := New(good(), Options{Speed: -1}); err == nil || !strings.Contains(err.Error(), "speed -1") {
		t.Errorf("negative speed: %v", err)
	}
}

func FuzzNew(f *testing.F) {
	files, err := filepath.Glob("testdata/*.mp4")
	if err != nil || len(files) == 0 {
		f.Fatalf("seeds: %v, %v", files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := New(b, Options{})
		if err != nil {
			return
		}
		size := 0
		for i, frame := range c.frames {
			if len(frame.data) == 0 || frame.dts < 0 || frame.pts < 0 || i > 0 && frame.dts < c.frames[i-1].dts {
				t.Fatalf("frame %d: %d bytes, decoded at %d, shown at %d", i, len(frame.data), frame.dts, frame.pts)
			}
			size += len(frame.data)
		}
		if c.Frames() == 0 || c.Duration() < 0 || !c.frames[0].keyframe || size > 8*len(b)+1<<20 {
			t.Fatalf("%d frames, %v, %d bytes from %d", c.Frames(), c.Duration(), size, len(b))
		}
	})
}
