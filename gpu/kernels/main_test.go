package kernels_test

import (
	"os"
	"testing"

	"rave/bench/leak"
)

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "rave-kernels-"); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

// scratch is a folder for the kernels that are compiled for the host.
var scratch string

// With a GPU the driver keeps files and threads of its own open.
func run(m *testing.M) int {
	defer os.RemoveAll(scratch)
	if requireGPU() {
		return m.Run()
	}
	return leak.Main(m)
}
