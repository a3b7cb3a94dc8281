package kernels

import (
	"fmt"
	"slices"

	"rave/gpu/cuda"
)

// Field says which of a frame's two fields a picture is made of.
type Field struct {
	TopFirst bool // the frame's top field is the earlier one
	Second   bool // the later field is meant
	// Alone makes the picture of the field by itself, for a frame that has none before or after it. Such are not looked at.
	Alone bool
}

// Deinterlace makes a whole picture of one field of the middle one of three frames in a row, as FFmpeg's bwdif does. Called
// for the first and the second field it gives pictures at the field rate: 50 a second of 1080i50.
func (k *Kernels) Deinterlace(s *cuda.Stream, to Surface, frames [3]Surface, f Field) error {
	if f.Alone {
		frames[0], frames[2] = frames[1], frames[1]
	}
	for _, frame := range frames {
		if err := firstOf(frame.check("frame"), same(to, frame)); err != nil {
			return fmt.Errorf("deinterlace: %w", err)
		}
		if frame.Luma.Ptr == to.Luma.Ptr || frame.Chroma.Ptr == to.Chroma.Ptr {
			return fmt.Errorf("deinterlace: %s", "a frame cannot be deinterlaced in place")
		}
	}
	if err := to.check("picture made"); err != nil {
		return fmt.Errorf("deinterlace: %w", err)
	}
	if to.chroma().Height < 4 {
		return fmt.Errorf("deinterlace: %v is too low: seven lines are needed", to.Size)
	}
	first := int32(0)
	if f.TopFirst == f.Second {
		first = 1 // the bottom field is kept
	}
	const rows = 4 * 8 // of a block
	lumaBlocks := divUp(to.Height, rows)
	args := make([]any, 0, 32)
	for _, frame := range frames {
		args = append(args, frame.Luma.Ptr)
	}
	for _, frame := range frames {
		args = append(args, frame.Chroma.Ptr)
	}
	for _, frame := range frames {
		args = append(args, int32(frame.Luma.Pitch))
	}
	for _, frame := range frames {
		args = append(args, int32(frame.Chroma.Pitch))
	}
	args = slices.Concat(args, to.args(), []any{first, number(f.Second), number(f.Alone), int32(lumaBlocks)})
	return k.launch(s, deinterlace, "deinterlace_"+to.Pixel.String(), divUp(2*to.chroma().Width, 128), lumaBlocks+divUp(to.chroma().Height, rows),
		[2]uint32{32, 4}, args)
}

func number(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// Mix makes into the mean of into and from, into's share (0 to 1) of it rounded to 1/256: a step of a fade.
func (k *Kernels) Mix(s *cuda.Stream, into, from Surface, share float64) error {
	if err := firstOf(into.check("picture"), from.check("picture"), same(into, from)); err != nil {
		return fmt.Errorf("mix pictures: %w", err)
	}
	if !(share >= 0 && share <= 1) {
		return fmt.Errorf("mix pictures: a share of %v; 0 to 1 is possible", share)
	}
	const rows = 4 // of a block
	lumaBlocks := divUp(into.Height, rows)
	args := slices.Concat(into.args(), from.args(), []any{uint32(share*256 + 0.5), int32(lumaBlocks)})
	return k.launch(s, mix, "mix_"+into.Pixel.String(), divUp(2*into.chroma().Width*into.Pixel.bytes(), 512),
		lumaBlocks+divUp(into.chroma().Height, rows), [2]uint32{32, 4}, args)
}
