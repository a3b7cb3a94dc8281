package ort

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"rave/bench/leak"
)

// requireGPU: without it tests on a real GPU are skipped.
const requireGPU = "RAVE_REQUIRE_GPU"

func TestMain(m *testing.M) {
	if os.Getenv(requireGPU) != "" { // the driver keeps its files open until the process ends
		goleak.VerifyTestMain(m)
		return
	}
	os.Exit(leak.Main(m))
}

// core is where `make setup` puts ONNX Runtime, or what RAVE_LIB names.
func core(t *testing.T) string {
	t.Helper()
	path := filepath.Join("..", "..", ".build", "lib", "libonnxruntime.so")
	if dir := os.Getenv("RAVE_LIB"); dir != "" {
		path = filepath.Join(dir, "libonnxruntime.so")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ONNX Runtime is missing: %v; run `make setup`", err)
	}
	return path
}

// network reads one of the test models, from where the tests or the test binary are.
func network(t *testing.T, name string) []byte {
	t.Helper()
	dir := filepath.Join("..", "..", "engine", "model", "testdata")
	if d := os.Getenv("RAVE_TESTDATA"); d != "" {
		dir = d
	}
	data, err := os.ReadFile(filepath.Join(dir, name+".onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
