package cuda

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"unsafe"
)

// Module is kernels that are loaded on a GPU.
type Module struct {
	c      *Context
	handle C.CUmodule
	closed atomic.Bool
}

// Load compiles PTX for the GPU, which takes some milliseconds, or loads a cubin (cuModuleLoadDataEx). An error has the
// compiler's log.
func (c *Context) Load(ptx []byte) (*Module, error) {
	const logSize = 4096
	var log [logSize]C.char
	image := C.CBytes(append(ptx[:len(ptx):len(ptx)], 0)) // PTX is a text that a zero ends
	defer C.free(image)
	m := &Module{c: c}
	if code := C.rave_module_load(c.d.fn(), c.handle, &m.handle, image, &log[0], logSize); code != 0 {
		err := c.d.failed(code, "load kernels (%d bytes) on GPU %d", len(ptx), c.index)
		if said := strings.TrimSpace(C.GoString(&log[0])); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, err
	}
	c.made("module", 1, 0, 0)
	return m, nil
}

// Close unloads the kernels, once. None may be running.
func (m *Module) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	m.c.made("module", -1, 0, 0)
	if code := C.rave_module_free(m.c.d.fn(), m.c.handle, m.handle); code != 0 {
		return m.c.d.failed(code, "unload kernels")
	}
	return nil
}

// Function is a kernel. It lives as long as its module.
type Function struct {
	name   string
	handle C.CUfunction
	sizes  []int // of its parameters, in bytes
}

// Function finds a kernel by its name in the PTX (extern "C" keeps it as it is).
func (m *Module) Function(name string) (*Function, error) {
	f := &Function{name: name}
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	if code := C.rave_function(m.c.d.fn(), m.c.handle, m.handle, s, &f.handle); code != 0 {
		return nil, m.c.d.failed(code, "find kernel %s", name)
	}
	for {
		const pastLast = 1 // CUDA_ERROR_INVALID_VALUE
		var size C.size_t
		code := C.rave_parameter(m.c.d.fn(), m.c.handle, f.handle, C.size_t(len(f.sizes)), &size)
		if code == pastLast {
			return f, nil
		}
		if code != 0 {
			return nil, m.c.d.failed(code, "read the parameters of kernel %s", name)
		}
		f.sizes = append(f.sizes, int(size))
	}
}

// pack writes arguments to where the kernel's parameters are taken from.
func (f *Function) pack(values *[C.RAVE_MAX_ARGS]C.uint64_t, args []any) error {
	if len(args) != len(f.sizes) || len(args) > len(values) {
		return fmt.Errorf("cuda: kernel %s has %d parameters and is given %d (at most %d)", f.name, len(f.sizes), len(args), len(values))
	}
	for i, arg := range args {
		size := 4
		switch v := arg.(type) {
		case uint32:
			values[i] = C.uint64_t(v)
		case int32:
			values[i] = C.uint64_t(uint32(v))
		case float32:
			values[i] = C.uint64_t(math.Float32bits(v))
		case uint64:
			values[i], size = C.uint64_t(v), 8
		case Ptr:
			values[i], size = C.uint64_t(v), 8
		default:
			return fmt.Errorf("cuda: argument %d of kernel %s is a %T; a kernel takes uint32, int32, float32, uint64 and Ptr", i, f.name, arg)
		}
		if size != f.sizes[i] {
			return fmt.Errorf("cuda: argument %d of kernel %s is a %T of %d bytes, and the parameter has %d", i, f.name, arg, size, f.sizes[i])
		}
	}
	return nil
}
