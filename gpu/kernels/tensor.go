package kernels

import (
	"fmt"

	"rave/gpu/cuda"
)

// Element is the type of a tensor's elements.
type Element uint8

// Element types. Values run from 0 to 1; Uint8 has 0 to 255 for that.
const (
	Uint8 Element = iota + 1
	Float16
	Float32
)

// String returns ONNX's name of the type.
func (e Element) String() string {
	switch e {
	case Uint8:
		return "uint8"
	case Float16:
		return "float16"
	case Float32:
		return "float32"
	default:
		return fmt.Sprintf("element(%d)", uint8(e))
	}
}

// Bytes returns the size of one element, and 0 for what is no type.
func (e Element) Bytes() int {
	switch e {
	case Uint8:
		return 1
	case Float16:
		return 2
	case Float32:
		return 4
	default:
		return 0
	}
}

// Tensor is a network's input or output for one picture, without gaps. Its shape is [1, C, H, W], or [1, H, W, C] if it is
// interleaved; C is 1 for luma and 3 for RGB, or four times that on half the width and height if it is folded.
//
// Luma is the picture's own code values; 1.0 is code 255 (of ten bits: 1020, or 1023 in full range). RGB is 0 to 1 whatever
// the picture's range.
type Tensor struct {
	Ptr         cuda.Ptr
	Bytes       int // that may be accessed from Ptr on
	Type        Element
	RGB         bool
	Interleaved bool // channels last
	// Fold is 2 for space-to-depth by 2 (inputs only), else 1. The channels of a position are ordered like ONNX's
	// SpaceToDepth: row, column, colour.
	Fold int
	Size // before folding: the picture's, or a larger one (padded)
}

func (t Tensor) channels() int {
	if t.RGB {
		return 3
	}
	return 1
}

// Need returns how many bytes the tensor takes.
func (t Tensor) Need() int { return t.Width * t.Height * t.channels() * t.Type.Bytes() }

func (t Tensor) check() error {
	if err := t.Size.check(); err != nil {
		return fmt.Errorf("tensor: %w", err)
	}
	switch {
	case t.Type.Bytes() == 0:
		return fmt.Errorf("tensor: type %v; uint8, float16 and float32 are possible", t.Type)
	case t.Fold != 1 && t.Fold != 2:
		return fmt.Errorf("tensor: space-to-depth by %d; 1 and 2 are possible", t.Fold)
	case t.Width%t.Fold != 0 || t.Height%t.Fold != 0:
		return fmt.Errorf("tensor: %v cannot be folded by %d", t.Size, t.Fold)
	case t.Ptr == 0 || int(t.Ptr)%t.Type.Bytes() != 0:
		return fmt.Errorf("tensor: address %#x of %v elements", uint64(t.Ptr), t.Type)
	case t.Bytes < t.Need():
		return fmt.Errorf("tensor: %v of %v with %d channels takes %d bytes, not %d", t.Type, t.Size, t.channels(), t.Need(), t.Bytes)
	}
	return nil
}

// holds reports an error if a picture is larger than the tensor.
func (t Tensor) holds(s Size) error {
	if s.Width > t.Width || s.Height > t.Height {
		return fmt.Errorf("a picture of %v in a tensor for %v", s, t.Size)
	}
	return nil
}

// aligned is 1 if each row begins at a multiple of 16 bytes, so that it can be accessed that many at a time.
func (t Tensor) aligned() int32 {
	row := t.Width / t.Fold * t.Type.Bytes()
	if t.Interleaved {
		row *= t.channels() * t.Fold * t.Fold
	}
	if t.Ptr%align == 0 && row%align == 0 {
		return 1
	}
	return 0
}

// kind names the tensor's type, colours and layout as in the kernels' names; luma in one channel is planar either way.
func (t Tensor) kind() (element, colours, layout string) {
	colours, layout = "luma", "planar"
	if t.RGB {
		colours = "rgb"
	}
	if t.Interleaved && (t.RGB || t.Fold == 2) {
		layout = "interleaved"
	}
	return t.Type.String(), colours, layout
}
