package kernels_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"rave/gpu/cuda"
	"rave/gpu/kernels"
)

// gpu is where a test's kernels run: a GPU, or the host in place of one.
type gpu struct {
	context *cuda.Context
	stream  *cuda.Stream
	kernels *kernels.Kernels
}

// requireGPU is set where tests must run on a GPU, and not on the host, since that machine may have no compiler.
func requireGPU() bool { return os.Getenv("RAVE_REQUIRE_GPU") != "" }

// each runs a test on the host, where the kernels are compiled by g++, and on the GPU.
func each(t *testing.T, f func(t *testing.T, g *gpu)) {
	t.Run("host", func(t *testing.T) {
		if requireGPU() {
			t.Skip("RAVE_REQUIRE_GPU is set: the host is left out")
		}
		f(t, open(t, hostLibrary(t)))
	})
	t.Run("gpu", func(t *testing.T) { f(t, open(t, cuda.System())) })
}

// open opens the first GPU, or skips the test if there is none.
func open(t testing.TB, lib cuda.Library) *gpu {
	t.Helper()
	d, err := cuda.Open(lib)
	if (errors.Is(err, cuda.ErrNoLibrary) || errors.Is(err, cuda.ErrNoDevice)) && !requireGPU() {
		t.Skipf("no NVIDIA GPU: %v", err)
	}
	g := &gpu{}
	g.check(t, err)
	g.cleanup(t, d.Close)
	g.context, err = d.Retain(0)
	g.check(t, err)
	g.cleanup(t, g.context.Close)
	g.stream, err = g.context.NewStream()
	g.check(t, err)
	g.cleanup(t, g.stream.Close)
	g.kernels = kernels.New(g.context)
	g.cleanup(t, g.kernels.Close)
	return g
}

func (g *gpu) cleanup(t testing.TB, release func() error) {
	t.Cleanup(func() { g.check(t, release()) })
}

func (g *gpu) check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// alloc returns memory that lives until the end of the test, filled with 0xa5, so that what no kernel writes shows.
func (g *gpu) alloc(t testing.TB, n int) *cuda.Memory {
	t.Helper()
	m, err := g.context.Alloc(n)
	g.check(t, err)
	g.cleanup(t, m.Close)
	g.check(t, g.stream.Set(m.Ptr(), 0xa5, n))
	return m
}

var host = sync.OnceValues(func() (string, error) {
	file := filepath.Join(scratch, "libcuda.so.1")
	out, err := exec.Command("g++", "-std=c++17", "-O1", "-fno-strict-aliasing", "-shared", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-Werror",
		"-I", "../cuda", "-o", file, "testdata/host.cpp").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return file, nil
})

// hostLibrary compiles the kernels with g++ into a library that looks like the driver's.
func hostLibrary(t testing.TB) cuda.Library {
	t.Helper()
	file, err := host()
	if err != nil {
		t.Fatalf("compile the kernels for the host: %v", err)
	}
	return library{cuda.System(), file}
}

type library struct {
	cuda.Library
	file string
}

// Open implements cuda.Library.
func (l library) Open(string) (cuda.Handle, error) { return l.Library.Open(l.file) }
