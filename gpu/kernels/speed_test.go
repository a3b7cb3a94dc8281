package kernels_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"rave/engine/media"
	"rave/gpu/cuda"
	"rave/gpu/kernels"
)

// goal is the share of a copy kernel's speed that every kernel should reach.
const goal = 0.8

// job is one kernel at work on pictures of its own.
type job struct {
	name  string
	bytes int // that it must read and write
	run   func() error
}

// TestSpeed prints a table: each kernel beside a copy that moves the same bytes, 1080p to 4K. RAVE_SPEED=1 asks for it.
func TestSpeed(t *testing.T) {
	if os.Getenv("RAVE_SPEED") != "1" {
		t.Skip("RAVE_SPEED is not 1: nothing is measured")
	}
	g := open(t, cuda.System())
	plug := g.alloc(t, 1<<30)
	fmt.Println("| kernel, 1920x1080 | MB | µs | copy, µs | GB/s | of the copy |\n|---|---|---|---|---|---|")
	for _, make := range jobs() {
		measure(t, g, plug, make)
	}
}

// measure times a kernel and the copy in turns, on inputs and outputs that rotate through far more than the L2 holds.
func measure(t *testing.T, g *gpu, plug *cuda.Memory, jobs func(t *testing.T, g *gpu) job) {
	t.Run("", func(t *testing.T) { // what it allocates is freed at its end
		const rotation, launches, rounds = 300 << 20, 60, 15
		first := jobs(t, g)
		start := time.Now()
		g.check(t, first.run())
		g.check(t, g.stream.Sync())
		load := time.Since(start)
		sets := []job{first}
		for len(sets)*first.bytes < rotation {
			sets = append(sets, jobs(t, g))
		}
		half := first.bytes / 2 &^ 15
		from, to := g.alloc(t, len(sets)*half), g.alloc(t, len(sets)*half)
		var kernel, copies []time.Duration
		for range rounds {
			kernel = append(kernel, g.time(t, plug, launches, func(i int) error { return sets[i%len(sets)].run() }))
			copies = append(copies, g.time(t, plug, launches, func(i int) error {
				at := cuda.Ptr(i % len(sets) * half)
				return g.kernels.Copy(g.stream, to.Ptr()+at, from.Ptr()+at, half)
			}))
		}
		slices.Sort(kernel)
		slices.Sort(copies)
		k, c := kernel[rounds/2], copies[rounds/2]
		note := ""
		if float64(c)/float64(k) < goal {
			note = " missed"
		}
		if load > 20*time.Millisecond {
			note += fmt.Sprintf(" (first launch %d ms)", load.Milliseconds())
		}
		micro := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
		fmt.Printf("| %s | %.1f | %.2f | %.2f | %.0f | %.2f%s |\n", first.name, float64(first.bytes)/1e6, micro(k), micro(c),
			float64(first.bytes)/float64(k.Nanoseconds()), float64(c)/float64(k), note)
	})
}

// time returns what one of many launches takes. The launches queue up behind other work, so that the GPU never waits for the
// host.
func (g *gpu) time(t *testing.T, plug *cuda.Memory, launches int, launch func(i int) error) time.Duration {
	t.Helper()
	begin, err := g.context.NewEvent(true)
	g.check(t, err)
	defer begin.Close()
	end, err := g.context.NewEvent(true)
	g.check(t, err)
	defer end.Close()
	for range 4 {
		g.check(t, g.stream.Set(plug.Ptr(), 1, plug.Len()))
	}
	g.check(t, g.stream.Record(begin))
	for i := range launches {
		g.check(t, launch(i))
	}
	g.check(t, g.stream.Record(end))
	g.check(t, g.stream.Sync())
	took, err := end.Elapsed(begin)
	g.check(t, err)
	return took / time.Duration(launches)
}

var (
	hd  = kernels.Size{Width: 1920, Height: 1080}
	uhd = kernels.Size{Width: 3840, Height: 2160}
	c   = media.Color{Matrix: media.MatrixBT709}
)

// pictureBytes is what a picture has without the gaps between its rows.
func pictureBytes(pixel kernels.Pixel, s kernels.Size) int {
	n := s.Width * s.Height * 3 / 2
	if pixel == kernels.P010 {
		return 2 * n
	}
	return n
}

// filled allocates a surface of noise.
func (g *gpu) filled(t *testing.T, pixel kernels.Pixel, size kernels.Size) kernels.Surface {
	t.Helper()
	s := g.surface(t, pixel, size)
	g.fill(t, s.memory)
	return s.Surface
}

func (g *gpu) fill(t *testing.T, m *cuda.Memory) {
	t.Helper()
	block := make([]byte, min(m.Len(), 1<<20+77))
	seed := uint32(m.Ptr()) | 1
	for i := range block {
		seed = seed*1664525 + 1013904223
		block[i] = byte(seed >> 24 & 0xbf) // no NaN in any type
	}
	for at := 0; at < m.Len(); at += len(block) {
		g.check(t, g.stream.Upload(m.Ptr()+cuda.Ptr(at), block[:min(len(block), m.Len()-at)]))
	}
	g.check(t, g.stream.Sync())
}

func (g *gpu) tensor(t *testing.T, like kernels.Tensor, size kernels.Size) kernels.Tensor {
	t.Helper()
	like.Size = size
	m := g.alloc(t, like.Need())
	g.fill(t, m)
	like.Ptr, like.Bytes = m.Ptr(), m.Len()
	return like
}

