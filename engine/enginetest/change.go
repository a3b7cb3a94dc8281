package enginetest

import (
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// parameterSets: in mid-stream the size, the profile and the colours change, in all orders. No picture is lost, every one
// is what its own stream gives alone, and readers get a keyframe with parameter sets that say so.
func (s suite) parameterSets(t *testing.T) {
	for codec, names := range map[media.Codec][]string{
		media.H264: {H264, Odd, H264, Baseline, BT709, FullRange, TenBit, Odd, Interlaced, H264},
		media.H265: {H265, H265Odd, H265, H265TenBit, H265BT709, H265Odd, H265TenBit, H265},
	} {
		t.Run(string(codec), func(t *testing.T) { s.changes(t, names) })
	}
}

func (s suite) changes(t *testing.T, names []string) {
	var (
		packets []media.Packet
		want    []picture
	)
	track, _ := Stream(t, names[0])
	for _, name := range names {
		alone, more := Stream(t, name)
		want = append(want, decode(t, s.decoder(t, alone, true), more)...)
		for i := range more {
			more[i].PTS += time.Duration(len(packets)) * frameTime
			more[i].Discontinuity = false
		}
		packets = append(packets, more...)
	}
	r := NewRecorder(nil)
	Replay(t, Config(t, s.device, track, r), r, packets)
	_, made, drops, _ := r.Result()
	if len(made) != len(packets) || len(drops) != 0 {
		t.Fatalf("%d packets of %d, drops %v", len(made), len(packets), drops)
	}
	got := s.view(t, made)
	if len(got) != len(want) {
		t.Fatalf("%d pictures of %d", len(got), len(want))
	}
	for i, p := range got {
		w := want[i]
		if p.Width != 2*w.Width || p.Height != 2*w.Height || p.Color.Matrix != w.Color.Matrix || p.Color.FullRange != w.Color.FullRange {
			t.Errorf("picture %d is %s %+v of %s %+v", i, p.Size(), p.Color, w.Size(), w.Color)
		}
		if math.Abs(p.mean-w.mean) > 2 {
			t.Errorf("picture %d has mean luma %.1f; its own stream gives %.1f", i, p.mean, w.mean)
		}
		if i > 0 && want[i-1].Format != w.Format && (!made[i].Keyframe || media.SequenceSets(media.H264, made[i].Data) == nil) {
			t.Errorf("packet %d has a new format and is no keyframe with parameter sets", i)
		}
	}
}

// rescaled: a sender that changes its size for a while, as browsers do, changes nothing for readers; one that stays with
// another size is followed.
func (s suite) rescaled(t *testing.T) {
	track, small := Stream(t, H264)
	twice := NewRecorder(nil)
	Replay(t, Config(t, s.device, track, twice), twice, small)
	_, large, _, _ := twice.Result()
	var packets []media.Packet
	for _, part := range [][]media.Packet{small, large, small} {
		for _, p := range part {
			p.PTS += time.Duration(len(packets)/pictures*pictures) * frameTime
			p.Discontinuity, p.Arrival = len(packets) == 0, time.Now()
			packets = append(packets, p)
		}
	}
	for name, c := range map[string]struct {
		steady  time.Duration
		changes []int // pictures from which on the size is another one
	}{
		"at once":       {0, []int{pictures, 2 * pictures}},
		"for a while":   {pictures * frameTime, nil},
		"for some time": {10 * frameTime, []int{pictures + 10, 2*pictures + 10}},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRecorder(nil)
			cfg := Config(t, s.device, track, r)
			cfg.SteadySize = c.steady
			Replay(t, cfg, r, packets)
			tracks, made, drops, _ := r.Result()
			if len(made) != len(packets) || len(drops) != 0 || len(tracks) != 1+len(c.changes) {
				t.Fatalf("%d packets of %d, drops %v, %d tracks", len(made), len(packets), drops, len(tracks))
			}
			got, want := s.view(t, made), decode(t, s.decoder(t, track, false), small)
			var changes []int
			for i, p := range got {
				if i > 0 && p.Format != got[i-1].Format {
					changes = append(changes, i)
				}
				if w := want[i%pictures]; math.Abs(p.mean-w.mean) > 2 {
					t.Errorf("picture %d has mean luma %.1f; the stream has %.1f", i, p.mean, w.mean)
				}
			}
			if !slices.Equal(changes, c.changes) || got[0].Width != 2*width160 {
				t.Errorf("the size changes at %v, want %v; the first is %s", changes, c.changes, got[0].Size())
			}
		})
	}
}

// hugeOutput: an enhanced picture above the limit is not made, and the error names the stream, the size and the fix.
func (s suite) hugeOutput(t *testing.T) {
	track, packets := Stream(t, H264)
	for scale, refused := range map[float64]bool{8: true, 2: false} {
		r := &refusals{Recorder: NewRecorder(nil)}
		cfg := Config(t, s.device, track, r.Recorder)
		cfg.Stream, cfg.Observer, cfg.Replay = "cam", r, true
		cfg.Output.Scale, cfg.MaxPixels = scale, 640*384 // four times the camera's
		session := engine.New(cfg, r)
		for _, p := range packets {
			session.Send(t.Context(), p)
		}
		session.CloseInput()
		err := session.Run(t.Context())
		_, made, _, _ := r.Result()
		const want = "stream cam: the enhanced picture would have 1280x768 pixels, and max_pixels is 245760; lower output.scale"
		switch {
		case !refused && (err != nil || len(made) != pictures):
			t.Errorf("scale %v: %d packets, %v", scale, len(made), err)
		case refused && (err == nil || !strings.HasPrefix(err.Error(), want) || len(made) != 0 || r.err == nil):
			t.Errorf("scale %v: %d packets, %v, observed %v", scale, len(made), err, r.err)
		}
	}
}

// refusals keeps what readers are told.
type refusals struct {
	*Recorder
	mu  sync.Mutex
	err error
}

// RungLoaded implements engine.Observer.
func (r *refusals) RungLoaded(_ string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	}
}

// quiet is a logger for tests in which errors come by the thousand.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
