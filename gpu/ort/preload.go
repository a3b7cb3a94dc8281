package ort

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rave/gpu/cuda"
)

// ErrMissing means that a library which the CUDA provider needs is missing, or does not load. The text names it and the fix.
var ErrMissing = errors.New("ONNX Runtime cannot use the GPU")

// The libraries of the provider itself. ONNX Runtime looks for them beside its core.
const (
	sharedProvider = "libonnxruntime_providers_shared.so"
	cudaProvider   = "libonnxruntime_providers_cuda.so"
)

// fix is for whatever is missing: it comes from one place.
const fix = "run make setup-gpu (in a release: scripts/setup_gpu.sh)"

// need is a library that the CUDA provider, or cuDNN, loads by its name.
type need struct{ library, pkg string }

// needs lists them so that each comes after those it needs itself. cuDNN finds its own parts beside it.
func needs() []need {
	return []need{
		{"libcudart.so.13", "nvidia-cuda-runtime"},
		{"libcublasLt.so.13", "nvidia-cublas"},
		{"libcublas.so.13", "nvidia-cublas"},
		{"libcurand.so.10", "nvidia-curand"},
		{"libnvrtc.so.13", "nvidia-cuda-nvrtc"},
		{"libcudnn.so.9", "nvidia-cudnn-cu13"},
	}
}

// Preload loads what the CUDA provider needs, before ONNX Runtime loads that. core is ONNX Runtime's own library: what lies
// beside it is taken first, then what the system has. (The provider names its needs and no folder; a library that is loaded
// already is found by its name.) Nothing is unloaded: the libraries stay for the process's life.
func Preload(lib cuda.Library, core string) error {
	folder := filepath.Dir(core)
	for _, file := range []string{sharedProvider, cudaProvider} {
		if _, err := os.Stat(filepath.Join(folder, file)); err != nil {
			return fmt.Errorf("%w: %s of the Python package onnxruntime-gpu is not beside %s: %s", ErrMissing, file, core, fix)
		}
	}
	for _, n := range needs() {
		path := filepath.Join(folder, n.library)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			path = n.library // the system's
		}
		if _, err := lib.Open(path); err != nil {
			return fmt.Errorf("%w: %s of the Python package %s, neither in %s nor on the system: %w: %s", ErrMissing, n.library, n.pkg, folder, err, fix)
		}
	}
	return nil
}