func jobs() []func(t *testing.T, g *gpu) job {
	luma := func(e kernels.Element, fold int, interleaved bool) kernels.Tensor {
		return kernels.Tensor{Type: e, Fold: fold, Interleaved: interleaved}
	}
	rgb := func(e kernels.Element, fold int, interleaved bool) kernels.Tensor {
		return kernels.Tensor{Type: e, Fold: fold, Interleaved: interleaved, RGB: true}
	}
	u8, f16, f32 := kernels.Uint8, kernels.Float16, kernels.Float32
	return []func(t *testing.T, g *gpu) job{
		inputJob(kernels.NV12, luma(u8, 1, false)), inputJob(kernels.NV12, luma(f16, 1, false)), inputJob(kernels.NV12, luma(f32, 1, false)),
		inputJob(kernels.NV12, luma(f16, 2, false)), inputJob(kernels.NV12, luma(f16, 2, true)), inputJob(kernels.P010, luma(f16, 2, true)),
		inputJob(kernels.NV12, rgb(u8, 1, false)), inputJob(kernels.NV12, rgb(f16, 1, false)), inputJob(kernels.NV12, rgb(f32, 1, false)),
		inputJob(kernels.NV12, rgb(f16, 1, true)), inputJob(kernels.NV12, rgb(f16, 2, false)), inputJob(kernels.NV12, rgb(f16, 2, true)),
		inputJob(kernels.P010, rgb(f16, 1, false)),
		lumaJob(kernels.NV12, kernels.NV12, u8), lumaJob(kernels.NV12, kernels.NV12, f16), lumaJob(kernels.NV12, kernels.NV12, f32),
		lumaJob(kernels.P010, kernels.NV12, f16), lumaJob(kernels.P010, kernels.P010, f16),
		rgbJob(kernels.NV12, rgb(u8, 1, false)), rgbJob(kernels.NV12, rgb(f16, 1, false)), rgbJob(kernels.NV12, rgb(f32, 1, false)),
		rgbJob(kernels.NV12, rgb(f16, 1, true)), rgbJob(kernels.P010, rgb(f16, 1, false)),
		resizeJob(kernels.NV12, kernels.NV12, uhd), resizeJob(kernels.P010, kernels.NV12, uhd), resizeJob(kernels.P010, kernels.P010, uhd),
		resizeJob(kernels.NV12, kernels.NV12, kernels.Size{Width: 2560, Height: 1440}),
		resizeJob(kernels.NV12, kernels.NV12, kernels.Size{Width: 1280, Height: 720}),
		deinterlaceJob(kernels.NV12), deinterlaceJob(kernels.P010),
		mixJob(kernels.NV12), mixJob(kernels.P010),
	}
}

func describe(t kernels.Tensor) string {
	s := "luma"
	if t.RGB {
		s = "RGB"
	}
	s += " " + t.Type.String()
	if t.Interleaved {
		s += ", interleaved"
	}
	if t.Fold == 2 {
		s += ", space-to-depth 2"
	}
	return s
}

func inputJob(pixel kernels.Pixel, like kernels.Tensor) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		from, to := g.filled(t, pixel, hd), g.tensor(t, like, hd)
		n := pictureBytes(pixel, hd) + to.Need()
		if !to.RGB { // chroma is not looked at
			n -= pictureBytes(pixel, hd) / 3
		}
		return job{fmt.Sprintf("input: %v to %s", pixel, describe(to)), n, func() error { return g.kernels.Input(g.stream, to, from, c) }}
	}
}

func lumaJob(in, out kernels.Pixel, e kernels.Element) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		from, to := g.tensor(t, kernels.Tensor{Type: e, Fold: 1}, uhd), g.filled(t, out, uhd)
		picture, scaling := g.filled(t, in, hd), g.scaling(t, kernels.Bicubic, hd, hd, uhd)
		n := from.Need() + pictureBytes(out, uhd) + pictureBytes(in, hd)/3
		return job{fmt.Sprintf("output: luma %v at 4K and chroma of %v to %v", e, in, out), n,
			func() error { return g.kernels.OutputLuma(g.stream, to, from, picture, scaling, false) }}
	}
}

func rgbJob(out kernels.Pixel, like kernels.Tensor) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		from, to := g.tensor(t, like, uhd), g.filled(t, out, uhd)
		return job{fmt.Sprintf("output: %s at 4K to %v", describe(from), out), from.Need() + pictureBytes(out, uhd),
			func() error { return g.kernels.OutputRGB(g.stream, to, from, c) }}
	}
}

func resizeJob(in, out kernels.Pixel, size kernels.Size) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		from, to := g.filled(t, in, hd), g.filled(t, out, size)
		scaling := g.scaling(t, kernels.Lanczos, hd, hd, size)
		return job{fmt.Sprintf("Lanczos: %v to %v %v", in, size, out), pictureBytes(in, hd) + pictureBytes(out, size),
			func() error { return g.kernels.Resize(g.stream, to, from, from, scaling) }}
	}
}

func deinterlaceJob(pixel kernels.Pixel) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		var frames [3]kernels.Surface
		for i := range frames {
			frames[i] = g.filled(t, pixel, hd)
		}
		to := g.filled(t, pixel, hd)
		// Of the frame after the first field only the lines of that field are looked at.
		return job{fmt.Sprintf("deinterlace: %v, one field", pixel), pictureBytes(pixel, hd)*5/2 + pictureBytes(pixel, hd),
			func() error { return g.kernels.Deinterlace(g.stream, to, frames, kernels.Field{TopFirst: true}) }}
	}
}

func mixJob(pixel kernels.Pixel) func(*testing.T, *gpu) job {
	return func(t *testing.T, g *gpu) job {
		into, from := g.filled(t, pixel, uhd), g.filled(t, pixel, uhd)
		return job{fmt.Sprintf("mix: two of 4K %v", pixel), 3 * pictureBytes(pixel, uhd),
			func() error { return g.kernels.Mix(g.stream, into, from, 0.3) }}
	}
}
