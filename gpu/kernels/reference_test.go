package kernels_test

import (
	"math"
	"math/rand/v2"

	"rave/engine/media"
	"rave/gpu/kernels"
)

// The references: the definitions, in float64, one sample at a time.

// matrix is ITU-T H.273 clause 8.3 for one matrix, range and depth.
type matrix struct{ kr, kb, black, grey, luma, chroma, one float64 }

func matrixOf(c media.Color, pixel kernels.Pixel) matrix {
	k := map[media.Matrix][2]float64{
		media.MatrixBT709: {0.2126, 0.0722}, media.MatrixBT2020: {0.2627, 0.0593},
		media.MatrixSMPTE170M: {0.299, 0.114}, media.MatrixBT470BG: {0.299, 0.114},
	}[c.Matrix]
	if c.FullRange {
		peak := float64(top(pixel))
		return matrix{k[0], k[1], 0, (peak + 1) / 2, peak, peak, peak}
	}
	step := float64(top(pixel)+1) / 256
	return matrix{k[0], k[1], 16 * step, 128 * step, 219 * step, 224 * step, 255 * step}
}

func (m matrix) toRGB(y, u, v float64) [3]float64 {
	l, cb, cr := (y-m.black)/m.luma, (u-m.grey)/m.chroma, (v-m.grey)/m.chroma
	r, b := l+2*(1-m.kr)*cr, l+2*(1-m.kb)*cb
	return [3]float64{r, (l - m.kr*r - m.kb*b) / (1 - m.kr - m.kb), b}
}

func (m matrix) fromRGB(r, g, b float64) [3]float64 {
	l := m.kr*r + (1-m.kr-m.kb)*g + m.kb*b
	return [3]float64{m.black + m.luma*l, m.grey + m.chroma*(b-l)/(2*(1-m.kb)), m.grey + m.chroma*(r-l)/(2*(1-m.kr))}
}

func unit(v float64) float64 { return min(max(v, 0), 1) }

// weight is the filters' definition.
func weight(f kernels.Filter, d float64) float64 {
	d = math.Abs(d)
	if f == kernels.Lanczos {
		switch {
		case d == 0:
			return 1
		case d >= 3:
			return 0
		}
		x := math.Pi * d
		return 3 * math.Sin(x) * math.Sin(x/3) / (x * x)
	}
	const b, c = 0, 0.6 // Mitchell and Netravali's parameters
	switch {
	case d < 1:
		return ((12-9*b-6*c)*d*d*d + (-18+12*b+6*c)*d*d + 6 - 2*b) / 6
	case d < 2:
		return ((-b-6*c)*d*d*d + (6*b+30*c)*d*d + (-12*b-48*c)*d + 8*b + 24*c) / 6
	}
	return 0
}

// tap is an input sample that matters for an output sample, and its weight.
type tap struct {
	at     int
	weight float64
}

// axis returns the taps of each of n output samples. Sample i lies at (i + 0.5) × ratio - 0.5 of the input; where that is the
// finer side, the filter is widened.
func axis(f kernels.Filter, n int, ratio float64) [][]tap {
	taps := make([][]tap, n)
	wide := max(1, ratio)
	for i := range taps {
		centre := (float64(i)+0.5)*ratio - 0.5
		sum := 0.0
		for at := int(math.Floor(centre - 3*wide)); at <= int(math.Ceil(centre+3*wide)); at++ {
			if w := weight(f, (float64(at)-centre)/wide); w != 0 {
				taps[i] = append(taps[i], tap{at, w})
				sum += w
			}
		}
		for j := range taps[i] {
			taps[i][j].weight /= sum
		}
	}
	return taps
}

// resample returns what lies at a place of something that has samples at whole numbers.
func resample(columns, rows []tap, at func(x, y int) float64) float64 {
	sum := 0.0
	for _, row := range rows {
		for _, column := range columns {
			sum += row.weight * column.weight * at(column.at, row.at)
		}
	}
	return sum
}

func inputOf(p picture, t kernels.Tensor, c media.Color) []float64 {
	m := matrixOf(c, p.pixel)
	channels := 1
	if t.RGB {
		channels = 3
	}
	out := make([]float64, t.Width*t.Height*channels)
	w, h := t.Width/t.Fold, t.Height/t.Fold
	all := channels * t.Fold * t.Fold
	columns, rows := axis(kernels.Bicubic, p.Width, 0.5), axis(kernels.Bicubic, p.Height, 0.5)
	for y := range t.Height {
		for x := range t.Width {
			sx, sy := min(x, p.Width-1), min(y, p.Height-1)
			values := [3]float64{p.at(0, sx, sy) / m.one}
			if t.RGB {
				var uv [2]float64
				for i := range uv {
					uv[i] = resample(columns[sx], rows[sy], func(x, y int) float64 { return p.at(1+i, x, y) })
				}
				values = m.toRGB(p.at(0, sx, sy), uv[0], uv[1])
			}
			for k := range channels {
				channel := (y%t.Fold*t.Fold+x%t.Fold)*channels + k
				at := (channel*h+y/t.Fold)*w + x/t.Fold
				if t.Interleaved {
					at = (y/t.Fold*w+x/t.Fold)*all + channel
				}
				out[at] = unit(values[k])
			}
		}
	}
	return out
}

