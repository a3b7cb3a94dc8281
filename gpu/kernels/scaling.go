package kernels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"rave/gpu/cuda"
)

// Filter is a resampling kernel, the same as swscale's of that name.
type Filter uint8

// Filters.
const (
	Bicubic Filter = iota + 1 // B = 0, C = 0.6
	Lanczos                   // three lobes
)

// radius is how far the filter reaches, in samples of the coarser side.
func (f Filter) radius() float64 {
	if f == Lanczos {
		return 3
	}
	return 2
}

func (f Filter) weight(d float64) float64 {
	d = math.Abs(d)
	switch {
	case d >= f.radius():
		return 0
	case f == Lanczos:
		return sinc(d) * sinc(d/3)
	case d < 1:
		return 1.4*d*d*d - 2.4*d*d + 1
	default:
		return -0.6*d*d*d + 3*d*d - 4.8*d + 2.4
	}
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// taps computes one axis: for each of to samples the first of n input samples and their weights, n apiece. Sample i lies at
// (i + 0.5) × from / to - 0.5 of the input; where that is the coarser side, the filter is widened.
func (f Filter) taps(from, to int) (first []int32, weights []float32, n int) {
	ratio := float64(from) / float64(to)
	wide := max(1, ratio)
	reach := f.radius() * wide
	n = int(math.Ceil(2 * reach))
	first = make([]int32, to)
	weights = make([]float32, to*n)
	exact := make([]float64, n)
	for i := range to {
		centre := (float64(i)+0.5)*ratio - 0.5
		first[i] = int32(math.Floor(centre-reach)) + 1
		sum := 0.0
		for j := range exact {
			exact[j] = f.weight((float64(first[i]) + float64(j) - centre) / wide)
			sum += exact[j]
		}
		for j, w := range exact {
			weights[i*n+j] = float32(w / sum)
		}
	}
	return first, weights, n
}

// six returns the weights of the samples from i-3 on for output sample 2i of a picture of twice the size.
func (f Filter) six() []any {
	six := make([]float64, 6)
	for j := range six {
		six[j] = f.weight(float64(j) - 3 + 0.25)
	}
	sum := 0.0
	for _, w := range six {
		sum += w
	}
	for j := range six {
		six[j] /= sum
	}
	return floats(six...)
}

// The axes of a Scaling.
const (
	lumaColumns = iota
	lumaRows
	chromaColumns
	chromaRows
	axes
)

// axis is the tables of one axis on the GPU.
type axis struct {
	first, weights cuda.Ptr
	taps           int
}

func (a axis) args() []any { return []any{a.first, a.weights, int32(a.taps)} }

// Scaling is what it takes to bring pictures of one size to another. It holds a little GPU memory; its maker closes it when
// the stream has passed the last use.
type Scaling struct {
	filter           Filter
	luma, chroma, to Size
	memory           *cuda.Memory
	axes             [axes]axis
}

// NewScaling computes the tables and sends them to the GPU, on s. luma is the size of the pictures that luma comes from,
// chroma of those (in pixels of their luma) that chroma comes from: mostly the same.
func NewScaling(c *cuda.Context, s *cuda.Stream, f Filter, luma, chroma, to Size) (*Scaling, error) {
	if err := firstOf(luma.check(), chroma.check(), to.check()); err != nil {
		return nil, fmt.Errorf("resize: %w", err)
	}
	if f != Bicubic && f != Lanczos {
		return nil, fmt.Errorf("resize: filter %d is not known", f)
	}
	if luma.Width > maxShrink*to.Width || luma.Height > maxShrink*to.Height || chroma.Width > maxShrink*to.Width || chroma.Height > maxShrink*to.Height {
		return nil, fmt.Errorf("resize %v (chroma of %v) to %v: at most to 1/%d", luma, chroma, to, maxShrink)
	}
	scaling := &Scaling{filter: f, luma: luma, chroma: chroma, to: to}
	var tables bytes.Buffer
	for i, side := range [axes][2]int{
		{luma.Width, to.Width}, {luma.Height, to.Height},
		{chroma.chroma().Width, to.chroma().Width}, {chroma.chroma().Height, to.chroma().Height},
	} {
		first, weights, n := f.taps(side[0], side[1])
		scaling.axes[i] = axis{cuda.Ptr(tables.Len()), cuda.Ptr(tables.Len() + 4*len(first)), n}
		if err := errors.Join(binary.Write(&tables, binary.LittleEndian, first), binary.Write(&tables, binary.LittleEndian, weights)); err != nil {
			return nil, err
		}
	}
	memory, err := c.Alloc(tables.Len())
	if err != nil {
		return nil, fmt.Errorf("resize %v to %v: %w", luma, to, err)
	}
	scaling.memory = memory
	for i := range scaling.axes {
		scaling.axes[i].first += memory.Ptr()
		scaling.axes[i].weights += memory.Ptr()
	}
	if err := s.Upload(memory.Ptr(), tables.Bytes()); err != nil {
		return nil, errors.Join(fmt.Errorf("resize %v to %v: %w", luma, to, err), memory.Close())
	}
	return scaling, nil
}

// maxShrink bounds the taps of a table.
const maxShrink = 32

// Close frees the tables.
func (s *Scaling) Close() error { return s.memory.Close() }

func (s *Scaling) check(luma, chroma, to Size) error {
	if s.luma != luma || s.chroma != chroma || s.to != to {
		return fmt.Errorf("pictures of %v (chroma of %v) to %v are given to a scaling from %v (chroma of %v) to %v", luma, chroma, to, s.luma, s.chroma, s.to)
	}
	return nil
}

func (s *Scaling) chromaDoubled() bool {
	from, to := s.chroma.chroma(), s.to.chroma()
	return to.Width == 2*from.Width && to.Height == 2*from.Height
}

func (s *Scaling) doubled() bool {
	return s.luma == s.chroma && s.to.Width == 2*s.luma.Width && s.to.Height == 2*s.luma.Height && s.chromaDoubled()
}

// Resize makes a picture of another size: luma of one, chroma of another, which are mostly the same. P010 becomes NV12 where
// to is that.
func (k *Kernels) Resize(s *cuda.Stream, to, luma, chroma Surface, scaling *Scaling) error {
	if err := firstOf(to.check("picture made"), luma.check("picture for luma"), chroma.check("picture for chroma"),
		scaling.check(luma.Size, chroma.Size, to.Size)); err != nil {
		return fmt.Errorf("resize: %w", err)
	}
	if luma.Pixel != chroma.Pixel || to.Pixel > luma.Pixel {
		return fmt.Errorf("resize: %v cannot be made of luma of %v and chroma of %v", to.Pixel, luma.Pixel, chroma.Pixel)
	}
	pixels := fmt.Sprintf("%v_%v", luma.Pixel, to.Pixel)
	depth := float32(gain(luma.Pixel, to.Pixel))
	widest := max(to.Width, 2*to.chroma().Width)
	if scaling.doubled() {
		const columns, rows = 480, 16
		lumaBlocks, chromaBlocks := divUp(to.Height, rows), divUp(to.chroma().Height, rows)
		from := luma
		from.Chroma = chroma.Chroma
		args := slices.Concat(from.args(), to.args(), scaling.filter.six(), []any{depth, int32(lumaBlocks)})
		return k.launch(s, resize, "twice_"+pixels, divUp(widest, columns), lumaBlocks+chromaBlocks, [2]uint32{128, 1}, args)
	}
	lumaBlocks, chromaBlocks := divUp(to.Height, 8), divUp(to.chroma().Height, 8)
	half := chroma.chroma()
	args := slices.Concat([]any{luma.Luma.Ptr, int32(luma.Luma.Pitch), int32(luma.Width), int32(luma.Height)},
		[]any{chroma.Chroma.Ptr, int32(chroma.Chroma.Pitch), int32(half.Width), int32(half.Height)}, to.args())
	for _, a := range scaling.axes {
		args = append(args, a.args()...)
	}
	args = append(args, depth, int32(lumaBlocks))
	return k.launch(s, resize, "resize_"+pixels, divUp(widest, 32), lumaBlocks+chromaBlocks, [2]uint32{32, 8}, args)
}
