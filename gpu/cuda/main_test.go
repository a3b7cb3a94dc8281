package cuda_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"rave/bench/leak"
	"rave/gpu/cuda"
	"rave/gpu/cuda/cudatest"
)

// fakes are built once for all tests.
var fakes *cudatest.Fakes

// requireGPU: without it tests on a real GPU are skipped where there is none.
const requireGPU = "RAVE_REQUIRE_GPU"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "cudatest")
	if err == nil && os.Getenv(requireGPU) == "" {
		fakes, err = cudatest.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(requireGPU) != "" { // the driver keeps its files open until the process ends
		goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) { os.RemoveAll(dir); os.Exit(status) }))
		return
	}
	status := leak.Main(m)
	os.RemoveAll(dir)
	os.Exit(status)
}

// anywhere runs a test with the fake driver, or on a real GPU where that is required (that machine may have no compiler).
func anywhere(t *testing.T, test func(t *testing.T, c *cuda.Context, lib cuda.Library)) {
	t.Helper()
	lib := cuda.System()
	if fakes != nil {
		lib = fakes.Library()
	}
	d := openDriver(t, lib)
	c, err := d.Retain(0)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, c)
	test(t, c, lib)
}

// fakeOnly skips a test of what no real GPU does on demand.
func fakeOnly(t *testing.T) {
	t.Helper()
	if fakes == nil {
		t.Skip("needs the fake driver: " + requireGPU + " is set")
	}
}

func openDriver(t *testing.T, lib cuda.Library) *cuda.Driver {
	t.Helper()
	d, err := cuda.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, d) })
	return d
}

func closed(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// must returns what was made, or ends the test.
func must[T interface{ Close() error }](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
