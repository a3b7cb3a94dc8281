package software_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
)

const frameTime = 40 * time.Millisecond

// long repeats a test stream to n access units, times going on.
func long(t testing.TB, name string, n int) (media.Track, []media.Packet) {
	t.Helper()
	track, packets := enginetest.Stream(t, name)
	out := make([]media.Packet, n)
	for i := range out {
		out[i] = packets[i%len(packets)]
		out[i].PTS = time.Duration(i) * frameTime
		out[i].Discontinuity = i == 0
	}
	return track, out
}

// TestSwapLosesNothing swaps enhancers every 7 frames over 1,000 frames: every frame comes out, in order, readers are
// told of one format only, and all parameter sets are the same.
func TestSwapLosesNothing(t *testing.T) {
	track, packets := long(t, enginetest.H264, 1000)
	rungs := []string{"luma-copy-x2", "rgb-copy-x2", engine.Lanczos}
	var s *engine.Session
	r := enginetest.NewRecorder(func(n int) {
		if n%7 == 0 {
			s.Prefer(rungs[n/7%3])
		}
	})
	cfg := enginetest.Config(t, device(t), track, r)
	cfg.Quality, cfg.Replay = rungs, true
	s = engine.New(cfg, r)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	for _, p := range packets {
		s.Send(t.Context(), p)
	}
	s.CloseInput()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	tracks, made, drops, by := r.Result()
	if len(made) != 1000 || len(drops) != 0 || len(tracks) != 1 || s.InUse() != 0 {
		t.Fatalf("%d packets, drops %v, %d formats, %d frames in use", len(made), drops, len(tracks), s.InUse())
	}
	swaps := 0
	for i, p := range made {
		if p.PTS != time.Duration(i)*frameTime {
			t.Fatalf("packet %d at %v", i, p.PTS)
		}
		if i > 0 && p.Enhancer != made[i-1].Enhancer {
			swaps++
		}
		for u := range media.NALUs(p.Data) {
			if k := u[0] & 0x1f; k == 7 || k == 8 {
				if !slices.ContainsFunc(tracks[0].ParameterSets, func(set []byte) bool { return bytes.Equal(set, u) }) {
					t.Fatalf("packet %d, by %s, carries other parameter sets", i, p.Enhancer)
				}
			}
		}
	}
	if swaps < 100 {
		t.Errorf("only %d swaps: %v", swaps, by)
	}
}

// TestFailedModelFallsToLanczos: a model that cannot be loaded costs no frame.
func TestFailedModelFallsToLanczos(t *testing.T) {
	track, packets := enginetest.Stream(t, enginetest.H264)
	for _, model := range []string{"truncated", "absent", "bad-scale"} {
		r := enginetest.NewRecorder(nil)
		cfg := enginetest.Config(t, device(t), track, r)
		cfg.Quality = []string{model, engine.Lanczos}
		enginetest.Replay(t, cfg, r, packets)
		if _, made, drops, by := r.Result(); len(made) != len(packets) || by[engine.Lanczos] != len(packets) || len(drops) != 0 {
			t.Errorf("%s: %d packets, %v, drops %v", model, len(made), by, drops)
		}
	}
}

// TestStrictRefusesFallback: with strict nothing but the first rung may serve.
func TestStrictRefusesFallback(t *testing.T) {
	track, packets := enginetest.Stream(t, enginetest.H264)
	r := enginetest.NewRecorder(nil)
	cfg := enginetest.Config(t, device(t), track, r)
	cfg.Quality, cfg.Strict, cfg.Replay = []string{"truncated", engine.Lanczos}, true, true
	s := engine.New(cfg, r)
	for _, p := range packets {
		s.Send(t.Context(), p)
	}
	s.CloseInput()
	err := s.Run(t.Context())
	if _, made, _, _ := r.Result(); err == nil || len(made) != 0 {
		t.Errorf("%d packets, %v", len(made), err)
	}
}

