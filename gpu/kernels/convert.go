package kernels

import (
	"fmt"
	"slices"

	"rave/engine/media"
	"rave/gpu/cuda"
)

// Input makes a network's input of a picture: converted with the picture's matrix and range, chroma interpolated as swscale
// does (bicubic, samples at the centres of 2×2 pixels), padded by repeating the last column and row.
func (k *Kernels) Input(s *cuda.Stream, to Tensor, from Surface, c media.Color) error {
	if err := firstOf(from.check("picture"), to.check(), to.holds(from.Size)); err != nil {
		return fmt.Errorf("make a network's input: %w", err)
	}
	m, err := coloursOf(c, from.Pixel)
	if err != nil {
		return fmt.Errorf("make a network's input: %w", err)
	}
	matrix := m.toLuma()
	if to.RGB {
		matrix = m.toRGB()
	}
	element, colours, layout := to.kind()
	name := fmt.Sprintf("input_%v_%s_%s_%s_%d", from.Pixel, element, colours, layout, to.Fold)
	columns := to.columns() // of pixels that a thread makes, two rows high
	args := slices.Concat(from.args(), []any{to.Ptr, int32(to.Width), int32(to.Height), to.aligned()}, matrix)
	return k.launch(s, input, name, divUp(to.Width, 32*columns), divUp(to.Height, 8), [2]uint32{32, 4}, args)
}

// columns is how many pixels wide a thread's part is: Input::W in input.cu.
func (t Tensor) columns() int {
	switch {
	case t.Fold == 1:
		return 16 / t.Type.Bytes()
	case t.Interleaved || t.Type == Float32:
		return 8
	default:
		return 16
	}
}

// OutputRGB makes a picture of a network's RGB output, with the given matrix and range. Chroma is halved as swscale does
// (bicubic). A tensor that is larger than the picture is cropped at the right and the bottom.
func (k *Kernels) OutputRGB(s *cuda.Stream, to Surface, from Tensor, c media.Color) error {
	if err := firstOf(to.check("picture"), from.check(), from.holds(to.Size)); err != nil {
		return fmt.Errorf("make a picture of a network's output: %w", err)
	}
	if !from.RGB || from.Fold != 1 {
		return fmt.Errorf("make a picture of a network's RGB output: %s", "the tensor is luma or folded")
	}
	m, err := coloursOf(c, to.Pixel)
	if err != nil {
		return fmt.Errorf("make a picture of a network's output: %w", err)
	}
	element, colours, layout := from.kind()
	name := fmt.Sprintf("output_%v_%s_%s_%s", to.Pixel, element, colours, layout)
	args := slices.Concat([]any{from.Ptr, int32(from.Width), int32(from.Height), from.aligned()}, to.args(), m.fromRGB())
	return k.launch(s, output, name, divUp(to.Width, 128), divUp(to.Height, 16), [2]uint32{256, 1}, args)
}

// OutputLuma makes a picture of a luma network's output. Its chroma is that of picture, which went into the network, resized
// by scaling, which must lead from picture's size to that of to. fullRange is the range of both.
func (k *Kernels) OutputLuma(s *cuda.Stream, to Surface, from Tensor, picture Surface, scaling *Scaling, fullRange bool) error {
	if err := firstOf(to.check("picture"), picture.check("picture for chroma"), from.check(), from.holds(to.Size),
		scaling.check(scaling.luma, picture.Size, to.Size)); err != nil {
		return fmt.Errorf("make a picture of a network's output: %w", err)
	}
	if from.RGB || from.Fold != 1 {
		return fmt.Errorf("make a picture of a luma network's output: %s", "the tensor is RGB or folded")
	}
	if to.Pixel > picture.Pixel {
		return fmt.Errorf("make a picture of a network's output: %v cannot be made with chroma of %v", to.Pixel, picture.Pixel)
	}
	m, err := coloursOf(media.Color{Matrix: media.MatrixBT709, FullRange: fullRange}, to.Pixel)
	if err != nil {
		return err
	}
	doubled := int32(0)
	if scaling.chromaDoubled() && scaling.filter == Bicubic {
		doubled = 1
	}
	c := picture.chroma()
	name := fmt.Sprintf("output_%v_%v_%v_luma", picture.Pixel, to.Pixel, from.Type)
	args := slices.Concat([]any{from.Ptr, int32(from.Width), from.aligned(), float32(m.one)}, to.args(),
		[]any{picture.Chroma.Ptr, int32(picture.Chroma.Pitch), int32(c.Width), int32(c.Height)},
		scaling.axes[chromaColumns].args(), scaling.axes[chromaRows].args(),
		[]any{float32(gain(picture.Pixel, to.Pixel)), doubled})
	return k.launch(s, output, name, divUp(to.Width, 512), divUp(to.Height, 8), [2]uint32{32, 4}, args)
}

// gain is what code values are multiplied by from one depth to another.
func gain(from, to Pixel) float64 {
	switch {
	case from == P010 && to == NV12:
		return 0.25
	case from == NV12 && to == P010:
		return 4
	default:
		return 1
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
