package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// TestSnapshotShowsTheLatest: the image of an original is of the last picture decoded, also while no enhancer has loaded,
// and a comparison is of two pictures that belong together, also while the enhancer is behind the camera.
func TestSnapshotShowsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			image   JPEGParams
			without int
		)
		shoot := func(s *Session, variant string) (Snapshot, error) {
			image = JPEGParams{}
			return s.Snapshot(t.Context(), variant, 0)
		}
		play(t, script{
			quality: []string{"model"}, loading: 10 * frameTime, enhancing: frameTime - decodeTime,
			onJPEG: func(p JPEGParams) { image = p },
			during: func(s *Session, n int) { // half a picture's time after it came
				original, err := shoot(s, VariantOriginal)
				if err != nil || number(original.PTS) != n || image.Left.Width != 64 || original.Enhancer != "" {
					t.Errorf("original of %d: %d, %v", n, number(original.PTS), err)
				}
				made, err := shoot(s, VariantCompare)
				if n < 20 && errors.Is(err, ErrNoPicture) { // the model loads, and is tried
					without++
					return
				}
				if err != nil || number(made.PTS) != n-1 || made.Enhancer != "model" {
					t.Errorf("comparison of %d: %d by %q, %v", n, number(made.PTS), made.Enhancer, err)
				} else if image.Left.PTS != image.Right.PTS || image.Left.Width != 64 || image.Right.Width != 128 {
					t.Errorf("%v is compared with %v", image.Left.PTS, image.Right.PTS)
				}
			},
		}, 30)
		if without < 10 {
			t.Errorf("only %d pictures without an enhanced one", without)
		}
	})
}

// TestSnapshotDelaysNothing: while an image takes its time, pictures go on, and its own are not taken from under it.
// The next waits its turn, or for its context.
func TestSnapshotDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			shots sync.WaitGroup
			shown []int
		)
		d := play(t, script{
			onJPEG: func(p JPEGParams) {
				before := p.Left.PTS
				time.Sleep(10*frameTime + time.Millisecond)
				if p.Left.PTS != before || p.Right.PTS != before {
					t.Error("the pictures have changed while an image is made of them")
				}
				shown = append(shown, number(before))
			},
			during: func(s *Session, n int) {
				switch n {
				case 5, 6:
					shots.Go(func() {
						if _, err := s.Snapshot(t.Context(), VariantCompare, 0); err != nil {
							t.Error(err)
						}
					})
				case 7:
					shots.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), frameTime)
						defer cancel()
						if _, err := s.Snapshot(ctx, VariantCompare, 0); !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("it did not wait: %v", err)
						}
					})
				}
			},
		}, 60)
		shots.Wait()
		if all, _ := d.shown(); !slices.Equal(all, spans(0, 59)) || len(d.drops) > 0 {
			t.Errorf("came out: %v, dropped %v", all, d.drops)
		}
		if len(shown) != 2 || shown[0] != 5 || shown[1] < 5 || shown[1] > 15 {
			t.Errorf("images of %v", shown)
		}
	})
}

// TestSnapshotKeepsNoFrameFromTheStages: with every queue full, an image that takes for ever and its pictures kept, the
// stages have the frames that they have without.
func TestSnapshotKeepsNoFrameFromTheStages(t *testing.T) {
	busy := script{enhancing: 71 * time.Millisecond, sending: map[int]time.Duration{}}
	for n := 10; n < 60; n += 3 {
		busy.sending[n] = 397 * time.Millisecond
	}
	var want []int
	synctest.Test(t, func(t *testing.T) { want, _ = play(t, busy, 60).shown() })
	synctest.Test(t, func(t *testing.T) {
		var shots sync.WaitGroup
		busy.onJPEG = func(JPEGParams) { time.Sleep(40 * frameTime) }
		busy.during = func(s *Session, n int) {
			if n != 5 {
				return
			}
			for _, variant := range []string{VariantOriginal, VariantCompare} {
				shots.Go(func() {
					if _, err := s.Snapshot(t.Context(), variant, 0); err != nil {
						t.Error(err)
					}
				})
			}
		}
		got, _ := play(t, busy, 60).shown()
		if shots.Wait(); !slices.Equal(got, want) {
			t.Errorf("came out: %v, without snapshots %v", got, want)
		}
	})
}

// TestSnapshotOutlivesTheEnd: a session that ends waits for the image that is being made, and frees its pictures then.
func TestSnapshotOutlivesTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shot sync.WaitGroup
		play(t, script{
			onJPEG: func(p JPEGParams) { time.Sleep(5 * time.Second) },
			during: func(s *Session, n int) {
				if n == 5 {
					shot.Go(func() {
						if _, err := s.Snapshot(t.Context(), VariantEnhanced, 0); err != nil {
							t.Error(err)
						}
					})
				}
			},
		}, 7)
		shot.Wait()
	})
}

// TestSnapshotSize: never larger than the picture is shown, its shape kept, pixels square.
func TestSnapshotSize(t *testing.T) {
	for _, c := range []struct {
		w, h, limit int
		sar         [2]int
		want        [2]int
	}{
		{1280, 720, 0, [2]int{1, 1}, [2]int{1280, 720}},
		{1280, 720, 320, [2]int{0, 1}, [2]int{320, 180}},
		{1280, 720, 5000, [2]int{0, 0}, [2]int{1280, 720}},
		{704, 576, 0, [2]int{16, 11}, [2]int{1024, 576}},
		{704, 576, 512, [2]int{16, 11}, [2]int{512, 288}},
		{704, 576, 0, [2]int{255, 1}, [2]int{704, 576}},
		{720, 1280, 90, [2]int{1, 1}, [2]int{90, 160}},
		{1280, 720, 1, [2]int{1, 1}, [2]int{2, 2}},
		{1280, 720, -3, [2]int{1, 1}, [2]int{1280, 720}},
	} {
		if w, h := snapshotSize(media.Format{Width: c.w, Height: c.h, SAR: c.sar}, c.limit); [2]int{w, h} != c.want {
			t.Errorf("%dx%d %v within %d: %dx%d, want %v", c.w, c.h, c.sar, c.limit, w, h, c.want)
		}
	}
}
