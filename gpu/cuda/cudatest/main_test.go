package cudatest_test

import (
	"os"
	"testing"

	"rave/bench/leak"
	"rave/gpu/cuda/cudatest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestBuild(t *testing.T) {
	if _, err := cudatest.Build(t.TempDir()); err != nil {
		t.Error(err)
	}
	if _, err := cudatest.Build("/does/not/exist"); err == nil {
		t.Error("built in a folder that is not there")
	}
}
