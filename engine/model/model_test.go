package model

import (
	"errors"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	tensor := func(typ string, dims ...int64) Tensor { return Tensor{Name: "x", Type: typ, Dims: dims} }
	for name, c := range map[string]struct {
		in, out  Tensor
		metadata map[string]string
		layout   Layout
		align    int
		err      string
	}{
		"luma":            {tensor("uint8", 1, 1, -1, -1), tensor("uint8", 1, 1, -1, -1), nil, Luma, 1, ""},
		"luma, aligned":   {tensor("uint8", 1, 1, -1, -1), tensor("uint8", 1, 1, -1, -1), map[string]string{"align": "4"}, Luma, 4, ""},
		"rgb":             {tensor("float32", 1, 3, -1, -1), tensor("float32", 1, 3, -1, -1), nil, RGB, 1, ""},
		"rgb, fixed":      {tensor("float32", 1, 3, 360, 640), tensor("float32", 1, 3, 720, 1280), nil, RGB, 1, ""},
		"half floats":     {tensor("float16", 1, 3, -1, -1), tensor("float16", 1, 3, -1, -1), nil, 0, 0, "float16[1,3,?,?]"},
		"mixed types":     {tensor("uint8", 1, 1, -1, -1), tensor("float32", 1, 1, -1, -1), nil, 0, 0, "maps uint8"},
		"four channels":   {tensor("float32", 1, 4, -1, -1), tensor("float32", 1, 4, -1, -1), nil, 0, 0, "RAVE feeds"},
		"three dims":      {tensor("float32", 3, -1, -1), tensor("float32", 3, -1, -1), nil, 0, 0, "3 dimensions"},
		"alignment junk":  {tensor("uint8", 1, 1, -1, -1), tensor("uint8", 1, 1, -1, -1), map[string]string{"align": "many"}, 0, 0, `align="many"`},
		"alignment large": {tensor("uint8", 1, 1, -1, -1), tensor("uint8", 1, 1, -1, -1), map[string]string{"align": "9999"}, 0, 0, "1 to 256"},
	} {
		spec, err := Read([]Tensor{c.in}, []Tensor{c.out}, c.metadata)
		switch {
		case c.err != "" && (err == nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: error %v, want %q", name, err, c.err)
		case c.err == "" && (err != nil || spec.Layout != c.layout || spec.Align != c.align):
			t.Errorf("%s: %+v, %v", name, spec, err)
		}
	}
	two := []Tensor{tensor("uint8", 1, 1, -1, -1), tensor("uint8", 1, 1, -1, -1)}
	if _, err := Read(two, two[:1], nil); err == nil || !strings.Contains(err.Error(), "2 inputs and 1 output") {
		t.Errorf("two inputs: %v", err)
	}
	spec, err := Read([]Tensor{tensor("float32", 1, 3, 360, 640)}, []Tensor{tensor("float32", 1, 3, 720, 1280)}, nil)
	if err != nil || spec.Width != 640 || spec.Height != 360 {
		t.Errorf("fixed size: %+v, %v", spec, err)
	}
}

func TestScaleOf(t *testing.T) {
	for _, c := range []struct{ inW, inH, outW, outH, want int }{
		{64, 48, 128, 96, 2}, {64, 48, 64, 48, 1}, {64, 48, 256, 192, 4},
		{64, 48, 96, 72, 0}, {64, 48, 128, 48, 0}, {64, 48, 32, 24, 0}, {64, 48, 1024, 768, 0}, {0, 0, 4, 4, 0},
	} {
		got, err := ScaleOf(c.inW, c.inH, c.outW, c.outH)
		if got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

func TestEmbedded(t *testing.T) {
	for _, name := range Names() {
		if n, ok := Embedded(name); !ok || n.Name != name || n.Scale < 1 || len(n.Data) < 1000 {
			t.Errorf("%s: %+v", name, n.Scale)
		}
	}
	if _, ok := Embedded("nothing"); ok {
		t.Error("a network that is not there")
	}
}
