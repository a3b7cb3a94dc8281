package kernels_test

import (
	"os"
	"testing"

	"rave/bench/leak"
)

// With a GPU the driver keeps files and threads of its own open.
func TestMain(m *testing.M) {
	if requireGPU() {
		os.Exit(m.Run())
	}
	os.Exit(leak.Main(m))
}
