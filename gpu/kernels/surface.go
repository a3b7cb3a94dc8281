package kernels

import (
	"fmt"

	"rave/gpu/cuda"
)

// Pixel is the layout of a picture in GPU memory: a plane of luma and one of pairs of U and V, halved both ways.
type Pixel uint8

// Layouts that decoders give.
const (
	NV12 Pixel = iota + 1 // 8 bits
	P010                  // 10 bits, in the upper part of 16
)

// String returns FFmpeg's name.
func (p Pixel) String() string {
	switch p {
	case NV12:
		return "nv12"
	case P010:
		return "p010"
	default:
		return fmt.Sprintf("pixel(%d)", uint8(p))
	}
}

// bytes is the size of a sample, and 0 for what is no layout.
func (p Pixel) bytes() int {
	switch p {
	case NV12:
		return 1
	case P010:
		return 2
	default:
		return 0
	}
}

// align is what addresses and pitches must be multiples of.
const align = 16

// maxSide is the largest width or height of a picture.
const maxSide = 16384

// Size is a picture's, in pixels of luma.
type Size struct{ Width, Height int }

// String returns "WxH".
func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// chroma is the size of the plane of pairs.
func (s Size) chroma() Size { return Size{(s.Width + 1) / 2, (s.Height + 1) / 2} }

func (s Size) check() error {
	if s.Width < 1 || s.Height < 1 || s.Width > maxSide || s.Height > maxSide {
		return fmt.Errorf("a size of %v; 1 to %d each way is possible", s, maxSide)
	}
	return nil
}

// Plane is rows in GPU memory, Pitch bytes apart.
type Plane struct {
	Ptr   cuda.Ptr
	Pitch int
	Bytes int // that may be accessed from Ptr on
}

// Surface is a picture in GPU memory.
type Surface struct {
	Size
	Pixel        Pixel
	Luma, Chroma Plane
}

// NewSurface lays a picture into n bytes of memory at p: luma, then chroma, in rows of a common pitch that is a multiple of
// 256 bytes. SurfaceBytes says how many that takes.
func NewSurface(pixel Pixel, size Size, p cuda.Ptr, n int) (Surface, error) {
	pitch, need := layout(pixel, size)
	s := Surface{Size: size, Pixel: pixel, Luma: Plane{p, pitch, pitch * size.Height}}
	s.Chroma = Plane{p + cuda.Ptr(s.Luma.Bytes), pitch, pitch * size.chroma().Height}
	if n < need {
		return Surface{}, fmt.Errorf("a %v picture of %v takes %d bytes, not %d", pixel, size, need, n)
	}
	return s, s.check("picture")
}

// SurfaceBytes returns the size of the memory that NewSurface lays a picture into.
func SurfaceBytes(pixel Pixel, size Size) int {
	_, n := layout(pixel, size)
	return n
}

func layout(pixel Pixel, size Size) (pitch, bytes int) {
	const rows = 256
	pitch = divUp(2*size.chroma().Width*pixel.bytes(), rows) * rows
	return pitch, pitch * (size.Height + size.chroma().Height)
}

// check reports what is wrong with the surface; what names it in the error.
func (s Surface) check(what string) error {
	if s.Pixel.bytes() == 0 {
		return fmt.Errorf("%s: layout %v; nv12 and p010 are possible", what, s.Pixel)
	}
	if err := s.Size.check(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c := s.chroma()
	if err := s.Luma.check(s.Width*s.Pixel.bytes(), s.Height); err != nil {
		return fmt.Errorf("%s of %v, %v: luma: %w", what, s.Size, s.Pixel, err)
	}
	if err := s.Chroma.check(2*c.Width*s.Pixel.bytes(), c.Height); err != nil {
		return fmt.Errorf("%s of %v, %v: chroma: %w", what, s.Size, s.Pixel, err)
	}
	return nil
}

func (p Plane) check(row, rows int) error {
	whole := divUp(row, align) * align
	switch {
	case p.Ptr == 0 || p.Ptr%align != 0:
		return fmt.Errorf("address %#x is not a multiple of %d above 0", uint64(p.Ptr), align)
	case p.Pitch%align != 0 || p.Pitch < whole || p.Pitch > 1<<20:
		return fmt.Errorf("a pitch of %d bytes; a multiple of %d from %d to 1 MiB is needed", p.Pitch, align, whole)
	case p.Bytes < p.Pitch*(rows-1)+whole:
		return fmt.Errorf("%d bytes hold no %d rows of pitch %d", p.Bytes, rows, p.Pitch)
	}
	return nil
}

// args are the parameters of a kernel that make a picture.
func (s Surface) args() []any {
	return []any{s.Luma.Ptr, s.Chroma.Ptr, int32(s.Luma.Pitch), int32(s.Chroma.Pitch), int32(s.Width), int32(s.Height)}
}

// same reports an error if the pictures differ in size or layout.
func same(a, b Surface) error {
	if a.Size != b.Size || a.Pixel != b.Pixel {
		return fmt.Errorf("%v %v and %v %v differ", a.Size, a.Pixel, b.Size, b.Pixel)
	}
	return nil
}
