package enginetest

import (
	"context"
	"math"
	"testing"
	"time"

	"rave/engine"
)

// repeats: a session that begins in the middle of a group of pictures shows the newest of it, and repeats the last one for
// as long as the camera is away: to a player the same picture, to the statistics none.
func (s suite) repeats(t *testing.T) {
	track, packets := Stream(t, H264)
	made := make(chan int, pictures)
	r := NewRecorder(func(n int) { made <- n })
	session := engine.New(Config(t, s.device, track, r), r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	const before, times, gap = 10, 4, 500 * time.Millisecond
	for i, p := range packets[:before] {
		p.DecodeOnly = i < before-1
		session.Send(ctx, p)
	}
	<-made
	last := packets[before-1].PTS
	for i := range times {
		session.Repeat(last + time.Duration(i+1)*gap)
		<-made
	}
	next := packets[before]
	next.PTS, next.Arrival = last+(times+1)*gap, time.Now()
	session.Send(ctx, next)
	<-made
	cancel()
	if err := <-done; err != nil || session.InUse() != 0 {
		t.Errorf("%v, %d frames in use", err, session.InUse())
	}
	tracks, out, drops, counts := r.Result()
	if len(tracks) != 1 || len(out) != times+2 || len(drops) != 0 || counts[engine.Lanczos] != 2 {
		t.Fatalf("%d descriptions, %d packets, drops %v, made %v", len(tracks), len(out), drops, counts)
	}
	shown := decode(t, s.decoder(t, tracks[0], false), out)
	for i, p := range out {
		held := i > 0 && i <= times
		if p.PTS != last+time.Duration(i)*gap || p.Held != held || held && !p.Arrival.IsZero() || p.Enhancer != engine.Lanczos {
			t.Errorf("packet %d at %v, held %v, arrived %v, by %s", i, p.PTS, p.Held, p.Arrival, p.Enhancer)
		}
		if held && math.Abs(shown[i].mean-shown[0].mean) > 1 {
			t.Errorf("repetition %d has a mean of %.1f; the picture had %.1f", i, shown[i].mean, shown[0].mean)
		}
		if held && !p.Keyframe && 2*len(p.Data) > len(out[0].Data) {
			t.Errorf("repetition %d has %d bytes; the picture had %d", i, len(p.Data), len(out[0].Data))
		}
	}
}
