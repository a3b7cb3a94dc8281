package cuda_test

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/gpu/cuda"
)

//go:embed testdata/scale.ptx
var scale []byte

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func TestCopies(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		const n = 1 << 20
		s := must[*cuda.Stream](t)(c.NewStream())
		a, b := must[*cuda.Memory](t)(c.Alloc(n)), must[*cuda.Memory](t)(c.Alloc(n))
		in, out := must[*cuda.Pinned](t)(c.AllocPinned(n)), must[*cuda.Pinned](t)(c.AllocPinned(n))
		want := random(n)
		copy(in.Bytes(), want)
		part, err := out.Range(n/2, n/2)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(
			s.CopyIn(a.Ptr(), in, n), s.Copy(b.Ptr(), a.Ptr(), n), s.Set(b.Ptr()+100, 7, 50),
			s.CopyOut(out, b.Ptr(), n/2), s.CopyOut(part, b.Ptr()+n/2, n/2), s.Sync())
		if err != nil {
			t.Fatal(err)
		}
		copy(want[100:150], bytes.Repeat([]byte{7}, 50))
		if !bytes.Equal(out.Bytes(), want) {
			t.Error("what came back is not what went there")
		}
		fresh, got := random(1000), make([]byte, 1000)
		if err := errors.Join(s.Upload(a.Ptr()+5, fresh), s.Download(got, a.Ptr()+5)); err != nil || !bytes.Equal(got, fresh) {
			t.Error("upload and download:", err)
		}
		for _, err := range []error{s.CopyIn(a.Ptr(), in, n+1), s.CopyOut(part, a.Ptr(), n/2+1), s.CopyOut(out, a.Ptr(), -1), s.Copy(a.Ptr(), b.Ptr(), -1), s.Set(a.Ptr(), 0, -1)} {
			if err == nil {
				t.Error("a copy that does not fit is taken")
			}
		}
		if _, err := out.Range(n-1, 2); err == nil {
			t.Error("a range past the end is given")
		}
		for _, thing := range []interface{ Close() error }{s, a, b, in, out, part} {
			closed(t, thing)
		}
	})
}

func TestCopies2D(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		const width, height, pitch, tight = 100, 7, 256, 100
		s := must[*cuda.Stream](t)(c.NewStream())
		a, b := must[*cuda.Memory](t)(c.Alloc(pitch*height)), must[*cuda.Memory](t)(c.Alloc(pitch*height))
		in, out := must[*cuda.Pinned](t)(c.AllocPinned(tight*height)), must[*cuda.Pinned](t)(c.AllocPinned(tight*height))
		copy(in.Bytes(), random(tight*height))
		err := errors.Join(
			s.CopyIn2D(a.Ptr(), pitch, in, tight, width, height), s.Copy2D(b.Ptr(), pitch, a.Ptr(), pitch, width, height),
			s.CopyOut2D(out, tight, b.Ptr(), pitch, width, height), s.Sync())
		if err != nil || !bytes.Equal(in.Bytes(), out.Bytes()) {
			t.Error("rows are not what they were:", err)
		}
		row := make([]byte, width)
		if err := s.Download(row, b.Ptr()+3*pitch); err != nil || !bytes.Equal(row, in.Bytes()[3*tight:4*tight]) {
			t.Error("the pitch is not kept:", err)
		}
		for _, err := range []error{
			s.CopyOut2D(out, tight, b.Ptr(), pitch, width, height+1), s.CopyIn2D(a.Ptr(), pitch, in, tight+1, width, height),
			s.Copy2D(a.Ptr(), pitch, b.Ptr(), width-1, width, height), s.Copy2D(a.Ptr(), pitch, b.Ptr(), pitch, width, 0),
		} {
			if err == nil {
				t.Error("a copy that does not fit is taken")
			}
		}
		for _, thing := range []interface{ Close() error }{s, a, b, in, out} {
			closed(t, thing)
		}
	})
}

