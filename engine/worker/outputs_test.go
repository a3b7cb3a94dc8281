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
