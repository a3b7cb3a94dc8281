package kernels_test

import (
	"os"
	"testing"

	"rave/bench/leak"
)

// With a GPU the driver keeps files and threads of its own open.
func TestMain(m *testing.M) {
	if os.Getenv("RAVE_KERNELS") == "gpu" {
		os.Exit(m.Run())
	}
	os.Exit(leak.Main(m))
}
