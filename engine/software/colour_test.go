package software_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// coefficients returns Kr and Kb of a matrix (ITU-T H.273 table 4).
func coefficients(m media.Matrix) (kr, kb float64) {
	if m == media.MatrixBT709 {
		return 0.2126, 0.0722
	}
	return 0.299, 0.114
}

// reference is the float64 arithmetic of ITU-T H.273 clause 8.3.
type reference struct {
	kr, kb, yScale, yOffset, cScale float64
}

func newReference(c media.Color) reference {
	kr, kb := coefficients(c.Matrix)
	if c.FullRange {
		return reference{kr, kb, 255, 0, 255}
	}
	return reference{kr, kb, 219, 16, 224}
}

func (r reference) toYCbCr(rgb [3]float64) [3]float64 {
	y := r.kr*rgb[0] + (1-r.kr-r.kb)*rgb[1] + r.kb*rgb[2]
	cb := (rgb[2] - y) / (2 * (1 - r.kb))
	cr := (rgb[0] - y) / (2 * (1 - r.kr))
	return [3]float64{r.yOffset + r.yScale*y, 128 + r.cScale*cb, 128 + r.cScale*cr}
}

func (r reference) toRGB(ycc [3]float64) [3]float64 {
	y := (ycc[0] - r.yOffset) / r.yScale
	cb, cr := (ycc[1]-128)/r.cScale, (ycc[2]-128)/r.cScale
	red, blue := y+2*(1-r.kr)*cr, y+2*(1-r.kb)*cb
	return [3]float64{red, (y - r.kr*red - r.kb*blue) / (1 - r.kr - r.kb), blue}
}

const (
	patch   = 16 // luma pixels; chroma is constant inside, so no resampling of it shows at a patch's centre
	patches = 8
)

// patchwork returns a picture of patches of random colours, and those colours.
func patchwork(t *testing.T, color media.Color) (*media.Frame, [patches * patches][3]float64) {
	t.Helper()
	format := media.Format{Width: patch * patches, Height: patch * patches, Pixel: media.YUV420P, Color: color, SAR: [2]int{1, 1}}
	f := newFrame(t, format)
	ref := newReference(color)
	rng := rand.New(rand.NewPCG(1, 2))
	var colours [patches * patches][3]float64
	for i := range colours {
		colours[i] = [3]float64{rng.Float64(), rng.Float64(), rng.Float64()}
		ycc := ref.toYCbCr(colours[i])
		for plane := range 3 {
			size := patch
			if plane > 0 {
				size /= 2
			}
			px, py := i%patches*size, i/patches*size
			for y := range size {
				for x := range size {
					f.Planes[plane][(py+y)*f.Strides[plane]+px+x] = byte(math.Round(ycc[plane]))
				}
			}
		}
	}
	return f, colours
}

