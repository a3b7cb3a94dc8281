package ort

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"unsafe"

	"rave/gpu/cuda"
)

// Config says what to open.
type Config struct {
	Name  string // of the network, for errors
	Model []byte // an .onnx file

	GPU    int          // the GPU whose primary context is retained
	Stream *cuda.Stream // the work is queued here
	// NHWC keeps pictures with interleaved channels inside, which tensor cores want. It fails for a model that names its
	// output's dynamic dimensions like its input's.
	NHWC bool
	// Graph replays each binding's work as one CUDA graph, after two runs that record it. Shapes and addresses are fixed
	// by the binding, so nothing else may change.
	Graph bool
	// MemoryLimit is what the session may take of the GPU's memory for intermediate results, in bytes; 0: all there is.
	MemoryLimit int64
	// TF32 lets float32 networks multiply with 10 bits of mantissa, which is several times faster.
	TF32 bool
}

// Session is a network on a GPU.
type Session struct {
	r      *Runtime
	cfg    Config
	device string
	handle unsafe.Pointer
}

// NewSession opens a network on the GPU. It fails if a node of it would run on the CPU, or data would be copied there.
func (r *Runtime) NewSession(cfg Config) (*Session, error) {
	if cfg.Stream == nil {
		return nil, fmt.Errorf("model %s: no stream is given", cfg.Name)
	}
	return r.newSession(cfg, "Cuda", map[string]string{
		"device_id":             strconv.Itoa(cfg.GPU),
		"prefer_nhwc":           onOff(cfg.NHWC),
		"enable_cuda_graph":     onOff(cfg.Graph),
		"use_tf32":              onOff(cfg.TF32),
		"gpu_mem_limit":         memoryLimit(cfg.MemoryLimit),
		"arena_extend_strategy": "kSameAsRequested",
	}, map[string]string{"session.disable_cpu_ep_fallback": "1"})
}

