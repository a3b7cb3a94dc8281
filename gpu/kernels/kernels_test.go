package kernels_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"rave/engine/media"
	"rave/gpu/kernels"
)

var colours = []media.Color{
	{Matrix: media.MatrixSMPTE170M}, {Matrix: media.MatrixBT709}, {Matrix: media.MatrixBT2020},
	{Matrix: media.MatrixBT470BG, FullRange: true}, {Matrix: media.MatrixBT709, FullRange: true}, {Matrix: media.MatrixBT2020, FullRange: true},
}

// near fails the test at the first of the values that is further than most from what it should be.
func near(t *testing.T, what string, got, want []float64, most float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= most) {
			t.Fatalf("%s: value %d is %v, want %v within %v", what, i, got[i], want[i], most)
		}
	}
}

// exact is how far a value that is rounded to whole numbers may be from what it was rounded from: nearer than one LSB.
const exact = 0.5 + 1e-3

// pictures compares a picture with unrounded planes.
func pictures(t *testing.T, what string, got picture, want [3][]float64) {
	t.Helper()
	for plane, values := range want {
		clamped := slices.Clone(values)
		have := make([]float64, len(values))
		for i := range clamped {
			clamped[i] = min(max(clamped[i], 0), float64(top(got.pixel)))
			have[i] = float64(got.planes[plane][i])
		}
		near(t, fmt.Sprintf("%s: plane %d", what, plane), have, clamped, exact)
	}
}

func TestInput(t *testing.T) {
	sizes := []struct{ width, height, padW, padH int }{
		{128, 32, 128, 32}, {96, 34, 112, 40}, {101, 37, 101, 37}, {66, 18, 70, 20}, {1, 1, 4, 2}, {2, 2, 2, 2}, {1040, 10, 1040, 12},
	}
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(1, 2))
		n := 0
		for _, pixel := range []kernels.Pixel{kernels.NV12, kernels.P010} {
			for _, element := range []kernels.Element{kernels.Uint8, kernels.Float16, kernels.Float32} {
				for layout := range 8 {
					for _, size := range sizes {
						tensor := kernels.Tensor{
							Type: element, RGB: layout&1 != 0, Interleaved: layout&2 != 0, Fold: 1 + layout>>2,
							Size: kernels.Size{Width: size.padW, Height: size.padH},
						}
						if size.padW%tensor.Fold != 0 || size.padH%tensor.Fold != 0 {
							continue
						}
						testInput(t, g, random(rng, pixel, size.width, size.height), tensor, colours[n%len(colours)])
						n++
					}
				}
			}
		}
	})
}

func testInput(t *testing.T, g *gpu, p picture, tensor kernels.Tensor, c media.Color) {
	t.Helper()
	memory := g.alloc(t, tensor.Need())
	tensor.Ptr, tensor.Bytes = memory.Ptr(), memory.Len()
	g.check(t, g.kernels.Input(g.stream, tensor, g.upload(t, p).Surface, c))
	data := make([]byte, memory.Len())
	g.check(t, g.stream.Download(data, memory.Ptr()))
	g.check(t, g.stream.Sync())
	most := map[kernels.Element]float64{kernels.Uint8: exact / 255, kernels.Float16: 1. / 4096 * 1.01, kernels.Float32: 2e-6}[tensor.Type]
	what := fmt.Sprintf("%v %v to %v, rgb %v, interleaved %v, fold %d, %v, %+v", p.Size, p.pixel, tensor.Type, tensor.RGB, tensor.Interleaved,
		tensor.Fold, tensor.Size, c)
	near(t, what, decode(tensor.Type, data), inputOf(p, tensor, c), most)
}

