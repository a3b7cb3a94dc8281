package software_test

import (
	"os"
	"path/filepath"
	"testing"

	"rave/bench/leak"
	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/software"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// library is where `make setup` puts ONNX Runtime, or what RAVE_LIB names.
func library(t testing.TB) string {
	t.Helper()
	path := filepath.Join("..", "..", ".build", "lib", "libonnxruntime.so")
	if dir := os.Getenv("RAVE_LIB"); dir != "" {
		path = filepath.Join(dir, "libonnxruntime.so")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("ONNX Runtime is missing: %v; run `make setup`", err)
	}
	return path
}

func device(t testing.TB) *software.Device {
	t.Helper()
	models := map[string]string{}
	for _, name := range []string{"luma-copy-x1", "luma-copy-x2", "rgb-copy-x1", "rgb-copy-x2", "luma-slow-x2", "bad-two-inputs",
		"bad-int64-input", "bad-scale", "truncated"} {
		models[name] = filepath.Join("..", "model", "testdata", name+".onnx")
	}
	models["absent"] = "/nonexistent/absent.onnx"
	return software.New(software.Config{Library: library(t), Models: models})
}

func TestConformance(t *testing.T) {
	enginetest.Run(t, device(t), "luma-copy-x2", "rgb-copy-x2", "luma-copy-x1")
}

var _ engine.Device = (*software.Device)(nil)
