// Package enginetest checks that a backend keeps the promises that the engine relies on. Every backend runs the same
// suite.
package enginetest

import (
	"context"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Run checks a device. Models are named in models: each is a copy model that the device must be able to load.
func Run(t *testing.T, device engine.Device, models ...string) {
	s := suite{device: device, models: models}
	t.Run("Probe", s.probe)
	t.Run("Decode", s.decodeAll)
	t.Run("DecodeDamaged", s.decodeDamaged)
	t.Run("DecodeNewSize", s.decodeNewSize)
	t.Run("DecodeNewPixelFormat", s.decodeNewPixels)
	t.Run("DecodeEqualTimes", s.decodeEqualTimes)
	t.Run("DecodeHuge", s.decodeHuge)
	t.Run("DecodeSkipsNonReference", s.decodeSkips)
	t.Run("Enhance", s.enhanceAll)
	t.Run("EnhanceEndsWithItsContext", s.enhanceCancelled)
	t.Run("EnhanceUnknownModel", s.enhanceUnknown)
	t.Run("Encode", s.encode)
	t.Run("EncodeHoldsBitrate", s.encodeRate)
	t.Run("JPEGColours", s.jpegColours)
	t.Run("JPEGCompare", s.jpegCompare)
	t.Run("Session", s.sessions)
	t.Run("SessionSnapshots", s.snapshots)
	t.Run("SessionRenditions", s.renditions)
	t.Run("SessionRenditionsFollow", s.renditionsFollow)
	t.Run("OpusRefuses", s.opusRefuses)
	t.Run("SessionRepeats", s.repeats)
	t.Run("SessionHidesDamage", s.damage)
	t.Run("SessionFollowsParameterSets", s.parameterSets)
	t.Run("SessionKeepsItsSize", s.rescaled)
	t.Run("SessionOutlivesGarbage", s.garbage)
	t.Run("SessionRefusesHugeOutput", s.hugeOutput)
}

type suite struct {
	device engine.Device
	models []string
}

func (s suite) probe(t *testing.T) {
	if caps := s.device.Probe(t.Context()); caps != (engine.Caps{}) {
		t.Errorf("not everything works: %+v", caps)
	}
}

// ledger counts frames and fails the test if one is left over or released twice.
func ledger(t *testing.T) *engine.Ledger {
	l := &engine.Ledger{OnMisuse: func() { panic("frame released twice") }}
	t.Cleanup(func() {
		if n := l.InUse(); n != 0 {
			t.Errorf("%d frames were not released", n)
		}
	})
	return l
}

func (s suite) decoder(t *testing.T, track media.Track, deinterlace bool) engine.Decoder {
	t.Helper()
	d, err := s.device.NewDecoder(t.Context(), engine.DecoderParams{
		Track: track, Threads: 2, Deinterlace: deinterlace, Frames: 2, Ledger: ledger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// picture is what is left of a frame after its release.
type picture struct {
	media.Meta
	media.Format
	mean float64 // of luma
	sum  uint32  // of all samples
}

func collect(into *[]picture) func(*media.Frame) error {
	return func(f *media.Frame) error {
		defer f.Release()
		*into = append(*into, picture{Meta: f.Meta, Format: f.Format, mean: mean(f), sum: checksum(f)})
		return nil
	}
}

func mean(f *media.Frame) float64 {
	if f.Planes[0] == nil {
		return 0 // GPU memory
	}
	sum := 0
	for y := range f.Height {
		for _, v := range f.Planes[0][y*f.Strides[0]:][:f.Width] {
			sum += int(v)
		}
	}
	return float64(sum) / float64(f.Width*f.Height)
}

// checksum is a CRC of all samples in host memory.
func checksum(f *media.Frame) uint32 {
	sum := crc32.NewIEEE()
	for i, plane := range f.Planes {
		w, h := f.Width, f.Height
		if i > 0 {
			w, h = (w+1)/2, (h+1)/2
		}
		for y := 0; y < h && plane != nil; y++ {
			_, _ = sum.Write(plane[y*f.Strides[i]:][:w]) // a hash never fails
		}
	}
	return sum.Sum32()
}

// decode decodes packets and flushes.
func decode(t *testing.T, d engine.Decoder, packets []media.Packet) []picture {
	t.Helper()
	var got []picture
	for i, p := range packets {
		if err := d.Send(p, collect(&got)); err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
	}
	if err := d.Flush(collect(&got)); err != nil {
		t.Fatal(err)
	}
	return got
}

func (s suite) decodeAll(t *testing.T) {
	for name, want := range map[string]struct {
		size   string
		matrix media.Matrix
		full   bool
		input  string // what the plan line says
		delay  int    // pictures held back, at most
	}{
		H264:        {"160x96", media.MatrixSMPTE170M, false, "h264 160x96 yuv420p, BT.601 limited range", 0},
		Baseline:    {"160x96", media.MatrixSMPTE170M, false, "h264", 0},
		BFrames:     {"160x96", media.MatrixSMPTE170M, false, "B-frames delay it by", largestDelay},
		Odd:         {"162x90", media.MatrixSMPTE170M, false, "162x90", 0},
		TenBit:      {"160x96", media.MatrixSMPTE170M, false, "yuv420p10le, BT.601 limited range, converted to yuv420p", 0},
		FourTwoTwo:  {"160x96", media.MatrixSMPTE170M, false, "yuv422p, BT.601 limited range, converted to yuv420p", 0},
		Gray:        {"160x96", media.MatrixSMPTE170M, true, "full range kept", 0},
		FullRange:   {"160x96", media.MatrixSMPTE170M, true, "full range kept", 0},
		BT709:       {"160x96", media.MatrixBT709, false, "BT.709", 0},
		Interlaced:  {"160x96", media.MatrixSMPTE170M, false, "deinterlaced by bwdif", 2},
		Slices:      {"160x96", media.MatrixSMPTE170M, false, "h264", 0},
		Refresh:     {"160x96", media.MatrixSMPTE170M, false, "h264", 0},
		H265:        {"160x96", media.MatrixSMPTE170M, false, "h265", 0},
		H265Odd:     {"168x88", media.MatrixSMPTE170M, false, "h265", 0},
		H265BT709:   {"160x96", media.MatrixBT709, false, "h265", 0},
		H265BFrames: {"160x96", media.MatrixSMPTE170M, false, "B-frames delay it by", largestDelay},
		H265TenBit:  {"160x96", media.MatrixSMPTE170M, false, "yuv420p10le, BT.601 limited range, converted to yuv420p", 0},
		MJPEG420:    {"160x96", media.MatrixBT470BG, true, "full range kept", 0},
		MJPEG422:    {"160x96", media.MatrixBT470BG, true, "full range kept, converted to yuv420p", 0},
	} {
		t.Run(name, func(t *testing.T) {
			track, packets := Stream(t, name)
			d := s.decoder(t, track, true)
			var got []picture
			for i, p := range packets {
				if err := d.Send(p, collect(&got)); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				if held := i + 1 - len(got); held > want.delay {
					t.Fatalf("%d pictures held back after packet %d; at most %d", held, i, want.delay)
				}
			}
			if err := d.Flush(collect(&got)); err != nil {
				t.Fatal(err)
			}
			if len(got) != len(packets) || len(got) != pictures {
				t.Fatalf("%d pictures of %d packets", len(got), len(packets))
			}
			for i, p := range got {
				if p.PTS != time.Duration(i)*frameTime || p.Arrival.IsZero() || p.Damaged {
					t.Errorf("picture %d: %+v", i, p.Meta)
				}
				if p.Size() != want.size || p.Color.Matrix != want.matrix || p.Color.FullRange != want.full {
					t.Fatalf("picture %d: %s %+v", i, p.Size(), p.Color)
				}
				if p.mean < 30 || p.mean > 220 {
					t.Errorf("picture %d has mean luma %.0f: it is empty", i, p.mean)
				}
			}
			if !strings.Contains(d.Input(), want.input) {
				t.Errorf("input %q does not say %q", d.Input(), want.input)
			}
		})
	}
}

// decodeDamaged: an access unit of junk, and one cut short, cost no more than themselves.
func (s suite) decodeDamaged(t *testing.T) {
	track, packets := Stream(t, H264)
	d := s.decoder(t, track, false)
	var got []picture
	packets[5].Data = []byte{0, 0, 0, 1, 0x65, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	packets[8].Data = packets[8].Data[:len(packets[8].Data)/2]
	packets[9].Data = nil
	for _, p := range packets {
		_ = d.Send(p, collect(&got)) // errors are allowed, crashes and lost later pictures are not
	}
	_ = d.Flush(collect(&got))
	after := slices.IndexFunc(got, func(p picture) bool { return p.PTS == packets[20].PTS })
	if after < 0 || len(got)-after != pictures-20 {
		t.Fatalf("%d pictures; the third group of pictures is not complete", len(got))
	}
	for _, p := range got[after:] {
		if p.Damaged {
			t.Errorf("picture at %v is marked damaged, after a new keyframe", p.PTS)
		}
	}
}

func (s suite) decodeNewSize(t *testing.T) {
	track, packets := Stream(t, H264)
	_, other := Stream(t, Odd)
	for i := range other {
		other[i].PTS += pictures * frameTime
	}
	got := decode(t, s.decoder(t, track, false), append(packets, other...))
	if len(got) != 2*pictures || got[pictures-1].Size() != "160x96" || got[pictures].Size() != "162x90" {
		t.Errorf("%d pictures", len(got))
	}
}

// decodeNewPixels: interlaced pictures that change from 4:2:0 to 4:2:2 and back at the same size come out as each
// stream's do by itself.
func (s suite) decodeNewPixels(t *testing.T) {
	var (
		track   media.Track
		packets []media.Packet
		want    []picture
	)
	for i, name := range []string{Interlaced, Interlaced422, Interlaced} {
		alone, more := Stream(t, name)
		for j := range more {
			more[j].PTS += time.Duration(i) * pictures * frameTime
		}
		track, packets = alone, append(packets, more...)
		want = append(want, decode(t, s.decoder(t, alone, true), more)...)
	}
	got := decode(t, s.decoder(t, track, true), packets)
	if len(got) != len(want) {
		t.Fatalf("%d pictures of %d", len(got), len(want))
	}
	for i, p := range got {
		if p.sum != want[i].sum {
			t.Errorf("picture %d differs from that of its stream alone", i)
		}
	}
}

// decodeEqualTimes: a camera that gives two pictures one time does not lose what travels with the second.
func (s suite) decodeEqualTimes(t *testing.T) {
	for _, name := range []string{H264, BFrames, Interlaced} {
		track, packets := Stream(t, name)
		for i := range packets {
			packets[i].PTS = packets[i].PTS / (2 * frameTime) * (2 * frameTime)
		}
		for i, p := range decode(t, s.decoder(t, track, true), packets) {
			if p.Arrival.IsZero() {
				t.Errorf("%s: picture %d has lost its arrival", name, i)
			}
		}
	}
}

// decodeHuge: the size in a few bytes of a hostile stream must not decide how much memory is taken.
func (s suite) decodeHuge(t *testing.T) {
	track, packets := Stream(t, Huge)
	d := s.decoder(t, track, false)
	var got []picture
	err := errors.Join(d.Send(packets[0], collect(&got)), d.Flush(collect(&got)))
	if err == nil || len(got) != 0 {
		t.Errorf("%d pictures, %v", len(got), err)
	}
}

func (s suite) decodeSkips(t *testing.T) {
	track, packets := Stream(t, BFrames)
	d := s.decoder(t, track, false)
	d.SkipNonReference(true)
	if got := decode(t, d, packets); len(got) == 0 || len(got) >= pictures {
		t.Errorf("%d of %d pictures although non-reference pictures are skipped", len(got), pictures)
	}
}

// frame returns one decoded picture that the caller owns.
func (s suite) frame(t *testing.T, name string) *media.Frame {
	t.Helper()
	track, packets := Stream(t, name)
	var frame *media.Frame
	err := s.decoder(t, track, false).Send(packets[0], func(f *media.Frame) error { frame = f; return nil })
	if err != nil || frame == nil {
		t.Fatalf("no picture: %v", err)
	}
	return frame
}

func (s suite) enhanceAll(t *testing.T) {
	for _, rung := range append([]string{engine.Lanczos}, s.models...) {
		for _, name := range []string{H264, Odd, FullRange} {
			for _, scale := range []float64{2, 1.5, 1, 3} {
				t.Run(rung+"/"+name, func(t *testing.T) { s.enhance(t, rung, name, scale) })
			}
		}
	}
}

func (s suite) enhance(t *testing.T, rung, name string, scale float64) {
	in := s.frame(t, name)
	want := engine.OutputRule{Scale: scale}.Format(in.Format, 2)
	e, err := s.device.NewEnhancer(t.Context(), engine.EnhancerParams{
		Rung: rung, In: in.Format, Out: want, Threads: 2, Frames: 1, Ledger: ledger(t),
	})
	if err != nil {
		in.Release()
		t.Fatal(err)
	}
	defer e.Close()
	inMean, meta := mean(in), in.Meta
	var got []picture
	if err := errors.Join(e.Send(in, collect(&got)), e.Flush(collect(&got))); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Format != want || got[0].Meta != meta {
		t.Fatalf("got %+v, want one picture %+v %+v", got, want, meta)
	}
	if diff := got[0].mean - inMean; diff < -1 || diff > 1 {
		t.Errorf("mean luma went from %.1f to %.1f", inMean, got[0].mean)
	}
}

// enhanceCancelled: once the context has ended, Send returns soon and keeps no frame.
func (s suite) enhanceCancelled(t *testing.T) {
	in := s.frame(t, H264)
	ctx, cancel := context.WithCancel(t.Context())
	out := engine.OutputRule{Scale: 2}.Format(in.Format, 2)
	e, err := s.device.NewEnhancer(ctx, engine.EnhancerParams{
		Rung: s.models[0], In: in.Format, Out: out, Threads: 1, Frames: 1, Ledger: ledger(t),
	})
	if err != nil {
		in.Release()
		t.Fatal(err)
	}
	defer e.Close()
	var held *media.Frame
	if err := e.Send(in, func(f *media.Frame) error { held = f; return nil }); err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	cancel()
	if err := e.Send(s.frame(t, H264), func(f *media.Frame) error { f.Release(); return nil }); err == nil {
		t.Error("Send worked although its context has ended and no frame is free")
	}
}

func (s suite) enhanceUnknown(t *testing.T) {
	format := media.Format{Width: 64, Height: 48, Pixel: media.YUV420P}
	_, err := s.device.NewEnhancer(t.Context(), engine.EnhancerParams{
		Rung: "no-such-model", In: format, Out: format, Threads: 1, Frames: 1, Ledger: ledger(t),
	})
	if err == nil || !strings.Contains(err.Error(), "no-such-model") || !strings.Contains(err.Error(), "models:") {
		t.Errorf("the error must name the model and the fix: %v", err)
	}
}
