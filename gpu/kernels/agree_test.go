package kernels_test

import (
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rave/bench/peer"
	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/gpu/kernels"
)

// natural returns a picture such as cameras see: smooth, with edges, a little noise, no clipping.
func natural(rng *rand.Rand, width, height int) picture {
	p := empty(kernels.NV12, kernels.Size{Width: width, Height: height})
	for plane := range p.planes {
		w := p.width(plane)
		for i := range p.planes[plane] {
			x, y := float64(i%w)/float64(w), float64(i/w)/float64(w)
			v := 128 + 40*math.Sin(9*x+5*y+float64(plane)) + 25*math.Sin(40*x*y)
			if int(x*12)%2 == int(y*12)%2 {
				v += 15
			}
			p.planes[plane][i] = int(v + rng.NormFloat64()*3)
		}
	}
	return p
}

// frame makes what the CPU backend works on of a picture.
func frame(t *testing.T, p picture, c media.Color) *media.Frame {
	t.Helper()
	format := media.Format{Width: p.Width, Height: p.Height, Pixel: media.YUV420P, Color: c, SAR: [2]int{1, 1}}
	pool, err := engine.NewPool(1, &engine.Ledger{}, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := pool.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.Release()
		pool.Close()
	})
	for plane := range p.planes {
		w := p.width(plane)
		for i, v := range p.planes[plane] {
			f.Planes[plane][i/w*f.Strides[plane]+i%w] = byte(v)
		}
	}
	return f
}

func pictureOf(f *media.Frame) picture {
	p := empty(kernels.NV12, kernels.Size{Width: f.Width, Height: f.Height})
	for plane := range p.planes {
		w := p.width(plane)
		for i := range p.planes[plane] {
			p.planes[plane][i] = int(f.Planes[plane][i/w*f.Strides[plane]+i%w])
		}
	}
	return p
}

