package ort

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"rave/engine/model"
	"rave/gpu/cuda"
)

// onGPU gives a real GPU's context, a stream and ONNX Runtime with its provider.
func onGPU(t *testing.T) (*cuda.Context, *cuda.Stream, *Runtime) {
	t.Helper()
	if os.Getenv(requireGPU) == "" {
		t.Skip("needs a GPU: " + requireGPU + " is not set")
	}
	runtime.LockOSThread()
	d, err := cuda.Open(cuda.System())
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.Retain(0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := Preload(cuda.System(), core(t)); err != nil {
		t.Fatal(err)
	}
	r, err := Open(cuda.System(), core(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(), s.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	})
	return c, s, r
}

// floats are n random values from 0 to 1 as float32.
func floats(n int) []byte {
	b := make([]byte, 4*n)
	_, _ = rand.Read(b)
	for i := range n {
		v := float32(binary.LittleEndian.Uint32(b[4*i:])>>8) / (1 << 24)
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	return b
}

// A network that copies gives exactly what it got, with and without a CUDA graph, on two slots in turn, and the stream's
// order alone makes it right: the input is copied after a delay on the GPU, and nothing waits until the output has been
// copied out.
func TestGPURun(t *testing.T) {
	const w, h = 640, 360
	c, stream, r := onGPU(t)
	for _, graph := range []bool{false, true} {
		t.Run("graph="+strconv.FormatBool(graph), func(t *testing.T) {
			s, err := r.NewSession(Config{Name: "rgb-copy-x2", Model: network(t, "rgb-copy-x2"), Stream: stream, Graph: graph})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			type slot struct {
				in, out *cuda.Memory
				b       *Binding
			}
			var slots []slot
			for i := range 2 {
				in, err := c.Alloc(4 * 3 * w * h)
				if err != nil {
					t.Fatal(err)
				}
				out, err := c.Alloc(4 * in.Len())
				if err != nil {
					t.Fatal(err)
				}
				number := 0
				if graph {
					number = i + 1
				}
				b, err := s.NewBinding(
					map[string]Tensor{"rgb": {Ptr: in.Ptr(), Bytes: in.Len(), Type: Float32, Shape: []int64{1, 3, h, w}}},
					map[string]Tensor{"rgb_x2": {Ptr: out.Ptr(), Bytes: out.Len(), Type: Float32, Shape: []int64{1, 3, 2 * h, 2 * w}}}, number)
				if err != nil {
					t.Fatal(err)
				}
				defer in.Close()
				defer out.Close()
				defer b.Close()
				slots = append(slots, slot{in, out, b})
			}
			const ballast = 4 << 30 // setting it takes a millisecond or two
			delay, err := c.Alloc(ballast)
			if err != nil {
				t.Fatal(err)
			}
			defer delay.Close()
			pinnedIn, err := c.AllocPinned(slots[0].in.Len())
			if err != nil {
				t.Fatal(err)
			}
			defer pinnedIn.Close()
			pinnedOut, err := c.AllocPinned(slots[0].out.Len())
			if err != nil {
				t.Fatal(err)
			}
			defer pinnedOut.Close()
			want, got := pinnedIn.Bytes(), pinnedOut.Bytes()
			for i := range 12 {
				at := slots[i%2]
				copy(want, floats(3*w*h))
				clear(got)
				err := errors.Join(stream.Set(delay.Ptr(), byte(i), ballast), stream.Set(at.in.Ptr(), 0xff, at.in.Len()), stream.Set(at.out.Ptr(), 0xff, at.out.Len()),
					stream.CopyIn(at.in.Ptr(), pinnedIn, len(want)), s.Run(at.b), stream.CopyOut(pinnedOut, at.out.Ptr(), len(got)), stream.Sync())
				if err != nil {
					t.Fatalf("run %d: %v", i, err)
				}
				for p := range 3 * 2 * h * 2 * w {
					from := p/(4*w*h)*w*h + p%(4*w*h)/(2*w)/2*w + p%(2*w)/2
					if !bytes.Equal(got[4*p:4*p+4], want[4*from:4*from+4]) {
						t.Fatalf("run %d: value %d is not that of %d", i, p, from)
					}
				}
			}
			begin := time.Now()
			const runs = 200
			for i := range runs {
				if err := s.Run(slots[i%2].b); err != nil {
					t.Fatal(err)
				}
			}
			queued := time.Since(begin)
			if err := stream.Sync(); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d runs: queued after %v, done after %v", runs, queued, time.Since(begin))
		})
	}
}

// A network whose nodes would run on the CPU is refused, not run there. What is shipped is quantised: this tells which of
// it the provider takes.
func TestGPUModels(t *testing.T) {
	_, stream, r := onGPU(t)
	for _, name := range append(model.Names(), "luma-copy-x2", "luma-slow-x2", "rgb-copy-x1", "../train/gpu/live-x2-l") {
		data := []byte(nil)
		if n, ok := model.Embedded(name); ok {
			data = n.Data
		} else {
			data = network(t, name)
		}
		for _, nhwc := range []bool{false, true} {
			s, err := r.NewSession(Config{Name: name, Model: data, Stream: stream, NHWC: nhwc})
			t.Logf("%s, NHWC %v: %v", name, nhwc, err)
			if err != nil && !strings.Contains(err.Error(), "model "+name) {
				t.Errorf("got %v", err)
			}
			if s != nil {
				s.Close()
			}
		}
	}
}

// Memory for more than the GPU has is refused, and the session before goes on.
func TestGPUMemoryLimit(t *testing.T) {
	const w, h = 640, 360
	c, stream, r := onGPU(t)
	s, err := r.NewSession(Config{Name: "luma-slow-x2", Model: network(t, "luma-slow-x2"), Stream: stream, MemoryLimit: 1 << 20})
	if err != nil {
		t.Logf("refused when it is opened: %v", err)
		return
	}
	defer s.Close()
	in, err := c.Alloc(w * h)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := c.Alloc(4 * w * h)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	b, err := s.NewBinding(map[string]Tensor{"luma": {Ptr: in.Ptr(), Bytes: in.Len(), Type: Uint8, Shape: []int64{1, 1, h, w}}},
		map[string]Tensor{"luma_x2": {Ptr: out.Ptr(), Bytes: out.Len(), Type: Uint8, Shape: []int64{1, 1, 2 * h, 2 * w}}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := s.Run(b); !errors.Is(err, cuda.ErrMemory) || errors.Is(err, cuda.ErrLost) {
		t.Errorf("got %v", err)
	}
}

// The network for GPUs gives the same there as on the CPU, in every way it may run; how fast is told.
func TestGPULive(t *testing.T) {
	c, stream, r := onGPU(t)
	const name = "../train/gpu/live-x2-l"
	data := network(t, name)
	spec, err := model.Load(data)
	if err != nil || spec.Layout != model.Luma {
		t.Fatal(spec, err)
	}
	shape := func(scale, w, h int) []int64 { return []int64{1, 1, int64(scale * h), int64(scale * w)} }
	const w, h = 320, 180
	in, want := make([]byte, w*h), make([]byte, 4*w*h)
	for i := range in { // waves, as pictures have
		in[i] = byte(127 + 60*math.Sin(float64(i%w)/9) + 60*math.Cos(float64(i/w)/5))
	}
	cpu, err := r.newSession(Config{Name: name, Model: data}, "Cpu", nil, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	defer cpu.Close()
	var pin runtime.Pinner
	defer pin.Unpin()
	b, err := cpu.NewBinding(map[string]Tensor{spec.Input: host(&pin, in, Uint8, shape(1, w, h)...)}, map[string]Tensor{spec.Output: host(&pin, want, Uint8, shape(2, w, h)...)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := cpu.Run(b); err != nil {
		t.Fatal(err)
	}
	const maxW, maxH = 1920, 1080
	input, err := c.Alloc(maxW * maxH)
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	output, err := c.Alloc(4 * maxW * maxH)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	for _, way := range []Config{{}, {Graph: true}, {NHWC: true}, {NHWC: true, Graph: true}, {NHWC: true, Graph: true, TF32: true}} {
		way.Name, way.Model, way.Stream = name, data, stream
		s, err := r.NewSession(way)
		if err != nil {
			t.Errorf("NHWC %v: %v", way.NHWC, err)
			continue
		}
		run := func(w, h, graph, times int) time.Duration {
			if !way.Graph {
				graph = 0
			}
			b, err := s.NewBinding(map[string]Tensor{spec.Input: {Ptr: input.Ptr(), Bytes: input.Len(), Type: Uint8, Shape: shape(1, w, h)}},
				map[string]Tensor{spec.Output: {Ptr: output.Ptr(), Bytes: output.Len(), Type: Uint8, Shape: shape(2, w, h)}}, graph)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := errors.Join(s.Run(b), s.Run(b), s.Run(b), stream.Sync()); err != nil {
				t.Fatalf("%+v: %v", way.Graph, err)
			}
			begin := time.Now()
			for range times {
				if err := s.Run(b); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.Sync(); err != nil {
				t.Fatal(err)
			}
			return time.Since(begin) / time.Duration(times)
		}
		got := make([]byte, len(want))
		if err := stream.Upload(input.Ptr(), in); err != nil {
			t.Fatal(err)
		}
		run(w, h, 1, 1)
		if err := stream.Download(got, output.Ptr()); err != nil {
			t.Fatal(err)
		}
		var squares float64
		for i := range got {
			d := float64(got[i]) - float64(want[i])
			squares += d * d
		}
		psnr := 10 * math.Log10(255*255*float64(len(got))/max(squares, 1e-9))
		least := 50.0
		if way.TF32 {
			least = 40
		}
		if psnr < least {
			t.Errorf("NHWC %v, graph %v, TF32 %v: %.1f dB from the CPU's", way.NHWC, way.Graph, way.TF32, psnr)
		}
		t.Logf("NHWC %v, graph %v, TF32 %v: %.1f dB from the CPU's; 1080p in %v", way.NHWC, way.Graph, way.TF32, psnr, run(maxW, maxH, 2, 50))
		s.Close()
	}
}
