package engine

import (
	"testing"
	"time"

	"rave/engine/media"
)

func TestSteadySize(t *testing.T) {
	const second = time.Second
	format := func(w, h int) media.Format {
		return media.Format{Width: w, Height: h, Pixel: media.YUV420P, Color: media.Color{Matrix: media.MatrixBT709, Primaries: 2, Transfer: 2}}
	}
	hd := format(1280, 720)
	guessed, said, wide := format(640, 360), format(640, 360), format(640, 360)
	guessed.Color.Matrix = media.MatrixSMPTE170M
	said.Color.Matrix, said.Color.Primaries = media.MatrixSMPTE170M, 6
	wide.SAR = [2]int{4, 3}
	type step struct {
		at     time.Duration
		format media.Format
		keeps  bool
	}
	for name, c := range map[string]struct {
		in       media.Format
		patience time.Duration
		steps    []step
	}{
		"off":                    {hd, 0, []step{{0, hd, false}, {1, format(640, 360), false}}},
		"the first picture":      {media.Format{}, second, []step{{0, hd, false}}},
		"soon back":              {hd, second, []step{{0, guessed, true}, {second - 1, guessed, true}, {second, hd, false}, {second + 1, guessed, true}, {2 * second, guessed, true}}},
		"it stays":               {hd, second, []step{{5, guessed, true}, {second + 4, guessed, true}, {second + 5, guessed, false}}},
		"never two alike":        {hd, second, []step{{0, guessed, true}, {second - 1, format(960, 540), true}, {second, guessed, true}, {2*second - 1, guessed, true}}},
		"rounded":                {hd, second, []step{{0, format(424, 240), true}, {1, format(320, 184), false}}},
		"turned":                 {hd, second, []step{{0, format(720, 1280), false}}},
		"other colours":          {hd, second, []step{{0, said, false}}},
		"other shape of samples": {hd, second, []step{{0, wide, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			var s steady
			for i, st := range c.steps {
				f := &media.Frame{Format: st.format, Meta: media.Meta{PTS: st.at}}
				if got := s.keeps(c.in, f, c.patience); got != st.keeps {
					t.Errorf("step %d: %v", i, got)
				}
			}
		})
	}
}