func onOff(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func memoryLimit(bytes int64) string {
	if bytes <= 0 {
		return strconv.FormatUint(1<<64-1, 10) // ONNX Runtime's own default: SIZE_MAX
	}
	return strconv.FormatInt(bytes, 10)
}

// newSession opens a network on the GPU, or on the CPU, which tests do.
func (r *Runtime) newSession(cfg Config, device string, provider, config map[string]string) (*Session, error) {
	if len(cfg.Model) == 0 {
		return nil, fmt.Errorf("model %s is empty", cfg.Name)
	}
	config["session.intra_op.allow_spinning"] = "0"
	s := &Session{r: r, cfg: cfg, device: device}
	var stream uintptr
	if cfg.Stream != nil {
		stream = cfg.Stream.Handle()
	}
	sessionEntries, freeSession := entries(config)
	defer freeSession()
	providerEntries, freeProvider := entries(provider)
	defer freeProvider()
	text := C.rave_ort_session(r.api, r.env, unsafe.Pointer(&cfg.Model[0]), C.size_t(len(cfg.Model)), sessionEntries,
		providerEntries, C.uintptr_t(stream), &s.handle)
	if err := failed("open the network", text); err != nil {
		return nil, fmt.Errorf("model %s: %w", cfg.Name, err)
	}
	return s, nil
}

// entries copies pairs of keys and values into C's memory.
func entries(m map[string]string) (C.rave_entries, func()) {
	n := len(m)
	if n == 0 {
		return C.rave_entries{}, func() {}
	}
	list := unsafe.Slice((**C.char)(C.calloc(C.size_t(2*n), C.size_t(unsafe.Sizeof(uintptr(0))))), 2*n)
	for i, key := range slices.Sorted(maps.Keys(m)) {
		list[i], list[n+i] = C.CString(key), C.CString(m[key])
	}
	return C.rave_entries{keys: &list[0], values: &list[n], n: C.size_t(n)}, func() {
		for _, s := range list {
			C.free(unsafe.Pointer(s))
		}
		C.free(unsafe.Pointer(&list[0]))
	}
}

// Close closes the session, once. What it has queued must be done.
func (s *Session) Close() { s.r.release(C.ORT_ReleaseSession, &s.handle) }

// Type is a tensor's element (ONNXTensorElementDataType).
type Type int

// The types that networks for pictures take and give.
const (
	Float32 Type = 1
	Uint8   Type = 2
	Float16 Type = 10
)

// Size is the size of an element in bytes.
func (t Type) Size() int {
	switch t {
	case Float32:
		return 4
	case Float16:
		return 2
	}
	return 1
}

// Tensor is memory on the GPU that a network reads or writes.
type Tensor struct {
	Ptr   cuda.Ptr
	Bytes int // that are there
	Type  Type
	Shape []int64
}

// Binding is the fixed memory that runs of a session read and write: a slot.
type Binding struct {
	s       *Session
	handle  unsafe.Pointer
	values  []unsafe.Pointer
	mu      sync.Mutex // between Terminate and Close
	options unsafe.Pointer
}

// noGraph is the number of a run that is not recorded.
const noGraph = -1

// NewBinding binds memory to inputs and outputs by their names. graph is the number of the CUDA graph that replays this
// binding, 1 or more and another one for each binding of a session that has Graph set; else 0.
func (s *Session) NewBinding(inputs, outputs map[string]Tensor, graph int) (*Binding, error) {
	b := &Binding{s: s}
	if err := b.open(inputs, outputs, graph); err != nil {
		b.Close()
		return nil, fmt.Errorf("model %s: %w", s.cfg.Name, err)
	}
	return b, nil
}

func (b *Binding) open(inputs, outputs map[string]Tensor, graph int) error {
	if b.s.cfg.Graph != (graph > 0) {
		return fmt.Errorf("graph %d does not go with Graph: %v", graph, b.s.cfg.Graph)
	}
	if graph == 0 {
		graph = noGraph
	}
	api := b.s.r.api
	if err := failed("make a binding", C.rave_ort_binding(api, b.s.handle, &b.handle)); err != nil {
		return err
	}
	for output, tensors := range []map[string]Tensor{inputs, outputs} {
		for name, t := range tensors {
			if err := b.bind(name, t, output); err != nil {
				return err
			}
		}
	}
	config := map[string]string{}
	if b.s.device == "Cuda" {
		config["gpu_graph_id"] = strconv.Itoa(graph)
		config["disable_synchronize_execution_providers"] = "1" // Run queues the work and does not wait
	}
	list, free := entries(config)
	defer free()
	return failed("make options", C.rave_ort_options(api, list, &b.options))
}

func (b *Binding) bind(name string, t Tensor, output int) error {
	size := t.Type.Size()
	for _, d := range t.Shape {
		size *= int(d)
	}
	if len(t.Shape) == 0 || size <= 0 || size > t.Bytes {
		return fmt.Errorf("tensor %s of shape %v needs %d bytes and has %d", name, t.Shape, size, t.Bytes)
	}
	cName, cDevice := C.CString(name), C.CString(b.s.device)
	defer C.free(unsafe.Pointer(cName))
	defer C.free(unsafe.Pointer(cDevice))
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&t.Shape[0])
	tensor := C.rave_tensor{name: cName, size: C.size_t(size), shape: (*C.int64_t)(&t.Shape[0]), dimensions: C.size_t(len(t.Shape)),
		_type: C.int(t.Type), output: C.int(output), data: C.uint64_t(t.Ptr)}
	var value unsafe.Pointer
	text := C.rave_ort_bind(b.s.r.api, b.handle, cDevice, C.int(b.s.cfg.GPU), &tensor, &value)
	if value != nil {
		b.values = append(b.values, value)
	}
	return failed("bind tensor "+name, text)
}

// Run queues one run on the session's stream. The first one takes long: cuDNN tries its algorithms.
func (s *Session) Run(b *Binding) error {
	if err := failed("run the network", C.rave_ort_run(s.r.api, s.handle, b.options, b.handle)); err != nil {
		return fmt.Errorf("model %s: %w", s.cfg.Name, err)
	}
	return nil
}

// Terminate makes a run in progress, and all later ones of this binding, fail soon. It may be called from any goroutine.
func (b *Binding) Terminate() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.options == nil {
		return nil
	}
	return failed("terminate", C.rave_ort_terminate(b.s.r.api, b.options))
}

// Close lets the memory go, once. What was queued with it must be done.
func (b *Binding) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.s.r
	r.release(C.ORT_ReleaseIoBinding, &b.handle)
	for i := range b.values {
		r.release(C.ORT_ReleaseValue, &b.values[i])
	}
	b.values = nil
	r.release(C.ORT_ReleaseRunOptions, &b.options)
}