func scaler(t *testing.T, from, to ffmpeg.Picture, f ffmpeg.Filter) *ffmpeg.Scaler {
	t.Helper()
	s, err := ffmpeg.NewScaler(from, to, f, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// psnr compares values whose peak is 1.
func psnr(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return 10 * math.Log10(float64(len(a))/sum)
}

func (p picture) unit(plane int) []float64 {
	values := make([]float64, len(p.planes[plane]))
	for i, v := range p.planes[plane] {
		values[i] = float64(v) / float64(top(p.pixel))
	}
	return values
}

// enough is what CPU and GPU must agree by, in dB.
const enough = 50

func agree(t *testing.T, what string, gpu, cpu picture) {
	t.Helper()
	for plane := range gpu.planes {
		db := psnr(gpu.unit(plane), cpu.unit(plane))
		t.Logf("%s, plane %d: %.1f dB", what, plane, db)
		if db < enough {
			t.Errorf("%s, plane %d: GPU and CPU agree by %.1f dB, want %v", what, plane, db, enough)
		}
	}
}

// TestAgreesWithSwscale: the kernels give what the CPU backend gives.
func TestAgreesWithSwscale(t *testing.T) {
	each(t, func(t *testing.T, g *gpu) {
		p := natural(rand.New(rand.NewPCG(15, 16)), 320, 180)
		in := g.upload(t, p).Surface
		for _, size := range []kernels.Size{{Width: 640, Height: 360}, {Width: 480, Height: 270}, {Width: 960, Height: 540}, {Width: 240, Height: 136}} {
			c := media.Color{Matrix: media.MatrixBT709}
			out := frame(t, empty(kernels.NV12, size), c)
			cpu := frame(t, p, c)
			for name, f := range map[string]struct {
				cpu ffmpeg.Filter
				gpu kernels.Filter
			}{"lanczos": {ffmpeg.Lanczos, kernels.Lanczos}, "bicubic": {ffmpeg.Bicubic, kernels.Bicubic}} {
				s := scaler(t, ffmpeg.PictureOf(cpu.Format), ffmpeg.PictureOf(out.Format), f.cpu)
				if err := s.Frames(ffmpeg.Native(out), ffmpeg.Native(cpu)); err != nil {
					t.Fatal(err)
				}
				to := g.surface(t, kernels.NV12, size)
				g.check(t, g.kernels.Resize(g.stream, to.Surface, in, in, g.scaling(t, f.gpu, p.Size, p.Size, size)))
				agree(t, name+" to "+size.String(), g.download(t, to), pictureOf(out))
			}
		}
		for _, c := range colours {
			if c.Matrix != media.MatrixBT2020 { // a matrix of ten-bit video, which the CPU converts beforehand
				testRGBAgrees(t, g, p, in, c)
			}
		}
	})
}

func testRGBAgrees(t *testing.T, g *gpu, p picture, in kernels.Surface, c media.Color) {
	t.Helper()
	cpu := frame(t, p, c)
	rgb := ffmpeg.Picture{Width: p.Width, Height: p.Height, Pixel: ffmpeg.RGBFloat, Color: media.Color{Matrix: media.MatrixBT709, FullRange: true}}
	want := make([]float32, 3*p.Width*p.Height)
	if err := scaler(t, ffmpeg.PictureOf(cpu.Format), rgb, ffmpeg.ConvertExact).ToRGB(want, ffmpeg.Native(cpu)); err != nil {
		t.Fatal(err)
	}
	tensor := kernels.Tensor{Type: kernels.Float32, RGB: true, Fold: 1, Size: p.Size}
	memory := g.alloc(t, tensor.Need())
	tensor.Ptr, tensor.Bytes = memory.Ptr(), memory.Len()
	g.check(t, g.kernels.Input(g.stream, tensor, in, c))
	data := make([]byte, memory.Len())
	g.check(t, g.stream.Download(data, memory.Ptr()))
	g.check(t, g.stream.Sync())
	exact := make([]float64, len(want))
	for i, v := range want {
		exact[i] = float64(v)
	}
	db := psnr(decode(kernels.Float32, data), exact)
	t.Logf("to RGB, %+v: %.1f dB", c, db)
	if db < enough {
		t.Errorf("to RGB, %+v: GPU and CPU agree by %.1f dB, want %v", c, db, enough)
	}
	out := frame(t, empty(kernels.NV12, p.Size), c)
	got := decode(kernels.Float32, data)
	back := make([]float32, len(got))
	for i, v := range got {
		back[i] = float32(v)
	}
	if err := scaler(t, rgb, ffmpeg.PictureOf(out.Format), ffmpeg.ConvertExact).FromRGB(ffmpeg.Native(out), back); err != nil {
		t.Fatal(err)
	}
	to := g.surface(t, kernels.NV12, p.Size)
	g.check(t, g.kernels.OutputRGB(g.stream, to.Surface, tensor, c))
	agree(t, "from RGB", g.download(t, to), pictureOf(out))
}

// TestAgreesWithBwdif: deinterlaced at the field rate, a moving picture is what FFmpeg's bwdif makes of it.
func TestAgreesWithBwdif(t *testing.T) {
	program := peer.Need(t, peer.FFmpeg)
	const n = 6
	rng := rand.New(rand.NewPCG(17, 18))
	still := natural(rng, 192, 64)
	frames := make([]picture, n)
	raw := []byte{}
	for i := range frames {
		frames[i] = empty(kernels.NV12, still.Size)
		for plane := range frames[i].planes {
			w := still.width(plane)
			for j := range frames[i].planes[plane] {
				x, y := j%w, j/w
				if x > w/3 { // the field that is later has moved on
					x += 2*i + y%2
				}
				frames[i].planes[plane][j] = int(still.at(plane, x, y+i/3)) + rng.IntN(2)
			}
			for _, v := range frames[i].planes[plane] {
				raw = append(raw, byte(v))
			}
		}
	}
	file := filepath.Join(t.TempDir(), "interlaced.yuv")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", still.String(), "-i", file,
		"-vf", "setfield=tff,bwdif=mode=send_field:parity=tff:deint=all", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 2*len(raw) {
		t.Fatalf("FFmpeg made %d bytes of %d, want twice as many", len(out), len(raw))
	}
	each(t, func(t *testing.T, g *gpu) {
		in := make([]kernels.Surface, n)
		for i, f := range frames {
			in[i] = g.upload(t, f).Surface
		}
		for i := 1; i < n-1; i++ {
			for second := range 2 {
				to := g.surface(t, kernels.NV12, still.Size)
				g.check(t, g.kernels.Deinterlace(g.stream, to.Surface, [3]kernels.Surface{in[i-1], in[i], in[i+1]}, kernels.Field{TopFirst: true, Second: second == 1}))
				got, at := g.download(t, to), (2*i+second)*len(raw)/n
				for plane := range got.planes {
					for j, v := range got.planes[plane] {
						if v != int(out[at]) {
							t.Fatalf("frame %d, field %d, plane %d: sample %d (line %d) is %d, FFmpeg's is %d", i, second, plane, j, j/got.width(plane), v, out[at])
						}
						at++
					}
				}
			}
		}
	})
}
