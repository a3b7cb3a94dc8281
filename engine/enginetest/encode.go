package enginetest

import (
	"errors"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// pictures decodes a stream and hands each picture to use, which owns it.
func (s suite) pictures(t *testing.T, name string, use func(i int, f *media.Frame)) {
	t.Helper()
	track, packets := Stream(t, name)
	d := s.decoder(t, track, false)
	i := 0
	emit := func(f *media.Frame) error {
		use(i, f)
		i++
		return nil
	}
	for _, p := range packets {
		if err := d.Send(p, emit); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Flush(emit); err != nil {
		t.Fatal(err)
	}
}

func (s suite) encoder(t *testing.T, in media.Format, bitrate int) engine.Encoder {
	t.Helper()
	e, err := s.device.NewEncoder(engine.EncoderParams{
		In: in, Track: 3, Preset: "superfast", Bitrate: bitrate, FrameRate: 25, Threads: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// encode: one access unit for each picture at once, keyframes only where asked for, each with its parameter sets, and
// everything that travels with a picture kept; what comes out decodes to the same colours.
func (s suite) encode(t *testing.T) {
	for _, name := range []string{H264, FullRange, BT709, Odd} {
		t.Run(name, func(t *testing.T) {
			var (
				enc    engine.Encoder
				made   []media.Packet
				sent   []media.Meta
				format media.Format
				means  []float64
			)
			s.pictures(t, name, func(i int, f *media.Frame) {
				if enc == nil {
					format = f.Format
					enc = s.encoder(t, format, 500_000)
				}
				if i == 0 || i == 17 {
					enc.RequestKeyframe()
				}
				f.Enhancer = "somebody"
				sent = append(sent, f.Meta)
				means = append(means, mean(f))
				if err := enc.Send(f, func(p media.Packet) error { made = append(made, p); return nil }); err != nil {
					t.Fatal(err)
				}
				if len(made) != i+1 {
					t.Fatalf("%d packets after %d pictures: the encoder delays", len(made), i+1)
				}
			})
			if err := enc.Flush(func(media.Packet) error { return errors.New("a packet more than pictures") }); err != nil {
				t.Fatal(err)
			}
			for i, p := range made {
				if p.Keyframe != (i == 0 || i == 17) || p.Track != 3 {
					t.Errorf("packet %d: keyframe %v, track %d", i, p.Keyframe, p.Track)
				}
				if p.PTS != sent[i].PTS || p.Arrival != sent[i].Arrival || p.Enhancer != "somebody" {
					t.Errorf("packet %d: %+v of %+v", i, p, sent[i])
				}
				if sets := count(p.Data, 7, 8); sets != 2 && p.Keyframe || sets != 0 && !p.Keyframe {
					t.Errorf("packet %d has %d parameter sets", i, sets)
				}
			}
			got := decode(t, s.decoder(t, media.Track{Kind: media.Video, Codec: media.H264}, false), made)
			if len(got) != len(made) {
				t.Fatalf("%d of %d packets decode", len(got), len(made))
			}
			for i, p := range got {
				if p.Color.Matrix != format.Color.Matrix || p.Color.FullRange != format.Color.FullRange || p.Size() != format.Size() {
					t.Fatalf("picture %d: %s %+v of %s %+v", i, p.Size(), p.Color, format.Size(), format.Color)
				}
				if diff := p.mean - means[i]; diff < -2 || diff > 2 {
					t.Errorf("picture %d: mean luma %.1f of %.1f", i, p.mean, means[i])
				}
			}
		})
	}
}

// count returns how many NAL units of an H.264 access unit have one of the types.
func count(data []byte, types ...byte) int {
	n := 0
	for u := range media.NALUs(data) {
		for _, t := range types {
			if u[0]&0x1f == t {
				n++
			}
		}
	}
	return n
}

// encodeRate: at any frame rate SetRate holds the bitrate, and no keyframe is made for it.
func (s suite) encodeRate(t *testing.T) {
	const bitrate = 150_000
	for _, fps := range []int{25, 5} {
		var (
			enc   engine.Encoder
			bytes int
			n     int
		)
		emit := func(p media.Packet) error {
			if p.Keyframe != (n == 0) {
				t.Errorf("%d fps: picture %d: keyframe %v", fps, n, p.Keyframe)
			}
			if n >= 30 { // the start is not the rate
				bytes += len(p.Data)
			}
			n++
			return nil
		}
		for range 4 {
			s.pictures(t, H264, func(_ int, f *media.Frame) {
				if enc == nil {
					enc = s.encoder(t, f.Format, bitrate)
					enc.RequestKeyframe()
					enc.SetRate(bitrate, float64(fps))
				}
				f.PTS = time.Duration(n) * time.Second / time.Duration(fps)
				if err := enc.Send(f, emit); err != nil {
					t.Fatal(err)
				}
			})
		}
		rate := float64(bytes*8) / (float64(n-30) / float64(fps))
		if rate < 0.7*bitrate || rate > 1.3*bitrate {
			t.Errorf("%d fps: %.0f b/s of %d", fps, rate, bitrate)
		}
	}
}
