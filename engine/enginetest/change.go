package enginetest

import (
	"log/slog"
	"math"
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