// newFrame returns a frame of its own pool.
func newFrame(t *testing.T, format media.Format) *media.Frame {
	t.Helper()
	pool, err := engine.NewPool(1, &engine.Ledger{OnMisuse: func() { panic("frame released twice") }}, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	f, err := pool.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// centre returns the samples in the middle of a patch of a picture that is scale times as large.
func centre(f *media.Frame, i, scale int) [3]float64 {
	var ycc [3]float64
	for plane := range 3 {
		size := patch * scale
		if plane > 0 {
			size /= 2
		}
		x, y := i%patches*size+size/2, i/patches*size+size/2
		ycc[plane] = float64(f.Planes[plane][y*f.Strides[plane]+x])
	}
	return ycc
}

func psnr(sumSquares float64, n int, peak float64) float64 {
	return 10 * math.Log10(peak*peak/(sumSquares/float64(n)))
}

var colours = []media.Color{
	{Matrix: media.MatrixSMPTE170M}, {Matrix: media.MatrixSMPTE170M, FullRange: true},
	{Matrix: media.MatrixBT709}, {Matrix: media.MatrixBT709, FullRange: true},
	{Matrix: media.MatrixBT470BG},
}

func name(c media.Color) string { return fmt.Sprintf("matrix%d,full=%v", c.Matrix, c.FullRange) }

// TestColourThroughCopyModels: with a model that copies its input, and with Lanczos, every colour comes out as it went
// in, above 45 dB, and a reference with the other matrix or range is clearly worse: so the test would notice.
func TestColourThroughCopyModels(t *testing.T) {
	for _, rung := range []string{"luma-copy-x2", "rgb-copy-x2", engine.Lanczos} {
		for _, c := range colours {
			t.Run(rung+"/"+name(c), func(t *testing.T) {
				in, want := patchwork(t, c)
				out := enhanceOne(t, rung, in, 2)
				defer out.Release()
				if out.Color != c {
					t.Fatalf("colour %+v became %+v", c, out.Color)
				}
				right, wrongMatrix, wrongRange := distance(out, want, c), distance(out, want, otherMatrix(c)), distance(out, want, otherRange(c))
				if right < 45 {
					t.Errorf("%.1f dB", right)
				}
				if wrongMatrix > 35 || wrongRange > 35 {
					t.Errorf("the test is blind: %.1f dB with the wrong matrix, %.1f with the wrong range", wrongMatrix, wrongRange)
				}
			})
		}
	}
}

// distance compares a picture with what the reference makes of the colours, in dB.
func distance(f *media.Frame, want [patches * patches][3]float64, c media.Color) float64 {
	ref, sum := newReference(c), 0.0
	for i, rgb := range want {
		got, exact := centre(f, i, 2), ref.toYCbCr(rgb)
		for k := range 3 {
			sum += (got[k] - exact[k]) * (got[k] - exact[k])
		}
	}
	return psnr(sum, 3*len(want), 255)
}

func otherMatrix(c media.Color) media.Color {
	if c.Matrix == media.MatrixBT709 {
		c.Matrix = media.MatrixSMPTE170M
	} else {
		c.Matrix = media.MatrixBT709
	}
	return c
}

func otherRange(c media.Color) media.Color {
	c.FullRange = !c.FullRange
	return c
}

func enhanceOne(t *testing.T, rung string, in *media.Frame, scale float64) *media.Frame {
	t.Helper()
	e, err := device(t).NewEnhancer(t.Context(), engine.EnhancerParams{
		Rung: rung, In: in.Format, Out: engine.OutputRule{Scale: scale}.Format(in.Format, 2), Threads: 1, Frames: 1, Ledger: &engine.Ledger{},
	})
	if err != nil {
		in.Release()
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	var out *media.Frame
	if err := e.Send(in, func(f *media.Frame) error { out = f; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestColourOfRGB: what a network on RGB is fed is the colour that a player would show, not only something that
// comes back the same.
func TestColourOfRGB(t *testing.T) {
	for _, c := range colours {
		t.Run(name(c), func(t *testing.T) {
			in, _ := patchwork(t, c)
			defer in.Release()
			rgb := make([]float32, 3*in.Width*in.Height)
			to := ffmpeg.Picture{Width: in.Width, Height: in.Height, Pixel: ffmpeg.RGBFloat, Color: media.Color{Matrix: media.MatrixBT709, FullRange: true}}
			s, err := ffmpeg.NewScaler(ffmpeg.PictureOf(in.Format), to, ffmpeg.ConvertExact, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.ToRGB(rgb, ffmpeg.Native(in)); err != nil {
				t.Fatal(err)
			}
			sum := 0.0
			for i := range patches * patches {
				exact := newReference(c).toRGB(centre(in, i, 1))
				x, y := i%patches*patch+patch/2, i/patches*patch+patch/2
				for k := range 3 {
					got := float64(rgb[k*in.Width*in.Height+y*in.Width+x])
					d := got - min(1, max(0, exact[k]))
					sum += d * d
				}
			}
			if db := psnr(sum, 3*patches*patches, 1); db < 45 {
				t.Errorf("%.1f dB", db)
			}
		})
	}
}

// TestModelErrors: each unusable model is refused with its name and what is wrong with it.
func TestModelErrors(t *testing.T) {
	d := device(t)
	for model, want := range map[string]string{
		"bad-two-inputs":  "2 inputs",
		"bad-int64-input": "int64",
		"bad-scale":       "whole multiple",
		"truncated":       "cannot be read",
		"absent":          "models:",
		"unheard-of":      "not known",
	} {
		_, err := d.Inspect(t.Context(), model)
		if err == nil || !strings.Contains(err.Error(), model) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", model, err, want)
		}
	}
	if info, err := d.Inspect(t.Context(), "luma-copy-x1"); err != nil || info.Scale != 1 {
		t.Errorf("luma-copy-x1: %+v, %v", info, err)
	}
	if info, err := d.Inspect(t.Context(), "rgb-copy-x2"); err != nil || info.Scale != 2 {
		t.Errorf("rgb-copy-x2: %+v, %v", info, err)
	}
}
