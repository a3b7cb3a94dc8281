package kernels_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"rave/gpu/cuda"
	"rave/gpu/kernels"
)

// picture is code values on the host: a plane of luma, then U and V.
type picture struct {
	kernels.Size
	pixel  kernels.Pixel
	planes [3][]int
}

func (p picture) chroma() kernels.Size {
	return kernels.Size{Width: (p.Width + 1) / 2, Height: (p.Height + 1) / 2}
}

// at returns a sample, the edges repeated.
func (p picture) at(plane, x, y int) float64 {
	size := p.Size
	if plane > 0 {
		size = p.chroma()
	}
	x, y = min(max(x, 0), size.Width-1), min(max(y, 0), size.Height-1)
	return float64(p.planes[plane][y*size.Width+x])
}

func empty(pixel kernels.Pixel, size kernels.Size) picture {
	p := picture{Size: size, pixel: pixel}
	c := p.chroma()
	p.planes = [3][]int{make([]int, size.Width*size.Height), make([]int, c.Width*c.Height), make([]int, c.Width*c.Height)}
	return p
}

// random returns a picture of noise, with whole areas of the darkest and the brightest.
func random(rng *rand.Rand, pixel kernels.Pixel, width, height int) picture {
	p := empty(pixel, kernels.Size{Width: width, Height: height})
	for _, plane := range p.planes {
		for i := range plane {
			switch i / 61 % 5 {
			case 0:
				plane[i] = 0
			case 1:
				plane[i] = top(pixel)
			default:
				plane[i] = rng.IntN(top(pixel) + 1)
			}
		}
	}
	return p
}

func top(pixel kernels.Pixel) int {
	if pixel == kernels.P010 {
		return 1023
	}
	return 255
}

// surface is a picture in GPU memory that the test owns.
type surface struct {
	kernels.Surface
	memory *cuda.Memory
}

// surface allocates a picture on the GPU and fills it with noise.
func (g *gpu) surface(t *testing.T, pixel kernels.Pixel, size kernels.Size) surface {
	t.Helper()
	n := kernels.SurfaceBytes(pixel, size)
	memory := g.alloc(t, n)
	s, err := kernels.NewSurface(pixel, size, memory.Ptr(), n)
	if err != nil {
		t.Fatal(err)
	}
	return surface{s, memory}
}

// upload allocates a picture on the GPU and sends one there.
func (g *gpu) upload(t *testing.T, p picture) surface {
	t.Helper()
	s := g.surface(t, p.pixel, p.Size)
	data := make([]byte, s.memory.Len())
	s.each(func(plane, x, y, offset int) {
		v := p.planes[plane][y*p.width(plane)+x]
		if p.pixel == kernels.P010 {
			binary.LittleEndian.PutUint16(data[offset:], uint16(v<<6))
		} else {
			data[offset] = byte(v)
		}
	})
	g.check(t, g.stream.Upload(s.memory.Ptr(), data))
	g.check(t, g.stream.Sync())
	return s
}

func (p picture) width(plane int) int {
	if plane > 0 {
		return p.chroma().Width
	}
	return p.Width
}

// download fetches a picture.
func (g *gpu) download(t *testing.T, s surface) picture {
	t.Helper()
	data := make([]byte, s.memory.Len())
	g.check(t, g.stream.Download(data, s.memory.Ptr()))
	g.check(t, g.stream.Sync())
	p := empty(s.Pixel, s.Size)
	s.each(func(plane, x, y, offset int) {
		v := int(data[offset])
		if s.Pixel == kernels.P010 {
			if v = int(binary.LittleEndian.Uint16(data[offset:])); v&63 != 0 {
				t.Fatalf("plane %d, sample %d,%d is %#x: the lower six bits are not zero", plane, x, y, v)
			}
			v >>= 6
		}
		p.planes[plane][y*p.width(plane)+x] = v
	})
	return p
}

// each calls f with each sample's place in memory.
func (s surface) each(f func(plane, x, y, offset int)) {
	bytes := 1
	if s.Pixel == kernels.P010 {
		bytes = 2
	}
	for y := range s.Height {
		for x := range s.Width {
			f(0, x, y, y*s.Luma.Pitch+x*bytes)
		}
	}
	first := int(s.Chroma.Ptr - s.Luma.Ptr)
	for y := range (s.Height + 1) / 2 {
		for x := range (s.Width + 1) / 2 {
			f(1, x, y, first+y*s.Chroma.Pitch+2*x*bytes)
			f(2, x, y, first+y*s.Chroma.Pitch+(2*x+1)*bytes)
		}
	}
}

// decode returns the elements of a tensor as 0 to 1.
func decode(element kernels.Element, data []byte) []float64 {
	values := make([]float64, len(data)/element.Bytes())
	for i := range values {
		switch element {
		case kernels.Uint8:
			values[i] = float64(data[i]) / 255
		case kernels.Float16:
			values[i] = half(binary.LittleEndian.Uint16(data[2*i:]))
		default:
			values[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		}
	}
	return values
}

func half(bits uint16) float64 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	v := math.Ldexp(fraction, -24)
	if exponent == 31 {
		v = math.NaN()
	} else if exponent > 0 {
		v = math.Ldexp(1024+fraction, exponent-25)
	}
	if bits>>15 == 1 {
		return -v
	}
	return v
}

// noise returns n random elements from a little below 0 to a little above 1, as a network may give, and what they are.
func noise(rng *rand.Rand, element kernels.Element, n int) (data []byte, values []float64) {
	data = make([]byte, n*element.Bytes())
	for i := range n {
		v := rng.Float64()*1.2 - 0.1
		switch element {
		case kernels.Uint8:
			data[i] = byte(rng.IntN(256))
		case kernels.Float16: // up to 1.125, and some below 0
			bits := uint16(rng.IntN(0x3c80))
			if v < 0 {
				bits |= 0x8000
			}
			binary.LittleEndian.PutUint16(data[2*i:], bits)
		default:
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(v)))
		}
	}
	return data, decode(element, data)
}
