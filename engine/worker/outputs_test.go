package worker_test

import (
	"bytes"
	"context"
	"errors"
	"image/jpeg"
	"sync"
	"syscall"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
	"rave/engine/worker"
)

// TestSnapshotAcrossTheSocket: a worker's snapshot is that of a session in this process, whoever asks at the same time; one
// that dies or stands still costs an error, and the next answers.
func TestSnapshotAcrossTheSocket(t *testing.T) {
	track, packets := footage(t, 30, 10, 1)
	here, there := inProcess(t, track), inWorker(t, track, spec{}, nil)
	for _, p := range packets[:3] {
		here.step(p)
		there.step(p)
	}
	shoot := func(r *rig, ctx context.Context, variant string, width int) (engine.Snapshot, error) {
		return r.session.(interface {
			Snapshot(context.Context, string, int) (engine.Snapshot, error)
		}).Snapshot(ctx, variant, width)
	}
	var all sync.WaitGroup
	for _, variant := range engine.Variants() {
		for _, width := range []int{0, 40} {
			want, err := shoot(here, t.Context(), variant, width)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				all.Go(func() {
					got, err := shoot(there, t.Context(), variant, width)
					if err != nil || !bytes.Equal(got.JPEG, want.JPEG) || got.PTS != packets[2].PTS || got.Width != want.Width ||
						got.Height != want.Height || got.Enhancer != want.Enhancer || time.Since(got.At) > patience {
						t.Errorf("%s: %dx%d of %v %v by %q in %d bytes, %v", variant, got.Width, got.Height, got.PTS, got.At, got.Enhancer, len(got.JPEG), err)
					}
				})
			}
		}
	}
	all.Wait()
	if _, err := shoot(there, t.Context(), "negative", 0); err == nil {
		t.Error("an unknown variant is known")
	}
	there.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := shoot(there, ctx, engine.VariantOriginal, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a worker that stands still: %v", err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := shoot(there, context.Background(), engine.VariantOriginal, 0)
		waiting <- err
	}()
	there.signal(syscall.SIGKILL)
	if err := receive(t, waiting); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("a worker that died: %v", err)
	}
	there.step(packets[3])
	shot, err := shoot(there, t.Context(), engine.VariantEnhanced, 0)
	if err != nil || shot.PTS != packets[3].PTS {
		t.Fatalf("the next worker: %v, %v", shot.PTS, err)
	}
	if img, err := jpeg.Decode(bytes.NewReader(shot.JPEG)); err != nil || img.Bounds().Dx() != 160 {
		t.Errorf("the next worker's image: %v", err)
	}
	there.stop()
	if _, err := shoot(there, t.Context(), engine.VariantEnhanced, 0); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("after the end: %v", err)
	}
}

// TestRenditionsAcrossTheSocket: what a worker makes beside the enhanced picture is what a session here makes, when it is
// wanted and only then; the next worker goes on with it, at a keyframe.
func TestRenditionsAcrossTheSocket(t *testing.T) {
	track, packets := footage(t, 50, 25, 1)
	taps, outputs := map[string]*enginetest.RenditionTap{}, map[string]media.Output{}
	for _, name := range []string{engine.RenditionBrowser, engine.RenditionLow, engine.RenditionOriginalLow} {
		taps[name] = enginetest.NewRenditionTap()
		outputs[name] = taps[name]
	}
	r := inWorker(t, track, spec{}, func(c *worker.Config) { c.Session.Renditions = outputs })
	r.client.Want(engine.RenditionOpus, true) // there is no output for it
	step := func(i int, want bool, keyframe bool) {
		t.Helper()
		r.step(packets[i])
		if !want {
			return
		}
		for name, out := range taps {
			p := receive(t, out.Packets)
			if p.PTS != packets[i].PTS || p.Keyframe != keyframe || (p.Enhancer == engine.Lanczos) != (name == engine.RenditionLow) || time.Since(p.Arrival) > patience {
				t.Errorf("%s: packet %d at %v, keyframe %v, by %q", name, i, p.PTS, p.Keyframe, p.Enhancer)
			}
		}
	}
	want := func(on bool) {
		t.Helper()
		for name := range taps {
			r.client.Want(name, on)
		}
		r.settle()
	}
	for i := range 3 {
		step(i, false, false)
	}
	want(true)
	for i := 3; i < 10; i++ {
		step(i, true, i == 3)
	}
	r.signal(syscall.SIGKILL)
	receive(t, r.deaths)
	for i := 10; i < 30; i++ {
		step(i, true, i == 10)
	}
	r.client.Refresh(engine.RenditionBrowser)
	r.client.Refresh(engine.RenditionOriginalLow)
	r.client.RequestKeyframe()
	r.settle()
	step(30, true, true)
	want(false)
	for i := 31; i < 34; i++ {
		step(i, false, false)
	}
	r.stop()
	for name, out := range taps {
		if n := len(out.Packets); n > 0 {
			t.Errorf("%s: %d packets that nobody wanted", name, n)
		}
		if tracks := out.Announced(); len(tracks) != 2 || tracks[0].Width != 160 || tracks[1].Codec != media.H264 {
			t.Errorf("%s: tracks %+v", name, tracks)
		}
	}
	if _, made, drops, _ := r.rec.Result(); len(made) != 34 || len(drops) > 0 {
		t.Errorf("%d pictures, dropped %v", len(made), drops)
	}
}

// TestSoundAcrossTheSocket: sound goes to the worker while Opus is wanted, and is no picture that is missed.
func TestSoundAcrossTheSocket(t *testing.T) {
	track, packets := footage(t, 20, 10, 1)
	opus := enginetest.NewRenditionTap()
	aac := media.Track{ID: 5, Kind: media.Audio, Codec: engine.AAC, ClockRate: 16000, RTP: media.RTPFormat{
		RTPMap: "mpeg4-generic/16000/1", FMTP: map[string]string{"sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "config": "1408"},
	}}
	r := inWorker(t, track, spec{}, func(c *worker.Config) {
		c.Session.Sound, c.Session.Renditions = aac, map[string]media.Output{engine.RenditionOpus: opus}
	})
	// AAC's silence, in 4 bytes: a channel without any band, and the end (ISO/IEC 14496-3 tables 4.4 and 4.50).
	silence := []byte{0, 16, 0, 4 << 3, 0, 0, 0, 7}
	hear := func(i int) {
		r.send(media.Packet{Track: aac.ID, PTS: time.Duration(i) * 64 * time.Millisecond, Data: silence, Marker: true, Keyframe: true})
	}
	for i, p := range packets[:5] {
		hear(i)
		r.step(p)
	}
	r.client.Want(engine.RenditionOpus, true)
	r.settle()
	var heard []media.Packet
	for i, p := range packets[5:] {
		hear(5 + i)
		r.step(p)
	}
	for len(heard) < 40 {
		heard = append(heard, receive(t, opus.Packets))
	}
	if heard[0].PTS != 5*64*time.Millisecond || heard[0].Track != aac.ID || !heard[0].Keyframe {
		t.Errorf("the first packet is %+v", heard[0])
	}
	r.stop()
	if tracks := opus.Announced(); len(tracks) != 1 || tracks[0].Codec != "opus" || tracks[0].RTP.RTPMap != "opus/48000/2" {
		t.Errorf("tracks %+v", tracks)
	}
	if _, made, drops, _ := r.rec.Result(); len(made) != 20 || len(drops) > 0 {
		t.Errorf("%d pictures, dropped %v", len(made), drops)
	}
}