func rgbOutput(values []float64, t kernels.Tensor, s kernels.Surface, c media.Color) [3][]float64 {
	m := matrixOf(c, s.Pixel)
	at := func(x, y int) [3]float64 {
		x, y = min(max(x, 0), s.Width-1), min(max(y, 0), s.Height-1)
		var rgb [3]float64
		for k := range rgb {
			i := (k*t.Height+y)*t.Width + x
			if t.Interleaved {
				i = (y*t.Width+x)*3 + k
			}
			rgb[k] = unit(values[i])
		}
		return m.fromRGB(rgb[0], rgb[1], rgb[2])
	}
	var out [3][]float64
	for y := range s.Height {
		for x := range s.Width {
			out[0] = append(out[0], at(x, y)[0])
		}
	}
	columns, rows := axis(kernels.Bicubic, (s.Width+1)/2, 2), axis(kernels.Bicubic, (s.Height+1)/2, 2)
	for y := range rows {
		for x := range columns {
			for i := 1; i < 3; i++ {
				out[i] = append(out[i], resample(columns[x], rows[y], func(x, y int) float64 { return at(x, y)[i] }))
			}
		}
	}
	return out
}

func lumaOutput(values []float64, t kernels.Tensor, p picture, s kernels.Surface, full bool) [3][]float64 {
	m := matrixOf(media.Color{Matrix: media.MatrixBT709, FullRange: full}, s.Pixel)
	out := resized(p, p, s, kernels.Bicubic)
	for y := range s.Height {
		for x := range s.Width {
			out[0][y*s.Width+x] = m.one * values[y*t.Width+x]
		}
	}
	return out
}

func resized(luma, chroma picture, s kernels.Surface, f kernels.Filter) [3][]float64 {
	gain := float64(top(s.Pixel)+1) / float64(top(luma.pixel)+1)
	var out [3][]float64
	for plane := range out {
		from, to, p := luma.Size, s.Size, luma
		if plane > 0 {
			p = chroma
			from, to = p.chroma(), kernels.Size{Width: (s.Width + 1) / 2, Height: (s.Height + 1) / 2}
		}
		columns := axis(f, to.Width, float64(from.Width)/float64(to.Width))
		rows := axis(f, to.Height, float64(from.Height)/float64(to.Height))
		for y := range rows {
			for x := range columns {
				v := resample(columns[x], rows[y], func(x, y int) float64 { return p.at(plane, x, y) })
				out[plane] = append(out[plane], gain*v)
			}
		}
	}
	return out
}

// moving returns three interlaced frames of noise that partly stands still and partly drifts.
func moving(rng *rand.Rand, pixel kernels.Pixel, width, height int) [3]picture {
	var frames [3]picture
	base := random(rng, pixel, width, height)
	for i := range frames {
		frames[i] = empty(pixel, base.Size)
		for plane := range base.planes {
			w := base.width(plane)
			for j := range base.planes[plane] {
				x, y := j%w, j/w
				v := base.at(plane, x, y)
				switch x / 8 % 3 {
				case 1: // slow changes
					v = min(v+float64(rng.IntN(4)*i), float64(top(pixel)))
				case 2:
					v = base.at(plane, x+(2*i+y%2)%7-3, y)
				}
				frames[i].planes[plane][j] = int(v)
			}
		}
	}
	return frames
}

// deinterlaced is bwdif's arithmetic, in whole numbers.
func deinterlaced(frames [3]picture, f kernels.Field) picture {
	out := empty(frames[1].pixel, frames[1].Size)
	for plane := range out.planes {
		w := out.width(plane)
		h := len(out.planes[plane]) / w
		for y := range h {
			for x := range w {
				v := frames[1].planes[plane][y*w+x]
				if (y%2 == 0) == (f.TopFirst == f.Second) { // not of the field that is kept
					v = min(max(missing(frames, f, plane, x, y, h), 0), top(out.pixel))
				}
				out.planes[plane][y*w+x] = v
			}
		}
	}
	return out
}

func missing(frames [3]picture, f kernels.Field, plane, x, y, h int) int {
	line := func(frame, y int) int { return int(frames[frame].at(plane, x, y)) }
	up, down := y-1, y+1
	if up < 0 {
		up = down
	}
	if down >= h {
		down = y - 1
	}
	c, e := line(1, up), line(1, down)
	if f.Alone {
		farUp, farDown := y-3, y+3
		if farUp < 0 {
			farUp = y + 1
		}
		if farDown >= h {
			farDown = y - 1
		}
		return (5077*(c+e) - 981*(line(1, farUp)+line(1, farDown))) >> 13
	}
	before := 0
	if f.Second {
		before = 1
	}
	both := func(d int) int { return line(before, y+d) + line(before+1, y+d) }
	abs := func(v int) int { return max(v, -v) }
	d := both(0) >> 1
	change := abs(line(before, y) - line(before+1, y))
	earlier := (abs(line(0, up)-c) + abs(line(0, down)-e)) >> 1
	later := (abs(line(2, up)-c) + abs(line(2, down)-e)) >> 1
	slack := max(change>>1, earlier, later)
	if slack == 0 {
		return d
	}
	if y >= 2 && y+3 <= h {
		b, g := both(-2)>>1-c, both(2)>>1-e
		high, low := max(d-e, d-c, min(b, g)), min(d-e, d-c, max(b, g))
		slack = max(slack, low, -high)
	}
	v := (c + e) >> 1
	if y >= 4 && y+5 <= h {
		far := line(1, y-3) + line(1, y+3)
		if abs(c-e) > change {
			v = ((5570*both(0)-3801*(both(-2)+both(2))+1016*(both(-4)+both(4)))>>2 + 4309*(c+e) - 213*far) >> 13
		} else {
			v = (5077*(c+e) - 981*far) >> 13
		}
	}
	return min(max(v, d-slack), d+slack)
}
