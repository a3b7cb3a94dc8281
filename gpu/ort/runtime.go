package ort

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unsafe"

	"rave/gpu/cuda"
)

// Runtime is ONNX Runtime's library.
type Runtime struct {
	lib     cuda.Library
	handle  cuda.Handle
	api     C.rave_ort
	env     unsafe.Pointer
	version string
}

// Open loads ONNX Runtime from the file core, which must be the one that onnxruntime_go loads in this process, if it does.
// For the GPU, Preload comes before.
func Open(lib cuda.Library, core string) (*Runtime, error) {
	// ONNX Runtime contains a telemetry client. It must be off before the library is loaded.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return nil, fmt.Errorf("switch telemetry off: %w", err)
	}
	handle, err := lib.Open(core)
	if err != nil {
		return nil, err
	}
	r := &Runtime{lib: lib, handle: handle}
	if err := r.start(core); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Runtime) start(core string) error {
	base, err := r.lib.Lookup(r.handle, "OrtGetApiBase")
	if err != nil {
		return fmt.Errorf("%s is not ONNX Runtime: %w", core, err)
	}
	var version *C.char
	if r.api = C.rave_ort_api(C.uintptr_t(base), &version); r.api == nil {
		return fmt.Errorf("%s is ONNX Runtime %s, which is too old: %s", core, C.GoString(version), fix)
	}
	r.version = C.GoString(version)
	return failed("start ONNX Runtime", C.rave_ort_env(r.api, &r.env))
}

// Version is the library's, as in "1.31.1".
func (r *Runtime) Version() string { return r.version }

// Close lets the library go. It stays loaded if onnxruntime_go uses it, too.
func (r *Runtime) Close() error {
	if r.api != nil {
		r.release(C.ORT_ReleaseEnv, &r.env)
	}
	r.api = nil
	if r.handle == 0 {
		return nil
	}
	handle := r.handle
	r.handle = 0
	return r.lib.Close(handle)
}

func (r *Runtime) release(what C.int, object *unsafe.Pointer) {
	C.rave_ort_release(r.api, what, *object)
	*object = nil
}

// failed makes an error of what the shim returns, and frees that. A failure of CUDA is a *cuda.Error, so that a lost context
// and a lack of memory are told as such.
func failed(op string, text *C.char) error {
	if text == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(text))
	return explain(op, C.GoString(text))
}

// explain finds CUDA's own error in a text, as in "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; …".
func explain(op, text string) error {
	if m := regexp.MustCompile(`CUDA failure (\d+): ([^;]*?) ;`).FindStringSubmatch(text); m != nil {
		code, err := strconv.Atoi(m[1])
		if err == nil {
			return fmt.Errorf("%w: %s", &cuda.Error{Op: op, Code: code, Name: "CUDA failure " + m[1], Text: m[2]}, text)
		}
	}
	if strings.Contains(text, "Failed to allocate memory") || strings.Contains(text, "BFCArena") {
		return fmt.Errorf("%s: %w: %s", op, cuda.ErrMemory, text)
	}
	return fmt.Errorf("%s: %s", op, text)
}
