package cuda

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// contextFlags are FFmpeg's, which refuses a primary context with others: a thread that waits sleeps
// (CU_CTX_SCHED_BLOCKING_SYNC) rather than burning a core.
const contextFlags = 4

// Context is the primary context of a GPU, the one that the CUDA runtime, ONNX Runtime and FFmpeg share.
type Context struct {
	d      *Driver
	index  int
	device C.CUdevice
	handle C.CUcontext

	mu     sync.Mutex
	closed bool
	open   map[string]int // what has been made and not closed, by kind
	usage  Usage
}

// Usage is what a context's owner has allocated through it, in bytes.
type Usage struct{ Device, Pinned int64 }

// Retain makes the primary context of a GPU, with FFmpeg's flags. It must come before anything else in the process makes
// one: it fails if there is one with other flags.
func (d *Driver) Retain(index int) (*Context, error) {
	var (
		info  C.rave_device
		flags C.uint
	)
	c := &Context{d: d, index: index, open: map[string]int{}}
	if code := C.rave_device_get(d.fn(), C.int(index), &c.device, &info); code != 0 {
		return nil, d.failed(code, "find GPU %d", index)
	}
	if code := C.rave_retain(d.fn(), c.device, contextFlags, &c.handle, &flags); code != 0 {
		return nil, d.failed(code, "make a context on GPU %d (%s)", index, C.GoString(&info.name[0]))
	}
	d.contexts.Add(1)
	if flags != contextFlags {
		return nil, errors.Join(fmt.Errorf("cuda: GPU %d has a context with flags %#x in this process already, and FFmpeg needs %#x; "+
			"retain it before anything else uses CUDA", index, uint(flags), contextFlags), c.Close())
	}
	return c, nil
}

// Close releases the context, once. An error says what is still open; memory that others still use goes with the process.
func (c *Context) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	c.d.contexts.Add(-1)
	var err error
	if len(c.open) > 0 {
		var left []string
		for kind, n := range c.open {
			left = append(left, fmt.Sprintf("%d × %s", n, kind))
		}
		slices.Sort(left)
		err = fmt.Errorf("cuda: the context of GPU %d is closed with something open: %s", c.index, strings.Join(left, ", "))
	}
	if code := C.rave_release(c.d.fn(), c.device); code != 0 {
		err = errors.Join(err, c.d.failed(code, "release the context of GPU %d", c.index))
	}
	return err
}

// Handle is the CUcontext, for FFmpeg.
func (c *Context) Handle() uintptr { return uintptr(c.handle) }

// Index is the GPU's number among those that this process may use.
func (c *Context) Index() int { return c.index }

// MemInfo returns the GPU's free and total memory in bytes, whoever uses it (cuMemGetInfo).
func (c *Context) MemInfo() (free, total uint64, err error) {
	var f, t C.size_t
	if code := C.rave_mem_info(c.d.fn(), c.handle, &f, &t); code != 0 {
		return 0, 0, c.d.failed(code, "read how much memory GPU %d has", c.index)
	}
	return uint64(f), uint64(t), nil
}

// Usage returns what is allocated through this context now.
func (c *Context) Usage() Usage {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.usage
}

// made counts something that has been made (n is 1) or closed (-1), with the memory it has.
func (c *Context) made(kind string, n int, device, pinned int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open[kind] += n; c.open[kind] == 0 {
		delete(c.open, kind)
	}
	c.usage.Device += int64(n) * device
	c.usage.Pinned += int64(n) * pinned
}
