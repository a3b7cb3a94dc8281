package software

import (
	"testing"

	"rave/engine/media"
)

func TestThreadsFor(t *testing.T) {
	for _, c := range []struct {
		w, h  int
		fps   float64
		limit int
		want  int
	}{
		{1280, 720, 30, 8, 1}, {1280, 720, 25, 2, 1}, {1920, 1080, 25, 8, 2}, {1920, 1080, 60, 8, 5}, {3840, 2160, 25, 16, 8},
		{3840, 2160, 25, 2, 2}, {64, 48, 5, 8, 1}, {1280, 720, 0, 8, 1}, {3840, 2160, 60, 1, 1},
	} {
		if got := threadsFor(media.Format{Width: c.w, Height: c.h}, c.fps, c.limit); got != c.want {
			t.Errorf("%dx%d at %v, limit %d: %d, want %d", c.w, c.h, c.fps, c.limit, got, c.want)
		}
	}
}
