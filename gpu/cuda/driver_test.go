package cuda_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"rave/gpu/cuda"
	"rave/gpu/cuda/cudatest"
)

// counting is a library that may refuse, and counts what is open.
type counting struct {
	cuda.Library
	lookup, close error  // what these return
	symbol        string // for which lookup fails
	open          int
}

func (c *counting) Open(name string) (cuda.Handle, error) {
	h, err := c.Library.Open(name)
	if err == nil {
		c.open++
	}
	return h, err
}

func (c *counting) Lookup(h cuda.Handle, symbol string) (cuda.Symbol, error) {
	if symbol == c.symbol {
		return 0, c.lookup
	}
	return c.Library.Lookup(h, symbol)
}

func (c *counting) Close(h cuda.Handle) error {
	c.open--
	return errors.Join(c.Library.Close(h), c.close)
}

func TestOpenFails(t *testing.T) {
	fakeOnly(t)
	for name, tc := range map[string]struct {
		env     map[string]string
		missing []string
		symbol  string
		close   error
		is      error
		want    string
	}{
		"no driver":            {missing: []string{cudatest.Driver}, is: cuda.ErrNoLibrary, want: "libcuda.so.1"},
		"no GPU":               {env: map[string]string{"FAKE_CUDA_DEVICES": "0"}, is: cuda.ErrNoDevice, want: "initialise the driver: CUDA_ERROR_NO_DEVICE"},
		"old driver":           {env: map[string]string{"FAKE_CUDA_VERSION": "12020"}, is: cuda.ErrTooOld, want: "it has CUDA 12.2, and CUDA 13.0 is needed"},
		"old and lacking":      {env: map[string]string{"FAKE_CUDA_VERSION": "11040"}, symbol: "cuFuncGetParamInfo", is: cuda.ErrTooOld, want: "11.4"},
		"new and lacking":      {symbol: "cuLaunchKernel", want: "libcuda.so.1 is not as expected: no such symbol"},
		"not CUDA at all":      {symbol: "cuDriverGetVersion", want: "not as expected"},
		"version fails":        {env: map[string]string{"FAKE_CUDA_FAIL": "cuDriverGetVersion=999"}, want: "error 999"},
		"close fails as well":  {symbol: "cuInit", close: errors.New("cannot close"), want: "cannot close"},
		"initialisation fails": {env: map[string]string{"FAKE_CUDA_FAIL": "cuInit=803"}, want: "initialise the driver: error 803"},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			lib := &counting{Library: fakes.Library(tc.missing...), symbol: tc.symbol, lookup: errors.New("no such symbol"), close: tc.close}
			d, err := cuda.Open(lib)
			if err == nil || d != nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, %v; want an error with %q", d, err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			if lib.open != 0 {
				t.Errorf("the library is open %d times", lib.open)
			}
		})
	}
}

func TestCloseFails(t *testing.T) {
	fakeOnly(t)
	lib := &counting{Library: fakes.Library(), close: errors.New("busy")}
	d, err := cuda.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err == nil || err.Error() != "libcuda.so.1: busy" {
		t.Errorf("got %v", err)
	}
	if err := d.Close(); err != nil || lib.open != 0 {
		t.Errorf("closing again: %v, open %d times", err, lib.open)
	}
}

func TestSystemLibrary(t *testing.T) {
	lib := cuda.System()
	if _, err := lib.Open("librave-does-not-exist.so"); !errors.Is(err, cuda.ErrNoLibrary) || !strings.Contains(err.Error(), "librave-does-not-exist.so") {
		t.Errorf("got %v", err)
	}
	h, err := lib.Open("libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lib.Lookup(h, "rave_does_not_exist"); err == nil || !strings.Contains(err.Error(), "rave_does_not_exist") {
		t.Errorf("got %v", err)
	}
	if p, err := lib.Lookup(h, "malloc"); err != nil || p == 0 {
		t.Errorf("got %v, %v", p, err)
	}
	if err := lib.Close(h); err != nil {
		t.Error(err)
	}
}

