package cuda

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"unsafe"
)

// libnvml is NVIDIA's management library, which nvidia-smi uses as well.
const libnvml = "libnvidia-ml.so.1"

// ErrLostNVML means that NVML is there and cannot reach the driver any more: a container whose devices were taken away.
var ErrLostNVML = errors.New("NVML has lost the driver")

// NVML tells what the driver and a GPU as a whole are doing (NVML API).
type NVML struct{ *table }

// OpenNVML opens and initialises NVML. The errors that tell something are ErrNoLibrary and ErrLostNVML.
func OpenNVML(lib Library) (*NVML, error) {
	t, err := open(lib, libnvml, C.rave_nvml_symbols())
	if err != nil {
		return nil, errors.Join(err, t.close())
	}
	n := &NVML{t}
	if code := C.rave_nvml_init(n.fn()); code != 0 {
		return nil, errors.Join(n.failed(code, "initialise"), t.close())
	}
	return n, nil
}

func (n *NVML) fn() *C.rave_nvml { return (*C.rave_nvml)(n.funcs) }

func (n *NVML) failed(code C.int, op string) error {
	// nvmlReturn_t: UNKNOWN is what a container gets that may not open /dev/nvidiactl any more
	const driverNotLoaded, noPermission, unknown = 9, 4, 999
	err := fmt.Errorf("nvml: %s: %s (%d)", op, C.GoString(C.rave_nvml_error(n.fn(), code)), int(code))
	if code == unknown || code == noPermission || code == driverNotLoaded {
		return fmt.Errorf("%w: %w", ErrLostNVML, err)
	}
	return err
}

// Close ends the use of NVML.
func (n *NVML) Close() error {
	if n.funcs == nil {
		return nil
	}
	var err error
	if code := C.rave_nvml_shutdown(n.fn()); code != 0 {
		err = n.failed(code, "shut down")
	}
	return errors.Join(err, n.close())
}

// DriverVersion is the driver's own version, as in "580.159.04".
func (n *NVML) DriverVersion() (string, error) {
	const size = 80 // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
	var version [size]C.char
	if code := C.rave_nvml_driver(n.fn(), &version[0], size); code != 0 {
		return "", n.failed(code, "read the driver's version")
	}
	return C.GoString(&version[0]), nil
}

// device finds a GPU by the UUID that Driver.Devices gives.
func (n *NVML) device(uuid string) (C.uintptr_t, error) {
	var device C.uintptr_t
	s := C.CString(uuid)
	defer C.free(unsafe.Pointer(s))
	if code := C.rave_nvml_device(n.fn(), s, &device); code != 0 {
		return 0, n.failed(code, "find "+uuid)
	}
	return device, nil
}

// MemoryInfo is what a GPU has and what all processes together use, in bytes.
type MemoryInfo struct{ Total, Free, Used uint64 }

// Memory reads what is used of a GPU's memory.
func (n *NVML) Memory(uuid string) (MemoryInfo, error) {
	device, err := n.device(uuid)
	if err != nil {
		return MemoryInfo{}, err
	}
	var m C.nvmlMemory_t
	if code := C.rave_nvml_memory(n.fn(), device, &m); code != 0 {
		return MemoryInfo{}, n.failed(code, "read the memory of "+uuid)
	}
	return MemoryInfo{Total: uint64(m.total), Free: uint64(m.free), Used: uint64(m.used)}, nil
}

// ErrNoProcess means that NVML does not tell what a process uses: it has no context there, or is in a container, where NVML
// knows processes by the host's numbers.
var ErrNoProcess = errors.New("NVML knows no such process on the GPU")

// ProcessMemory is what a process uses of a GPU's memory in bytes, contexts and kernels included.
func (n *NVML) ProcessMemory(uuid string, pid int) (uint64, error) {
	device, err := n.device(uuid)
	if err != nil {
		return 0, err
	}
	const most = 512
	var (
		processes [most]C.nvmlProcessInfo_t
		count     = C.uint(most)
	)
	if code := C.rave_nvml_processes(n.fn(), device, &count, &processes[0]); code != 0 {
		return 0, n.failed(code, "list the processes on "+uuid)
	}
	for _, p := range processes[:min(count, most)] {
		if int(p.pid) == pid && uint64(p.usedGpuMemory) != math.MaxUint64 { // NVML_VALUE_NOT_AVAILABLE
			return uint64(p.usedGpuMemory), nil
		}
	}
	return 0, fmt.Errorf("%w: %d", ErrNoProcess, pid)
}