func TestEvents(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		t.Setenv("FAKE_CUDA_PENDING", "2")
		const n = 64 << 20
		one, two := must[*cuda.Stream](t)(c.NewStream()), must[*cuda.Stream](t)(c.NewStream())
		from, to, plain := must[*cuda.Event](t)(c.NewEvent(true)), must[*cuda.Event](t)(c.NewEvent(true)), must[*cuda.Event](t)(c.NewEvent(false))
		m := must[*cuda.Memory](t)(c.Alloc(n))
		if done, err := plain.Done(); err != nil || !done {
			t.Errorf("an event that was never recorded: done %v, %v", done, err)
		}
		if err := errors.Join(one.Record(from), one.Set(m.Ptr(), 1, n), one.Record(to), two.Wait(to), two.Set(m.Ptr(), 2, n), two.Record(plain)); err != nil {
			t.Fatal(err)
		}
		asked := 0
		for done := false; !done; asked++ {
			var err error
			if done, err = plain.Done(); err != nil {
				t.Fatal(err)
			}
		}
		if fakes != nil && asked != 3 {
			t.Errorf("the event was done after %d looks, not 3", asked)
		}
		if err := to.Sync(); err != nil {
			t.Fatal(err)
		}
		took, err := to.Elapsed(from)
		if err != nil || took <= 0 || took > time.Second {
			t.Errorf("took %v, %v", took, err)
		}
		t.Logf("64 MiB set in %v", took)
		got := make([]byte, 1)
		if err := two.Download(got, m.Ptr()+n-1); err != nil || got[0] != 2 {
			t.Errorf("got %d, %v: the second stream did not wait", got[0], err)
		}
		if _, err := to.Elapsed(plain); err == nil && fakes == nil {
			t.Error("an event without timing tells the time")
		}
		for _, thing := range []interface{ Close() error }{one, two, from, to, plain, m} {
			closed(t, thing)
		}
	})
}

func TestLaunch(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		log := filepath.Join(t.TempDir(), "log")
		t.Setenv("FAKE_CUDA_LOG", log)
		const n, block = 1000, 128
		s := must[*cuda.Stream](t)(c.NewStream())
		in, out := must[*cuda.Memory](t)(c.Alloc(4*n)), must[*cuda.Memory](t)(c.Alloc(4*n))
		m := must[*cuda.Module](t)(c.Load(scale))
		f, err := m.Function("scale")
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 4*n)
		for i := range n {
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(i)))
		}
		err = errors.Join(s.Upload(in.Ptr(), data), s.Set(out.Ptr(), 0xff, 4*n),
			s.Launch(f, [3]uint32{(n + block - 1) / block, 1, 1}, [3]uint32{block, 1, 1}, 0, out.Ptr(), in.Ptr(), uint32(n), float32(1.5)))
		if err != nil {
			t.Fatal(err)
		}
		if fakes != nil { // it does not run kernels
			calls, err := os.ReadFile(log)
			if err != nil || !strings.Contains(string(calls), "launch scale 8x1x1 128x1x1 0 0x8") || !strings.Contains(string(calls), " 0x3e8 0x3fc00000\n") {
				t.Errorf("%s: %v", calls, err)
			}
		} else {
			if err := s.Download(data, out.Ptr()); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if got := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])); got != 1.5*float32(i) {
					t.Fatalf("element %d is %v", i, got)
				}
			}
		}
		for what, err := range map[string]error{
			"has 4 parameters and is given 1": s.Launch(f, [3]uint32{1, 1, 1}, [3]uint32{1, 1, 1}, 0, out.Ptr()),
			"takes uint32, int32":             s.Launch(f, [3]uint32{1, 1, 1}, [3]uint32{1, 1, 1}, 0, out.Ptr(), in.Ptr(), n, float32(1)),
			"of 4 bytes, and the parameter has 8": s.Launch(f, [3]uint32{1, 1, 1}, [3]uint32{1, 1, 1}, 0, uint32(1), in.Ptr(),
				uint32(n), float32(1)),
			"launch kernel scale with [1 1 1] blocks of [2048 1 1] threads": s.Launch(f, [3]uint32{1, 1, 1}, [3]uint32{2048, 1, 1}, 0, out.Ptr(),
				in.Ptr(), uint32(n), float32(1)),
		} {
			if err == nil || !strings.Contains(err.Error(), what) {
				t.Errorf("got %v, want %q", err, what)
			}
		}
		if _, err := m.Function("nothing"); err == nil || !strings.Contains(err.Error(), "find kernel nothing") {
			t.Errorf("got %v", err)
		}
		for _, thing := range []interface{ Close() error }{s, in, out, m} {
			closed(t, thing)
		}
	})
}