// TestGenerations: a new size, then a new colour, give new tracks and a keyframe each, and no picture is lost.
func TestGenerations(t *testing.T) {
	track, first := enginetest.Stream(t, enginetest.H264)
	packets := first
	for _, name := range []string{enginetest.Odd, enginetest.BT709, enginetest.H264} {
		_, more := enginetest.Stream(t, name)
		for _, p := range more {
			p.PTS = time.Duration(len(packets)) * frameTime
			p.Discontinuity = false
			packets = append(packets, p)
		}
	}
	r := enginetest.NewRecorder(nil)
	cfg := enginetest.Config(t, device(t), track, r)
	cfg.Quality = []string{"luma-copy-x2", engine.Lanczos}
	enginetest.Replay(t, cfg, r, packets)
	tracks, made, drops, _ := r.Result()
	var sizes []string
	for _, tr := range tracks {
		sizes = append(sizes, fmt.Sprintf("%dx%d", tr.Width, tr.Height))
	}
	if !slices.Equal(sizes, []string{"320x192", "324x180", "320x192", "320x192"}) {
		t.Errorf("generations %v", sizes)
	}
	if len(made) != len(packets) || len(drops) != 0 {
		t.Errorf("%d packets of %d, drops %v", len(made), len(packets), drops)
	}
	for _, i := range []int{0, 30, 60, 90} {
		if !made[i].Keyframe {
			t.Errorf("packet %d begins a generation and is no keyframe", i)
		}
	}
}

// TestSlowModelStaysLive: with a model that is several times too slow, decoded pictures are dropped before it, what
// comes out is never old, and every picture is accounted for.
func TestSlowModelStaysLive(t *testing.T) {
	track, packets := long(t, enginetest.H264, 100)
	var oldest time.Duration
	r := enginetest.NewRecorder(nil)
	cfg := enginetest.Config(t, device(t), track, r)
	cfg.Quality = []string{"luma-slow-x2"}
	cfg.Threads = 1
	out := outputFunc{r, func(p media.Packet) { oldest = max(oldest, time.Since(p.Arrival)) }}
	s := engine.New(cfg, out)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tick := time.NewTicker(2 * time.Millisecond) // 500 frames/s: too fast for any machine and this model
	defer tick.Stop()
	sent := 0
	for ; sent < 5000; sent++ {
		if _, made, drops, _ := r.Result(); len(made) >= 5 && drops["enhance/overload"] > 5 {
			break
		}
		p := packets[sent%len(packets)]
		p.PTS, p.Arrival = time.Duration(sent)*2*time.Millisecond, time.Now()
		s.Send(ctx, p)
		<-tick.C
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	_, made, drops, _ := r.Result()
	if len(made) < 5 || drops["enhance/overload"] == 0 || s.InUse() != 0 {
		t.Fatalf("%d made of %d, drops %v, %d in use", len(made), sent, drops, s.InUse())
	}
	for i := range made[1:] {
		if made[i+1].PTS <= made[i].PTS {
			t.Errorf("packet %d at %v comes after %v", i+1, made[i+1].PTS, made[i].PTS)
		}
	}
	known := []string{"enhance/overload", "enhance/no_enhancer", "enhance/late", "enhance/error", "decode/behind"}
	for reason := range maps.Keys(drops) {
		if !slices.Contains(known, reason) {
			t.Errorf("unexpected drops %s: %d", reason, drops[reason])
		}
	}
	t.Logf("%d sent, %d made, oldest %v, drops %v", sent, len(made), oldest, drops)
}

// outputFunc looks at packets on their way to a recorder.
type outputFunc struct {
	media.Output
	look func(media.Packet)
}

// Packet implements media.Output.
func (o outputFunc) Packet(p media.Packet) error {
	o.look(p)
	return o.Output.Packet(p)
}

// TestSessionSurvivesItsOutput: when the receiving side fails, the session starts again and goes on at a keyframe.
func TestSessionSurvivesItsOutput(t *testing.T) {
	track, packets := long(t, enginetest.H264, 60)
	r := enginetest.NewRecorder(nil)
	cfg := enginetest.Config(t, device(t), track, r)
	fails := 2
	broken := outputErr{r, func() error {
		if fails > 0 {
			fails--
			return errors.New("disk full")
		}
		return nil
	}}
	s := engine.New(cfg, broken)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	for i := 0; ; i++ {
		if _, made, _, _ := r.Result(); len(made) > 0 {
			if !made[0].Keyframe {
				t.Error("it goes on without a keyframe")
			}
			break
		}
		p := packets[i%len(packets)]
		p.PTS, p.Arrival = time.Duration(i)*frameTime, time.Now()
		s.Send(ctx, p)
		select {
		case <-time.After(5 * time.Millisecond):
		case err := <-done:
			t.Fatalf("session ended: %v", err)
		}
	}
	cancel()
	if err := <-done; err != nil || s.InUse() != 0 {
		t.Errorf("%v, %d frames in use", err, s.InUse())
	}
}

type outputErr struct {
	media.Output
	err func() error
}

// Packet implements media.Output.
func (o outputErr) Packet(p media.Packet) error {
	if err := o.err(); err != nil {
		return err
	}
	return o.Output.Packet(p)
}
