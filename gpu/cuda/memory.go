package cuda

// #include "shim.h"
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Ptr is an address in a GPU's memory. It is never looked at by the host.
type Ptr uint64

// Memory is a piece of a GPU's memory.
type Memory struct {
	c      *Context
	p      Ptr
	n      int
	closed atomic.Bool
}

// Alloc takes n bytes of the GPU's memory, aligned to 256 bytes at least. What is in them is not defined.
func (c *Context) Alloc(n int) (*Memory, error) {
	if n <= 0 {
		return nil, fmt.Errorf("cuda: %d bytes of GPU memory cannot be allocated", n)
	}
	var p C.CUdeviceptr
	if code := C.rave_alloc(c.d.fn(), c.handle, &p, C.size_t(n)); code != 0 {
		return nil, c.d.failed(code, "allocate %d bytes on GPU %d", n, c.index)
	}
	c.made("memory", 1, int64(n), 0)
	return &Memory{c: c, p: Ptr(p), n: n}, nil
}

// Ptr is where the memory begins.
func (m *Memory) Ptr() Ptr { return m.p }

// Len is its size in bytes.
func (m *Memory) Len() int { return m.n }

// Close gives the memory back, once. It waits for the work on the GPU that was queued before.
func (m *Memory) Close() error {
	if m.closed.Swap(true) {
		return nil
	}
	m.c.made("memory", -1, int64(m.n), 0)
	if code := C.rave_free(m.c.d.fn(), m.c.handle, C.CUdeviceptr(m.p)); code != 0 {
		return m.c.d.failed(code, "free %d bytes on GPU %d", m.n, m.c.index)
	}
	return nil
}

// Pinned is memory of the host's that the GPU reads and writes by itself, so that copies need no thread. Or a range of such
// memory, which belongs to the whole.
type Pinned struct {
	c      *Context
	p      unsafe.Pointer
	n      int
	part   bool
	closed atomic.Bool
}

// AllocPinned takes n bytes of the host's memory and pins them (cuMemHostAlloc).
func (c *Context) AllocPinned(n int) (*Pinned, error) {
	if n <= 0 {
		return nil, fmt.Errorf("cuda: %d bytes of pinned memory cannot be allocated", n)
	}
	var p unsafe.Pointer
	if code := C.rave_host_alloc(c.d.fn(), c.handle, &p, C.size_t(n)); code != 0 {
		return nil, c.d.failed(code, "pin %d bytes of the host's memory", n)
	}
	c.made("pinned memory", 1, 0, int64(n))
	return &Pinned{c: c, p: p, n: n}, nil
}

// Bytes is the memory itself, until Close. While the GPU copies into it, or out of it, it is the GPU's.
func (p *Pinned) Bytes() []byte { return unsafe.Slice((*byte)(p.p), p.n) }

// Len is its size in bytes.
func (p *Pinned) Len() int { return p.n }

// Range is the part of n bytes that begins at a byte. It lives as long as the whole, and is not closed.
func (p *Pinned) Range(from, n int) (*Pinned, error) {
	if from < 0 || n < 0 || from > p.n-n {
		return nil, fmt.Errorf("cuda: bytes %d to %d are outside of %d bytes of pinned memory", from, from+n, p.n)
	}
	return &Pinned{c: p.c, p: unsafe.Add(p.p, from), n: n, part: true}, nil
}

// Close gives the memory back, once. Nothing may be copying.
func (p *Pinned) Close() error {
	if p.part || p.closed.Swap(true) {
		return nil
	}
	p.c.made("pinned memory", -1, 0, int64(p.n))
	if code := C.rave_host_free(p.c.d.fn(), p.c.handle, p.p); code != 0 {
		return p.c.d.failed(code, "free %d bytes of pinned memory", p.n)
	}
	return nil
}

// holds tells a copy that does not fit.
func (p *Pinned) holds(n int) error {
	if n < 0 || n > p.n {
		return fmt.Errorf("cuda: %d bytes cannot be copied: the pinned memory has %d", n, p.n)
	}
	return nil
}