func TestLoadTellsTheCompilersLog(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		if _, err := c.Load([]byte(".version 6.0\n.target sm_70\n.address_size 64\nnonsense\n")); err == nil || !strings.Contains(err.Error(), "load kernels (53 bytes)") || !strings.Contains(err.Error(), "ptxas") {
			t.Errorf("got %v", err)
		}
	})
}

func TestOutOfMemory(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		if _, err := c.Alloc(1 << 50); !errors.Is(err, cuda.ErrMemory) || errors.Is(err, cuda.ErrLost) || !strings.Contains(err.Error(), "allocate 1125899906842624 bytes on GPU 0") {
			t.Errorf("got %v", err)
		}
		closed(t, must[*cuda.Memory](t)(c.Alloc(100))) // goes on
		for _, err := range []error{errOf(c.Alloc(0)), errOf(c.AllocPinned(-1))} {
			if err == nil {
				t.Error("nothing is allocated")
			}
		}
		if u := c.Usage(); u != (cuda.Usage{}) {
			t.Errorf("left: %+v", u)
		}
	})
}

func errOf[T any](_ T, err error) error { return err }

// A goroutine may find itself on any thread, which has no context of its own.
func TestAnyThread(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, _ cuda.Library) {
		var wait sync.WaitGroup
		for range 8 {
			wait.Add(1)
			go func() {
				defer wait.Done()
				runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
				s, err := c.NewStream()
				if err != nil {
					t.Error(err)
					return
				}
				m, err := c.Alloc(4096)
				if err != nil {
					t.Error(err)
					return
				}
				want, got := random(4096), make([]byte, 4096)
				if err := errors.Join(s.Upload(m.Ptr(), want), s.Download(got, m.Ptr()), s.Close(), m.Close()); err != nil || !bytes.Equal(want, got) {
					t.Error("not what was uploaded:", err)
				}
			}()
		}
		wait.Wait()
	})
}

