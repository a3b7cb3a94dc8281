// Package model knows what an .onnx network needs to run on pictures: its layout, scale, element type and alignment;
// and it holds the networks that RAVE ships. It runs nothing.
package model

import (
	"errors"
	"fmt"
	"strings"
)

// Layout is what a network takes and gives.
type Layout uint8

// Layouts that the engine can feed.
const (
	// Luma: uint8 [1,1,H,W] in and [1,1,sH,sW] out. Chroma is resized beside the network.
	Luma Layout = iota + 1
	// RGB: float32 [1,3,H,W] in and [1,3,sH,sW] out, values 0 to 1, planes R, G, B.
	RGB
)

// String returns "luma" or "rgb".
func (l Layout) String() string {
	switch l {
	case Luma:
		return "luma"
	case RGB:
		return "rgb"
	default:
		return fmt.Sprintf("layout(%d)", uint8(l))
	}
}

// maxSide is the largest width or height of a picture.
const maxSide = 16384

// Tensor describes one input or output of a network; dimensions that are not fixed are -1. An output whose shape is not
// told has no Dims: running it tells.
type Tensor struct {
	Name string
	Type string // "uint8", "float32", …
	Dims []int64
}

// Spec is what the engine knows of a network.
type Spec struct {
	Layout        Layout
	Input, Output string // names of the tensors
	Width, Height int    // of the only input picture that it takes; 0 if any
	Align         int    // width and height must be a multiple of this; luma is padded to it, RGB refused
}

// ErrUnsupported is wrapped by every error about a network that the engine cannot feed.
var ErrUnsupported = errors.New("unsupported model")

// Read derives a Spec from a network's inputs and outputs and its metadata (key "align"), or says what is wrong with
// it and what it should be.
func Read(inputs, outputs []Tensor, metadata map[string]string) (Spec, error) {
	if len(inputs) != 1 || len(outputs) != 1 {
		return Spec{}, fmt.Errorf("%w: it has %s and %s; one image in and one image out is what RAVE can feed", ErrUnsupported,
			count(len(inputs), "input"), count(len(outputs), "output"))
	}
	in, out := inputs[0], outputs[0]
	spec := Spec{Input: in.Name, Output: out.Name, Align: 1}
	for i, t := range []Tensor{in, out} {
		if len(t.Dims) != 4 && (t.Dims != nil || i == 0) {
			return Spec{}, fmt.Errorf("%w: %q has %s; an image is [1, channels, height, width]", ErrUnsupported, t.Name,
				count(len(t.Dims), "dimension"))
		}
	}
	switch {
	case in.Type == "uint8" && out.Type == "uint8" && isOne(in.Dims[1]) && isOne(out.channels()):
		spec.Layout = Luma
	case in.Type == "float32" && out.Type == "float32" && in.Dims[1] == 3 && (out.channels() == 3 || out.channels() < 0):
		spec.Layout = RGB
	default:
		return Spec{}, fmt.Errorf("%w: it maps %s to %s; RAVE feeds luma as uint8 [1,1,H,W] or RGB as float32 [1,3,H,W], "+
			"and takes the same back", ErrUnsupported, in, out)
	}
	if in.Dims[2] > 0 && in.Dims[3] > 0 {
		if in.Dims[2] > maxSide || in.Dims[3] > maxSide {
			return Spec{}, fmt.Errorf("%w: it takes pictures of %dx%d; export it with dynamic height and width", ErrUnsupported,
				in.Dims[3], in.Dims[2])
		}
		spec.Height, spec.Width = int(in.Dims[2]), int(in.Dims[3])
	}
	if a := metadata["align"]; a != "" {
		if _, err := fmt.Sscanf(a, "%d", &spec.Align); err != nil || spec.Align < 1 || spec.Align > 256 {
			return Spec{}, fmt.Errorf("%w: its metadata says align=%.20q; 1 to 256 is possible", ErrUnsupported, a)
		}
	}
	return spec, nil
}

// ScaleOf returns the factor between an input and the output that a network made of it.
func ScaleOf(inW, inH, outW, outH int) (int, error) {
	s := outW / max(1, inW)
	if s < 1 || s > 8 || outW != s*inW || outH != s*inH {
		return 0, fmt.Errorf("%w: it makes %dx%d of %dx%d, which is not a whole multiple from 1 to 8", ErrUnsupported, outW, outH,
			inW, inH)
	}
	return s, nil
}

// channels returns the second dimension, or -1 if the shape is not told.
func (t Tensor) channels() int64 {
	if len(t.Dims) != 4 {
		return -1
	}
	return t.Dims[1]
}

// String returns "float32[1,3,?,?]".
func (t Tensor) String() string {
	dims := make([]string, len(t.Dims))
	for i, d := range t.Dims {
		if dims[i] = fmt.Sprint(d); d < 0 {
			dims[i] = "?"
		}
	}
	return t.Type + "[" + strings.Join(dims, ",") + "]"
}

func isOne(d int64) bool { return d == 1 || d < 0 }

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
