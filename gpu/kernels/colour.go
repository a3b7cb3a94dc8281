package kernels

import (
	"fmt"

	"rave/engine/media"
)

// colours is the arithmetic of ITU-T H.273 clause 8.3 for one matrix, range and depth, in code values.
type colours struct {
	kr, kb      float64
	black, grey float64 // code values of no luma and of no colour
	luma        float64 // code values from black to white
	chroma      float64 // from one end of a colour difference to the other
	one         float64 // code value that stands for 1 in a luma tensor
}

func coloursOf(c media.Color, p Pixel) (colours, error) {
	var k colours
	switch c.Matrix {
	case media.MatrixBT709:
		k.kr, k.kb = 0.2126, 0.0722
	case media.MatrixBT470BG, media.MatrixSMPTE170M:
		k.kr, k.kb = 0.299, 0.114
	case media.MatrixBT2020:
		k.kr, k.kb = 0.2627, 0.0593
	default:
		return k, fmt.Errorf("colour matrix %d (ITU-T H.273 table 4); 1, 5, 6 and 9 are possible", c.Matrix)
	}
	step := 1.0 // code values for one of eight bits
	if p == P010 {
		step = 4
	}
	k.grey, k.one = 128*step, 255*step
	if c.FullRange {
		k.luma = 256*step - 1
		k.chroma, k.one = k.luma, k.luma
	} else {
		k.black, k.luma, k.chroma = 16*step, 219*step, 224*step
	}
	return k, nil
}

// toRGB returns the parameters of an input kernel's matrix: of luma, then of V for R, of U and V for G, of U for B, and what
// is added to R, G and B.
func (k colours) toRGB() []any {
	kg := 1 - k.kr - k.kb
	y := 1 / k.luma
	rv, bu := 2*(1-k.kr)/k.chroma, 2*(1-k.kb)/k.chroma
	gu, gv := -bu*k.kb/kg, -rv*k.kr/kg
	black := -k.black * y
	return floats(y, rv, gu, gv, bu, black-rv*k.grey, black-(gu+gv)*k.grey, black-bu*k.grey)
}

// toLuma returns the same for a luma tensor.
func (k colours) toLuma() []any { return floats(1/k.one, 0, 0, 0, 0, 0, 0, 0) }

// fromRGB returns the parameters of an output kernel: the weights of R, G and B in Y, U and V, black and grey.
func (k colours) fromRGB() []any {
	kg := 1 - k.kr - k.kb
	u, v := k.chroma/(2*(1-k.kb)), k.chroma/(2*(1-k.kr))
	return floats(k.luma*k.kr, k.luma*kg, k.luma*k.kb,
		-u*k.kr, -u*kg, u*(1-k.kb),
		v*(1-k.kr), -v*kg, -v*k.kb,
		k.black, k.grey)
}

// floats makes kernel arguments.
func floats(v ...float64) []any {
	args := make([]any, len(v))
	for i, x := range v {
		args[i] = float32(x)
	}
	return args
}