// After a kernel that wrote where it must not, nothing works any more, and every error says so.
func TestLost(t *testing.T) {
	fakeOnly(t)
	d := openDriver(t, fakes.Library())
	c := must[*cuda.Context](t)(d.Retain(0))
	s := must[*cuda.Stream](t)(c.NewStream())
	m := must[*cuda.Memory](t)(c.Alloc(16))
	for what, err := range map[string]error{
		"a copy past the end": s.Copy(m.Ptr()+8, m.Ptr(), 9), "the next call": s.Sync(), "an allocation": errOf(c.Alloc(1)), "closing": c.Close(),
	} {
		if !errors.Is(err, cuda.ErrLost) || !strings.Contains(err.Error(), "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The same on a real GPU, in a process of its own.
func TestLostForReal(t *testing.T) {
	const lose = "RAVE_TEST_LOSE"
	if fakes != nil {
		t.Skip("needs a GPU: " + requireGPU + " is not set")
	}
	if os.Getenv(lose) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLostForReal$", "-test.v")
		cmd.Env = append(os.Environ(), lose+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	d := must[*cuda.Driver](t)(cuda.Open(cuda.System()))
	c := must[*cuda.Context](t)(d.Retain(0))
	s := must[*cuda.Stream](t)(c.NewStream())
	m := must[*cuda.Module](t)(c.Load(scale))
	f, err := m.Function("scale")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Launch(f, [3]uint32{1, 1, 1}, [3]uint32{1, 1, 1}, 0, cuda.Ptr(16), cuda.Ptr(16), uint32(1), float32(1)); err != nil {
		t.Errorf("the launch itself: %v", err)
	}
	for what, err := range map[string]error{"waiting": s.Sync(), "allocation": errOf(c.Alloc(1)), "a stream": errOf(c.NewStream())} {
		if !errors.Is(err, cuda.ErrLost) || errors.Is(err, cuda.ErrMemory) {
			t.Errorf("%s: %v", what, err)
		}
		t.Log(what, err)
	}
}

// Each call's error says what was attempted.
func TestErrorsSayWhat(t *testing.T) {
	fakeOnly(t)
	d := openDriver(t, fakes.Library())
	c := must[*cuda.Context](t)(d.Retain(0))
	s := must[*cuda.Stream](t)(c.NewStream())
	e := must[*cuda.Event](t)(c.NewEvent(true))
	m := must[*cuda.Memory](t)(c.Alloc(64))
	p := must[*cuda.Pinned](t)(c.AllocPinned(64))
	k := must[*cuda.Module](t)(c.Load(scale))
	for _, tc := range []struct {
		symbol, want string
		do           func() error
	}{
		{"cuDeviceGetCount", "count GPUs", func() error { return errOf(d.Devices()) }},
		{"cuDeviceGetName", "describe GPU 0", func() error { return errOf(d.Devices()) }},
		{"cuDevicePrimaryCtxRetain", "make a context on GPU 0", func() error { return errOf(d.Retain(0)) }},
		{"cuMemGetInfo_v2", "how much memory GPU 0 has", func() error { _, _, err := c.MemInfo(); return err }},
		{"cuStreamCreate", "make a stream", func() error { return errOf(c.NewStream()) }},
		{"cuEventCreate", "make an event", func() error { return errOf(c.NewEvent(false)) }},
		{"cuMemHostAlloc", "pin 10 bytes", func() error { return errOf(c.AllocPinned(10)) }},
		{"cuMemcpyHtoDAsync_v2", "copy 64 bytes to the GPU", func() error { return s.CopyIn(m.Ptr(), p, 64) }},
		{"cuMemcpyHtoDAsync_v2", "upload 3 bytes", func() error { return s.Upload(m.Ptr(), []byte("abc")) }},
		{"cuMemcpyDtoHAsync_v2", "copy 64 bytes from the GPU", func() error { return s.CopyOut(p, m.Ptr(), 64) }},
		{"cuMemcpyDtoHAsync_v2", "download 3 bytes", func() error { return s.Download(make([]byte, 3), m.Ptr()) }},
		{"cuMemcpyDtoDAsync_v2", "copy 8 bytes on the GPU", func() error { return s.Copy(m.Ptr(), m.Ptr()+8, 8) }},
		{"cuMemcpy2DAsync_v2", "copy 2 rows of 4 bytes", func() error { return s.Copy2D(m.Ptr(), 4, m.Ptr()+8, 4, 4, 2) }},
		{"cuMemsetD8Async", "set 5 bytes", func() error { return s.Set(m.Ptr(), 0, 5) }},
		{"cuEventRecord", "record an event", func() error { return s.Record(e) }},
		{"cuStreamWaitEvent", "have a stream wait", func() error { return s.Wait(e) }},
		{"cuStreamSynchronize", "wait for a stream", s.Sync},
		{"cuEventQuery", "look at an event", func() error { return errOf(e.Done()) }},
		{"cuEventSynchronize", "wait for an event", e.Sync},
		{"cuEventElapsedTime", "measure between two events", func() error { return errOf(e.Elapsed(e)) }},
		{"cuModuleLoadDataEx", "load kernels", func() error { return errOf(c.Load(scale)) }},
		{"cuFuncGetParamInfo", "read the parameters of kernel scale", func() error { return errOf(k.Function("scale")) }},
		{"cuStreamDestroy_v2", "close a stream", s.Close},
		{"cuEventDestroy_v2", "close an event", e.Close},
		{"cuMemFree_v2", "free 64 bytes on GPU 0", m.Close},
		{"cuMemFreeHost", "free 64 bytes of pinned memory", p.Close},
		{"cuModuleUnload", "unload kernels", k.Close},
		{"cuDevicePrimaryCtxRelease_v2", "release the context of GPU 0", c.Close},
	} {
		t.Run(tc.symbol, func(t *testing.T) {
			t.Setenv("FAKE_CUDA_FAIL", tc.symbol+"=304")
			if err := tc.do(); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "error 304") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