func TestOutputRGB(t *testing.T) {
	sizes := []struct{ width, height, padW, padH int }{
		{128, 32, 128, 32}, {96, 34, 112, 40}, {101, 37, 101, 37}, {2, 2, 2, 2}, {300, 50, 300, 50}, {1, 1, 3, 1},
	}
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(3, 4))
		n := 0
		for _, pixel := range []kernels.Pixel{kernels.NV12, kernels.P010} {
			for _, element := range []kernels.Element{kernels.Uint8, kernels.Float16, kernels.Float32} {
				for _, interleaved := range []bool{false, true} {
					for _, size := range sizes {
						tensor := kernels.Tensor{Type: element, RGB: true, Interleaved: interleaved, Fold: 1, Size: kernels.Size{Width: size.padW, Height: size.padH}}
						data, values := noise(rng, element, tensor.Need()/element.Bytes())
						memory := g.alloc(t, len(data))
						g.check(t, g.stream.Upload(memory.Ptr(), data))
						tensor.Ptr, tensor.Bytes = memory.Ptr(), memory.Len()
						c := colours[n%len(colours)]
						n++
						out := g.surface(t, pixel, kernels.Size{Width: size.width, Height: size.height})
						g.check(t, g.kernels.OutputRGB(g.stream, out.Surface, tensor, c))
						what := fmt.Sprintf("%v of %v, interleaved %v, to %v %v, %+v", element, tensor.Size, interleaved, out.Size, pixel, c)
						pictures(t, what, g.download(t, out), rgbOutput(values, tensor, out.Surface, c))
					}
				}
			}
		}
	})
}

func TestOutputLuma(t *testing.T) {
	sizes := []struct{ width, height, outW, outH, padW, padH int }{
		{64, 32, 128, 64, 128, 64},    // doubled, aligned
		{100, 38, 200, 76, 208, 80},   // doubled, cropped
		{101, 37, 202, 74, 202, 74},   // odd: chroma is not exactly doubled
		{48, 20, 144, 60, 144, 60},    // tripled
		{540, 12, 1080, 24, 1080, 24}, // several blocks
		{64, 32, 64, 32, 64, 32},      // the same size
		{128, 64, 96, 48, 96, 48},     // smaller
	}
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(5, 6))
		for i, pixels := range [][2]kernels.Pixel{{kernels.NV12, kernels.NV12}, {kernels.P010, kernels.NV12}, {kernels.P010, kernels.P010}} {
			for _, element := range []kernels.Element{kernels.Uint8, kernels.Float16, kernels.Float32} {
				for _, size := range sizes {
					p := random(rng, pixels[0], size.width, size.height)
					tensor := kernels.Tensor{Type: element, Fold: 1, Size: kernels.Size{Width: size.padW, Height: size.padH}}
					data, values := noise(rng, element, tensor.Need()/element.Bytes())
					memory := g.alloc(t, len(data))
					g.check(t, g.stream.Upload(memory.Ptr(), data))
					tensor.Ptr, tensor.Bytes = memory.Ptr(), memory.Len()
					out := g.surface(t, pixels[1], kernels.Size{Width: size.outW, Height: size.outH})
					scaling := g.scaling(t, kernels.Bicubic, p.Size, p.Size, out.Size)
					full := i%2 == 1
					g.check(t, g.kernels.OutputLuma(g.stream, out.Surface, tensor, g.upload(t, p).Surface, scaling, full))
					what := fmt.Sprintf("%v of %v, %v %v to %v %v", element, tensor.Size, p.Size, p.pixel, out.Size, out.Pixel)
					pictures(t, what, g.download(t, out), lumaOutput(values, tensor, p, out.Surface, full))
				}
			}
		}
	})
}

func (g *gpu) scaling(t *testing.T, f kernels.Filter, luma, chroma, to kernels.Size) *kernels.Scaling {
	t.Helper()
	s, err := kernels.NewScaling(g.context, g.stream, f, luma, chroma, to)
	g.check(t, err)
	g.cleanup(t, s.Close)
	return s
}

