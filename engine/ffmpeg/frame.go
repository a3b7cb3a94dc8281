package ffmpeg

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// Raw describes a decoded picture as FFmpeg has it, before it is made a media.Format.
type Raw struct {
	Pixel      astiav.PixelFormat
	Interlaced bool
	Damaged    bool // errors were concealed in it, or it refers to a picture that was lost
}

// Init gives f an empty AVFrame for its Native. Destroy frees it.
func Init(f *media.Frame) error {
	av := astiav.AllocFrame()
	if av == nil {
		return errors.New("allocate frame: out of memory")
	}
	f.Native = av
	return nil
}

// InitWith gives f an AVFrame with host memory for format (YUV420P).
func InitWith(f *media.Frame, format media.Format) error {
	if err := Init(f); err != nil {
		return err
	}
	return Alloc(f, format)
}

// Alloc gives f memory for format, replacing what it had.
func Alloc(f *media.Frame, format media.Format) error {
	av := Native(f)
	av.Unref()
	av.SetWidth(format.Width)
	av.SetHeight(format.Height)
	av.SetPixelFormat(astiav.PixelFormatYuv420P)
	if err := av.AllocBuffer(0); err != nil {
		return fmt.Errorf("allocate %s picture: %w", format.Size(), err)
	}
	f.Format = format
	setColor(av, format)
	attach(f)
	return nil
}

// Unref drops the memory of f, which keeps its empty AVFrame.
func Unref(f *media.Frame) {
	Native(f).Unref()
	f.Planes, f.Strides = [3][]byte{}, [3]int{}
}

// Destroy frees the AVFrame of f.
func Destroy(f *media.Frame) {
	if av, ok := f.Native.(*astiav.Frame); ok {
		av.Free()
		f.Native = nil
	}
}

// Native returns the AVFrame of f, which must come from Init.
func Native(f *media.Frame) *astiav.Frame { return f.Native.(*astiav.Frame) } //nolint:forcetypeassert // see doc

func cframe(av *astiav.Frame) *C.AVFrame { return (*C.AVFrame)(av.UnsafePointer()) }

// Inspect returns what FFmpeg knows of a decoded picture.
func Inspect(av *astiav.Frame) Raw {
	return Raw{
		Pixel:      av.PixelFormat(),
		Interlaced: C.rave_frame_interlaced(cframe(av)) != 0,
		Damaged:    C.rave_frame_damage(cframe(av)) != 0,
	}
}

// FormatOf returns the media.Format of a picture, its colour resolved; ok is false when its pixels must be converted
// to YUV420P first (Pixel is YUV420P nevertheless: it is what the picture will be).
func FormatOf(av *astiav.Frame) (format media.Format, ok bool) {
	pix := av.PixelFormat()
	sar := av.SampleAspectRatio()
	format = media.Format{
		Width:  av.Width(),
		Height: av.Height(),
		Pixel:  media.YUV420P,
		SAR:    [2]int{sar.Num(), sar.Den()},
		Color: media.Color{
			Matrix:    media.Matrix(av.ColorSpace()),
			Primaries: uint8(cframe(av).color_primaries),
			Transfer:  uint8(cframe(av).color_trc),
			FullRange: av.ColorRange() == astiav.ColorRangeJpeg || fullRangeByName(pix),
		},
	}
	if av.ColorSpace() == astiav.ColorSpaceRgb { // RGB becomes YCbCr in the conversion
		format.Color.Matrix = media.MatrixUnspecified
	}
	format.Color = format.Color.Resolve(format.Height)
	return format, pix == astiav.PixelFormatYuv420P || pix == astiav.PixelFormatYuvj420P
}

func fullRangeByName(p astiav.PixelFormat) bool {
	switch p {
	case astiav.PixelFormatYuvj420P, astiav.PixelFormatYuvj422P, astiav.PixelFormatYuvj444P, astiav.PixelFormatYuvj440P:
		return true
	default:
		return false
	}
}

// Adopt makes the picture in f's AVFrame, which a decoder or filter has just filled, visible in f.Planes.
func Adopt(f *media.Frame, format media.Format) {
	f.Format = format
	attach(f)
}

// attach points f.Planes at the AVFrame's memory. Rows of a cropped picture start inside its buffer; a plane's slice
// runs from its first sample to its last.
func attach(f *media.Frame) {
	c := cframe(Native(f))
	for i := range f.Planes {
		h := f.Height
		w := f.Width
		if i > 0 {
			h, w = (h+1)/2, (w+1)/2
		}
		stride := int(c.linesize[i])
		n := stride*(h-1) + w
		f.Strides[i] = stride
		f.Planes[i] = unsafe.Slice((*byte)(unsafe.Pointer(c.data[i])), n)
	}
}

func setColor(av *astiav.Frame, format media.Format) {
	c := cframe(av)
	c.colorspace = C.enum_AVColorSpace(format.Color.Matrix)
	c.color_primaries = C.enum_AVColorPrimaries(unspecified(format.Color.Primaries))
	c.color_trc = C.enum_AVColorTransferCharacteristic(unspecified(format.Color.Transfer))
	c.color_range = C.AVCOL_RANGE_MPEG
	if format.Color.FullRange {
		c.color_range = C.AVCOL_RANGE_JPEG
	}
	c.sample_aspect_ratio = C.AVRational{num: C.int(format.SAR[0]), den: C.int(max(1, format.SAR[1]))}
}

// unspecified turns the reserved code point 0 into 2, unspecified (ITU-T H.273).
func unspecified(code uint8) uint8 {
	if code == 0 {
		return 2
	}
	return code
}
