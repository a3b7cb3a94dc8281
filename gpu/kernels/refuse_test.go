package kernels_test

import (
	"strings"
	"testing"

	"rave/engine/media"
	"rave/gpu/cuda"
	"rave/gpu/kernels"
)

// TestRefuses: what does not fit is an error, and nothing is launched.
func TestRefuses(t *testing.T) {
	if requireGPU() {
		t.Skip("RAVE_REQUIRE_GPU is set: the host is left out, and this needs no GPU")
	}
	g := open(t, hostLibrary(t))
	small, large := kernels.Size{Width: 64, Height: 32}, kernels.Size{Width: 128, Height: 64}
	in, in10, out, wide := g.surface(t, kernels.NV12, small).Surface, g.surface(t, kernels.P010, small).Surface, g.surface(t, kernels.NV12, large).Surface, g.surface(t, kernels.P010, large).Surface
	memory := g.alloc(t, 3*4*large.Width*large.Height)
	tensor := kernels.Tensor{Ptr: memory.Ptr(), Bytes: memory.Len(), Type: kernels.Float32, Fold: 1, Size: large}
	scaling := g.scaling(t, kernels.Bicubic, small, small, large)
	c := media.Color{Matrix: media.MatrixBT709}
	k, s := g.kernels, g.stream
	surface := func(f func(*kernels.Surface)) error {
		bad := in
		f(&bad)
		return k.Mix(s, bad, in, 0.5)
	}
	input := func(f func(*kernels.Tensor)) error {
		bad := tensor
		f(&bad)
		return k.Input(s, bad, out, c)
	}
	scale := func(f kernels.Filter, luma, to kernels.Size) error {
		_, err := kernels.NewScaling(g.context, s, f, luma, luma, to)
		return err
	}
	rgb := tensor
	rgb.RGB = true
	_, none := kernels.NewSurface(kernels.NV12, small, memory.Ptr(), 100)
	for want, err := range map[string]error{
		"layout pixel(9)":           surface(func(p *kernels.Surface) { p.Pixel = 9 }),
		"a size of 0x32":            surface(func(p *kernels.Surface) { p.Width = 0 }),
		"a size of 64x-1":           surface(func(p *kernels.Surface) { p.Height = -1 }),
		"a size of 99999x32":        surface(func(p *kernels.Surface) { p.Width = 99999 }),
		"luma: address 0x":          surface(func(p *kernels.Surface) { p.Luma.Ptr++ }),
		"chroma: address 0x0":       surface(func(p *kernels.Surface) { p.Chroma.Ptr = 0 }),
		"a pitch of 48 bytes":       surface(func(p *kernels.Surface) { p.Luma.Pitch = 48 }),
		"a pitch of 65 bytes":       surface(func(p *kernels.Surface) { p.Luma.Pitch = 65 }),
		"hold no 32 rows":           surface(func(p *kernels.Surface) { p.Luma.Bytes = 31 * p.Luma.Pitch }),
		"hold no 16 rows":           surface(func(p *kernels.Surface) { p.Chroma.Bytes = 15 * p.Chroma.Pitch }),
		"takes 12288 bytes":         none,
		"64x32 nv12 and 128x64":     k.Mix(s, in, out, 0.5),
		"a share of 1.5":            k.Mix(s, in, in, 1.5),
		"type element(0)":           input(func(t *kernels.Tensor) { t.Type = 0 }),
		"space-to-depth by 3":       input(func(t *kernels.Tensor) { t.Fold = 3 }),
		"129x64 cannot be folded":   input(func(t *kernels.Tensor) { t.Width, t.Fold = 129, 2 }),
		"address 0x0 of float32":    input(func(t *kernels.Tensor) { t.Ptr = 0 }),
		"takes 98304 bytes, not 9":  input(func(t *kernels.Tensor) { t.RGB, t.Bytes = true, 9 }),
		"128x64 in a tensor for 64": input(func(t *kernels.Tensor) { t.Width = 64 }),
		"colour matrix 3":           k.Input(s, tensor, out, media.Color{Matrix: 3}),
		"the tensor is luma":        k.OutputRGB(s, out, tensor, c),
		"the tensor is RGB":         k.OutputLuma(s, out, rgb, in, scaling, false),
		"p010 cannot be made":       k.OutputLuma(s, wide, tensor, in, scaling, false),
		"(chroma of 128x64)":        k.OutputLuma(s, out, tensor, out, scaling, false),
		"luma of nv12 and chroma":   k.Resize(s, out, in, in10, scaling),
		"to 64x32 are given to":     k.Resize(s, in, in, in, scaling),
		"at most to 1/32":           scale(kernels.Lanczos, kernels.Size{Width: 1000, Height: 10}, kernels.Size{Width: 10, Height: 10}),
		"filter 7":                  scale(7, small, large),
		"resize: a size of 0x0":     scale(kernels.Lanczos, kernels.Size{}, large),
		"in place":                  k.Deinterlace(s, in, [3]kernels.Surface{in, in, in}, kernels.Field{}),
		"nv12 and 64x32 p010":       k.Deinterlace(s, in, [3]kernels.Surface{in10, in10, in10}, kernels.Field{}),
		"all must be multiples":     k.Copy(s, memory.Ptr(), memory.Ptr()+cuda.Ptr(16), 17),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