func TestResize(t *testing.T) {
	sizes := []struct{ width, height, outW, outH int }{
		{64, 32, 128, 64}, {100, 38, 200, 76}, {500, 20, 1000, 40}, {270, 36, 540, 72}, {2, 2, 4, 4}, // doubled
		{101, 37, 202, 74}, {64, 32, 192, 96}, {64, 36, 100, 50}, {128, 72, 48, 20}, {64, 32, 64, 32}, {3, 3, 5, 5},
	}
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(7, 8))
		for _, pixels := range [][2]kernels.Pixel{{kernels.NV12, kernels.NV12}, {kernels.P010, kernels.NV12}, {kernels.P010, kernels.P010}} {
			for _, filter := range []kernels.Filter{kernels.Lanczos, kernels.Bicubic} {
				for _, size := range sizes {
					p := random(rng, pixels[0], size.width, size.height)
					out := g.surface(t, pixels[1], kernels.Size{Width: size.outW, Height: size.outH})
					in := g.upload(t, p).Surface
					g.check(t, g.kernels.Resize(g.stream, out.Surface, in, in, g.scaling(t, filter, p.Size, p.Size, out.Size)))
					what := fmt.Sprintf("filter %d, %v %v to %v %v", filter, p.Size, p.pixel, out.Size, out.Pixel)
					pictures(t, what, g.download(t, out), resized(p, p, out.Surface, filter))
				}
			}
		}
		// Luma of one size, chroma of another: a network's output that is not yet the stream's size.
		luma, chroma := random(rng, kernels.NV12, 128, 64), random(rng, kernels.NV12, 64, 32)
		out := g.surface(t, kernels.NV12, kernels.Size{Width: 96, Height: 48})
		scaling := g.scaling(t, kernels.Bicubic, luma.Size, chroma.Size, out.Size)
		g.check(t, g.kernels.Resize(g.stream, out.Surface, g.upload(t, luma).Surface, g.upload(t, chroma).Surface, scaling))
		pictures(t, "two sizes", g.download(t, out), resized(luma, chroma, out.Surface, kernels.Bicubic))
	})
}

func TestDeinterlace(t *testing.T) {
	sizes := [][2]int{{64, 48}, {130, 54}, {720, 70}, {18, 16}, {6, 10}, {5, 7}, {33, 21}}
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(9, 10))
		for _, pixel := range []kernels.Pixel{kernels.NV12, kernels.P010} {
			for _, size := range sizes {
				frames := moving(rng, pixel, size[0], size[1])
				var in [3]kernels.Surface
				for i, f := range frames {
					in[i] = g.upload(t, f).Surface
				}
				for i := range 6 {
					field := kernels.Field{TopFirst: i&1 == 0, Second: i&2 != 0, Alone: i >= 4}
					out := g.surface(t, pixel, frames[0].Size)
					g.check(t, g.kernels.Deinterlace(g.stream, out.Surface, in, field))
					got, want := g.download(t, out), deinterlaced(frames, field)
					for plane := range want.planes {
						if !slices.Equal(got.planes[plane], want.planes[plane]) {
							t.Fatalf("%v %v, %+v: plane %d differs from the reference", size, pixel, field, plane)
						}
					}
				}
			}
		}
	})
}

func TestMix(t *testing.T) {
	each(t, func(t *testing.T, g *gpu) {
		rng := rand.New(rand.NewPCG(11, 12))
		for _, pixel := range []kernels.Pixel{kernels.NV12, kernels.P010} {
			for _, share := range []float64{0, 1. / 9, 0.5, 0.77, 1} {
				for _, size := range [][2]int{{64, 48}, {131, 37}, {1050, 6}} {
					a, b := random(rng, pixel, size[0], size[1]), random(rng, pixel, size[0], size[1])
					into := g.upload(t, a)
					g.check(t, g.kernels.Mix(g.stream, into.Surface, g.upload(t, b).Surface, share))
					got, weight := g.download(t, into), int(share*256+0.5)
					for plane := range a.planes {
						for i, v := range a.planes[plane] {
							if want := (v*weight + b.planes[plane][i]*(256-weight) + 128) >> 8; got.planes[plane][i] != want {
								t.Fatalf("%v, %v, share %v: plane %d, sample %d is %d, want %d", size, pixel, share, plane, i, got.planes[plane][i], want)
							}
						}
					}
				}
			}
		}
	})
}

func TestCopy(t *testing.T) {
	each(t, func(t *testing.T, g *gpu) {
		data, _ := noise(rand.New(rand.NewPCG(13, 14)), kernels.Uint8, 16*4099)
		from, to := g.alloc(t, len(data)), g.alloc(t, len(data))
		g.check(t, g.stream.Upload(from.Ptr(), data))
		g.check(t, g.kernels.Copy(g.stream, to.Ptr(), from.Ptr(), len(data)))
		got := make([]byte, len(data))
		g.check(t, g.stream.Download(got, to.Ptr()))
		g.check(t, g.stream.Sync())
		if !slices.Equal(got, data) {
			t.Error("the copy differs")
		}
	})
}
