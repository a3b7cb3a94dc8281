package software_test

import (
	"context"
	"math"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
)

// TestChangeDoesNotFlicker changes between the network and Lanczos on a still picture of a live stream and measures the
// sharpness of what readers see: it must go over in small steps.
func TestChangeDoesNotFlicker(t *testing.T) {
	const (
		toLanczos, toModel, pictures = 40, 80, 120
		steady                       = 20   // pictures after which a change is over
		most                         = 0.25 // of the whole difference, from one picture to the next; 1/9 is the fade's own step
	)
	track, still := enginetest.Stream(t, enginetest.MJPEG420)
	made := make(chan struct{}, 1)
	r := enginetest.NewRecorder(func(int) { made <- struct{}{} })
	cfg := enginetest.Config(t, device(t), track, r)
	cfg.Quality, cfg.Bitrate, cfg.GOP = []string{"live-x2", engine.Lanczos}, 20_000_000, time.Minute
	s := engine.New(cfg, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	sent := 0
	send := func() {
		p := still[0]
		p.PTS, p.Arrival, p.Discontinuity = time.Duration(sent)*frameTime, time.Now(), sent == 0
		s.Send(ctx, p)
		sent++
		select {
		case <-made:
		case <-time.After(20 * time.Second):
			t.Fatalf("picture %d was not made", sent)
		}
	}
	for loaded := false; !loaded; { // Lanczos serves until then
		send()
		_, _, _, by := r.Result()
		loaded = by["live-x2"] > 0
		if sent > 50_000 {
			t.Fatal("live-x2 does not load")
		}
	}
	first := sent
	for n := range pictures {
		switch n {
		case toLanczos:
			s.Prefer(engine.Lanczos)
		case toModel:
			s.Prefer("live-x2")
		}
		send()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	tracks, packets, drops, by := r.Result()
	if len(packets) != sent || len(drops) != 0 {
		t.Fatalf("%d of %d packets by %v, drops %v", len(packets), sent, by, drops)
	}
	sharp := sharpness(t, tracks[0], packets)[first:]
	mean := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return sum / float64(len(v))
	}
	model, lanczos, again := mean(sharp[steady:toLanczos]), mean(sharp[toLanczos+steady:toModel]), mean(sharp[toModel+steady:])
	whole, worst := math.Abs(model-lanczos), 0.0
	if whole < 0.05*lanczos {
		t.Fatalf("the two enhancers hardly differ (%.3f and %.3f): nothing is tested", model, lanczos)
	}
	if math.Abs(again-model) > whole/10 {
		t.Errorf("sharpness %.3f with the network, %.3f when it serves again", model, again)
	}
	for n := steady + 1; n < pictures; n++ {
		worst = max(worst, math.Abs(sharp[n]-sharp[n-1])/whole)
	}
	t.Logf("sharpness %.3f with the network, %.3f with Lanczos; the largest step between two pictures is %.0f %% of the difference",
		model, lanczos, 100*worst)
	if worst > most {
		t.Errorf("sharpness jumps by %.0f %% of the difference between two pictures", 100*worst)
	}
}

// sharpness decodes packets and returns of each picture the mean absolute Laplacian of its luma.
func sharpness(t *testing.T, track media.Track, packets []media.Packet) []float64 {
	t.Helper()
	var ledger engine.Ledger
	d, err := device(t).NewDecoder(t.Context(), engine.DecoderParams{Track: track, Threads: 1, Frames: 2, Ledger: &ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var all []float64
	measure := func(f *media.Frame) error {
		defer f.Release()
		y, stride, sum := f.Planes[0], f.Strides[0], 0.0
		for row := 1; row < f.Height-1; row++ {
			for x := 1; x < f.Width-1; x++ {
				i := row*stride + x
				sum += math.Abs(4*float64(y[i]) - float64(y[i-1]) - float64(y[i+1]) - float64(y[i-stride]) - float64(y[i+stride]))
			}
		}
		all = append(all, sum/float64((f.Width-2)*(f.Height-2)))
		return nil
	}
	for _, p := range packets {
		if err := d.Send(p, measure); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(measure); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(packets) {
		t.Fatalf("%d of %d pictures decoded", len(all), len(packets))
	}
	return all
}
