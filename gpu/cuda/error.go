package cuda

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
)

// What a caller may have to tell apart. They are matched by errors.Is.
var (
	// ErrLost: the context of this process is gone; every later call fails. Only a new process helps.
	ErrLost = errors.New("the CUDA context is lost")
	// ErrMemory: there is not enough memory on the device, or not enough that can be pinned.
	ErrMemory = errors.New("out of GPU memory")
	// ErrNoDevice: the driver is there and sees no GPU.
	ErrNoDevice = errors.New("the driver sees no GPU")
	// ErrTooOld: the driver is older than this program needs.
	ErrTooOld = errors.New("the driver is too old")
)

// MinVersion is the oldest CUDA that serves: what ONNX Runtime's CUDA provider is built for. NVIDIA's driver has it from
// MinDriver on.
const (
	MinVersion = 13000
	MinDriver  = 580
)

// Error is a call of the driver that failed (CUDA Driver API, CUresult).
type Error struct {
	Op         string // what was attempted, as in "allocate 4096 bytes"
	Code       int
	Name, Text string // CUDA_ERROR_OUT_OF_MEMORY, "out of memory"
}

func (e *Error) Error() string { return fmt.Sprintf("cuda: %s: %s (%s)", e.Op, e.Name, e.Text) }

// Is reports whether the error is of the kind of one of the sentinels.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrLost:
		return lost(e.Code)
	case ErrMemory:
		return e.Code == outOfMemory
	case ErrNoDevice:
		return e.Code == noDevice
	}
	return false
}

// Values of CUresult.
const (
	outOfMemory = 2
	noDevice    = 100
	notReady    = 600
)

// lost reports whether CUDA says of an error that the process must be ended to go on, or that the context is no more:
// cuda.h on CUresult. An unknown error counts, since nothing is known to work after it.
func lost(code int) bool {
	switch code {
	case 4, // DEINITIALIZED
		201,      // INVALID_CONTEXT
		214, 220, // ECC_UNCORRECTABLE, NVLINK_UNCORRECTABLE
		700, 702, 709, 710, // ILLEGAL_ADDRESS, LAUNCH_TIMEOUT, CONTEXT_IS_DESTROYED, ASSERT
		714, 715, 716, 717, 718, 719, // HARDWARE_STACK_ERROR to LAUNCH_FAILED
		721, 999: // TENSOR_MEMORY_LEAK, UNKNOWN
		return true
	}
	return false
}

// failed makes the error of a result that is not 0.
func (d *Driver) failed(code C.int, op string, args ...any) error {
	e := &Error{Op: fmt.Sprintf(op, args...), Code: int(code),
		Name: C.GoString(C.rave_error(d.fn(), code, 0)), Text: C.GoString(C.rave_error(d.fn(), code, 1))}
	if e.Name == "" {
		e.Name, e.Text = fmt.Sprintf("error %d", int(code)), "this driver has no name for it"
	}
	return e
}
