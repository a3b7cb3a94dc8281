// Package ort runs networks on an NVIDIA GPU by ONNX Runtime's CUDA provider, on tensors that stay in the GPU's memory. The
// module onnxruntime_go, which the software backend uses, knows tensors in the host's memory only and passes no options to a
// bound run; so this is a small shim of our own over the C interface, with that same library in the same process.
//
// The interface is a table of functions whose order never changes. shim.h has the places of those that are used; a
// test compares them with the header that onnxruntime_go comes with.
//
// Ownership: a Runtime is closed after its Sessions, a Session after its Bindings, a Binding before the memory and the
// stream it uses. A Session belongs to one goroutine that is locked to its thread (runtime.LockOSThread), since ONNX Runtime
// keeps the state of CUDA graphs per thread and has one Run at a time; Terminate is for others.
//
// Run queues the work on the stream and returns: what it reads and writes must stay until an event recorded on that
// stream behind it is done. Nothing is copied between host and GPU, and no node runs on the CPU: a network that would need
// either is refused when it is opened.
package ort
