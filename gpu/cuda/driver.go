package cuda

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Driver is an open and initialised libcuda.
type Driver struct {
	*table
	version  int
	contexts atomic.Int64 // retained and not closed
}

// libcuda is the driver's library, which comes with the kernel module and must match it.
const libcuda = "libcuda.so.1"

// Open opens and initialises the driver (cuInit). The errors that tell something are ErrNoLibrary (no driver), ErrTooOld and
// ErrNoDevice. It leaves nothing behind if it fails.
func Open(lib Library) (*Driver, error) {
	t, err := open(lib, libcuda, C.rave_driver_symbols())
	if t == nil {
		return nil, err
	}
	d := &Driver{table: t}
	if err = d.start(err); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return d, nil
}

// start initialises what has been opened; missing is what the library lacks. A driver that is too old says so rather than
// what it lacks for that.
func (d *Driver) start(missing error) error {
	var version C.int
	if d.fn().cuDriverGetVersion != nil {
		if code := C.rave_version(d.fn(), &version); code != 0 {
			return fmt.Errorf("cuda: read the driver's version: error %d", int(code))
		}
		if d.version = int(version); d.version < MinVersion {
			return fmt.Errorf("%w: it has CUDA %s, and CUDA %s is needed", ErrTooOld, VersionText(d.version), VersionText(MinVersion))
		}
	}
	if missing != nil {
		return missing
	}
	if code := C.rave_init(d.fn()); code != 0 {
		return d.failed(code, "initialise the driver")
	}
	return nil
}

func (d *Driver) fn() *C.rave_driver { return (*C.rave_driver)(d.funcs) }

// Close closes the library. All contexts must be closed before.
func (d *Driver) Close() error {
	if n := d.contexts.Load(); n > 0 {
		return fmt.Errorf("cuda: the driver cannot be closed: %d contexts are open", n)
	}
	return d.close()
}

// Version is the newest CUDA that the driver serves: 13000 is CUDA 13.0.
func (d *Driver) Version() int { return d.version }

// VersionText writes a version of CUDA's as people do: 13.0.
func VersionText(version int) string { return fmt.Sprintf("%d.%d", version/1000, version%1000/10) }

// Device is a GPU.
type Device struct {
	Index        int
	Name         string // "NVIDIA H100 80GB HBM3"
	UUID         string // "GPU-" and 32 hexadecimal digits in five groups, as NVML writes it
	Major, Minor int    // compute capability
	Memory       uint64 // bytes
	SMs          int    // multiprocessors
}

// Devices lists the GPUs that this process may use, CUDA_VISIBLE_DEVICES applied.
func (d *Driver) Devices() ([]Device, error) {
	var n C.int
	if code := C.rave_device_count(d.fn(), &n); code != 0 {
		return nil, d.failed(code, "count GPUs")
	}
	devices := make([]Device, int(n))
	for i := range devices {
		var (
			handle C.CUdevice
			info   C.rave_device
		)
		if code := C.rave_device_get(d.fn(), C.int(i), &handle, &info); code != 0 {
			return nil, d.failed(code, "describe GPU %d", i)
		}
		u := info.uuid.bytes
		devices[i] = Device{
			Index: i, Name: C.GoString(&info.name[0]), Major: int(info.major), Minor: int(info.minor), Memory: uint64(info.memory), SMs: int(info.sms),
			UUID: fmt.Sprintf("GPU-%x-%x-%x-%x-%x", bytes(u[:4]), bytes(u[4:6]), bytes(u[6:8]), bytes(u[8:10]), bytes(u[10:])),
		}
	}
	return devices, nil
}

func bytes(c []C.uchar) []byte {
	b := make([]byte, len(c))
	for i := range c {
		b[i] = byte(c[i])
	}
	return b
}