func TestDevices(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, lib cuda.Library) {
		d := openDriver(t, lib)
		devices, err := d.Devices()
		if err != nil || len(devices) == 0 {
			t.Fatal(devices, err)
		}
		g := devices[0]
		t.Logf("CUDA %s: %+v", cuda.VersionText(d.Version()), g)
		if d.Version() < cuda.MinVersion || g.Major < 7 || g.SMs == 0 || g.Memory < 1<<30 || len(g.UUID) != len("GPU-00010203-0405-0607-0809-0a0b0c0d0e0f") {
			t.Errorf("got %+v", g)
		}
		if fakes != nil && (g.Name != "Fake GPU" || g.UUID != "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f") {
			t.Errorf("got %+v", g)
		}
		free, total, err := c.MemInfo()
		if err != nil || free == 0 || total < free || total > g.Memory {
			t.Errorf("free %d, total %d, %v", free, total, err)
		}
	})
}

func TestRetain(t *testing.T) {
	fakeOnly(t)
	d := openDriver(t, fakes.Library())
	if _, err := d.Retain(1); err == nil || !strings.Contains(err.Error(), "find GPU 1") {
		t.Errorf("a GPU that is not there: %v", err)
	}
	t.Run("other flags", func(t *testing.T) {
		t.Setenv("FAKE_CUDA_FLAGS", "8")
		if c, err := d.Retain(0); err == nil || c != nil || !strings.Contains(err.Error(), "flags 0x8") || !strings.Contains(err.Error(), "retain it before") {
			t.Errorf("got %v", err)
		}
	})
	c := must[*cuda.Context](t)(d.Retain(0))
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "1 contexts are open") {
		t.Errorf("closing the driver before its context: %v", err)
	}
	closed(t, c)
	if err := c.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestContextTellsWhatIsOpen(t *testing.T) {
	fakeOnly(t)
	d := openDriver(t, fakes.Library())
	c := must[*cuda.Context](t)(d.Retain(0))
	a := must[*cuda.Memory](t)(c.Alloc(1000))
	b := must[*cuda.Memory](t)(c.Alloc(24))
	s := must[*cuda.Stream](t)(c.NewStream())
	p := must[*cuda.Pinned](t)(c.AllocPinned(77))
	if got, want := c.Usage(), (cuda.Usage{Device: 1024, Pinned: 77}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	closed(t, b)
	closed(t, b) // once only
	if got, want := c.Usage(), (cuda.Usage{Device: 1000, Pinned: 77}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	again := must[*cuda.Context](t)(d.Retain(0)) // keeps the fake's context, as FFmpeg would
	if err := c.Close(); err == nil || !strings.HasSuffix(err.Error(), "1 × memory, 1 × pinned memory, 1 × stream") {
		t.Errorf("got %v", err)
	}
	for _, thing := range []interface{ Close() error }{a, s, p, again} {
		closed(t, thing)
	}
}

func TestErrors(t *testing.T) {
	for code, want := range map[int][]error{
		2: {cuda.ErrMemory}, 100: {cuda.ErrNoDevice}, 1: nil, 600: nil, 698: nil, 201: {cuda.ErrLost}, 214: {cuda.ErrLost}, 700: {cuda.ErrLost},
		701: nil, 709: {cuda.ErrLost}, 716: {cuda.ErrLost}, 719: {cuda.ErrLost}, 999: {cuda.ErrLost},
	} {
		err := error(&cuda.Error{Op: "try", Code: code, Name: "NAME", Text: "text"})
		for _, sentinel := range []error{cuda.ErrLost, cuda.ErrMemory, cuda.ErrNoDevice, cuda.ErrTooOld} {
			if got := errors.Is(err, sentinel); got != slices.Contains(want, sentinel) {
				t.Errorf("%d is %v: %v", code, sentinel, got)
			}
		}
		if err.Error() != "cuda: try: NAME (text)" {
			t.Errorf("got %v", err)
		}
	}
}
