package ffmpeg

// #include "shim.h"
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// Filter is a resampling kernel of swscale.
type Filter int

// Kernels in use. With accurate rounding flat areas keep their value exactly; Lanczos does without, as FFmpeg's scale
// filter does, and may be off by one.
const (
	Bicubic Filter = C.SWS_BICUBIC | C.SWS_ACCURATE_RND
	Lanczos Filter = C.SWS_LANCZOS
	// ConvertExact is for colour conversion at the same size: full chroma interpolation both ways.
	ConvertExact Filter = C.SWS_BICUBIC | C.SWS_ACCURATE_RND | C.SWS_FULL_CHR_H_INT | C.SWS_FULL_CHR_H_INP
)

// RGBFloat is planar RGB as float32 from 0 to 1, for ToRGB and FromRGB.
const RGBFloat = astiav.PixelFormatGbrpf32Le

// Picture is one side of a Scaler.
type Picture struct {
	Width, Height int
	Pixel         astiav.PixelFormat
	Color         media.Color
}

// PictureOf describes a frame's format as FFmpeg names it.
func PictureOf(f media.Format) Picture {
	return Picture{Width: f.Width, Height: f.Height, Pixel: astiav.PixelFormatYuv420P, Color: f.Color}
}

// Scaler resizes and converts pictures.
type Scaler struct {
	c        *C.struct_SwsContext
	from, to Picture
}

// NewScaler prepares a conversion; threads share the rows of one picture (only in Frames).
func NewScaler(from, to Picture, filter Filter, threads int) (*Scaler, error) {
	full := func(p Picture) C.int {
		if p.Color.FullRange {
			return 1
		}
		return 0
	}
	c := C.rave_sws_new(C.int(from.Width), C.int(from.Height), C.int(from.Pixel), full(from), C.int(from.Color.Matrix),
		C.int(to.Width), C.int(to.Height), C.int(to.Pixel), full(to), C.int(to.Color.Matrix), C.int(filter), C.int(max(1, threads)))
	if c == nil {
		return nil, fmt.Errorf("swscale cannot convert %dx%d %s to %dx%d %s", from.Width, from.Height, from.Pixel,
			to.Width, to.Height, to.Pixel)
	}
	return &Scaler{c: c, from: from, to: to}, nil
}

// Frames converts src into dst's memory.
func (s *Scaler) Frames(dst, src *astiav.Frame) error {
	return swsError(C.rave_sws_frame(s.c, cframe(dst), cframe(src)))
}

// Plane resizes one 8-bit plane; both pictures of the scaler are gray8.
func (s *Scaler) Plane(dst []byte, dstStride int, src []byte, srcStride int) error {
	if len(src) < srcStride*(s.from.Height-1)+s.from.Width || len(dst) < dstStride*(s.to.Height-1)+s.to.Width {
		return fmt.Errorf("scale plane: buffers of %d and %d bytes are too small", len(src), len(dst))
	}
	return swsError(C.rave_sws_plane(s.c, (*C.uint8_t)(&src[0]), C.int(srcStride), C.int(s.from.Height), (*C.uint8_t)(&dst[0]),
		C.int(dstStride)))
}

// ToRGB converts src into three planes R, G, B of float32 from 0 to 1, row after row; rgb holds 3*width*height values.
// The scaler's target is gbrpf32.
func (s *Scaler) ToRGB(rgb []float32, src *astiav.Frame) error {
	r, g, b, err := planes(rgb, s.to)
	if err != nil {
		return err
	}
	return swsError(C.rave_sws_frame_to_planes(s.c, cframe(src), g, b, r, C.int(4*s.to.Width)))
}

// FromRGB converts three planes R, G, B, as ToRGB makes them, into dst. The scaler's source is gbrpf32.
func (s *Scaler) FromRGB(dst *astiav.Frame, rgb []float32) error {
	r, g, b, err := planes(rgb, s.from)
	if err != nil {
		return err
	}
	return swsError(C.rave_sws_planes_to_frame(s.c, g, b, r, C.int(4*s.from.Width), C.int(s.from.Height), cframe(dst)))
}

func planes(rgb []float32, p Picture) (r, g, b *C.uint8_t, err error) {
	n := p.Width * p.Height
	if len(rgb) != 3*n || n == 0 {
		return nil, nil, nil, fmt.Errorf("convert RGB: %d values for %dx%d", len(rgb), p.Width, p.Height)
	}
	at := func(i int) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(&rgb[i])) }
	return at(0), at(n), at(2 * n), nil
}

// Close frees the scaler.
func (s *Scaler) Close() { C.sws_freeContext(s.c) }

func swsError(n C.int) error {
	if n < 0 {
		return fmt.Errorf("scale: %w", astiav.Error(n))
	}
	return nil
}
