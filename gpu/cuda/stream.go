package cuda

// #cgo noescape rave_launch
// #cgo nocallback rave_launch
// #include "shim.h"
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Stream is a queue of work for the GPU, done in order.
type Stream struct {
	c      *Context
	handle C.CUstream
	closed atomic.Bool
}

// NewStream makes a stream that waits for no other one unless told (CU_STREAM_NON_BLOCKING).
func (c *Context) NewStream() (*Stream, error) {
	s := &Stream{c: c}
	if code := C.rave_stream_new(c.d.fn(), c.handle, &s.handle); code != 0 {
		return nil, c.d.failed(code, "make a stream on GPU %d", c.index)
	}
	c.made("stream", 1, 0, 0)
	return s, nil
}

// Close closes the stream, once. Work that is queued is still done.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.c.made("stream", -1, 0, 0)
	return s.result(C.rave_stream_free(s.c.d.fn(), s.c.handle, s.handle), "close a stream")
}

// Handle is the CUstream, for FFmpeg and ONNX Runtime.
func (s *Stream) Handle() uintptr { return uintptr(s.handle) }

func (s *Stream) result(code C.int, op string) error {
	if code == 0 {
		return nil
	}
	return s.c.d.failed(code, "%s", op)
}

// Launch queues a kernel: a grid of blocks of threads, with shared bytes of dynamic shared memory for each block. Arguments
// are of type uint32, int32, float32, uint64 or Ptr; number and sizes must be the kernel's, else nothing is launched.
func (s *Stream) Launch(f *Function, grid, block [3]uint32, shared uint32, args ...any) error {
	var values [C.RAVE_MAX_ARGS]C.uint64_t
	if err := f.pack(&values, args); err != nil {
		return err
	}
	size := C.rave_launch_size{shared: C.uint32_t(shared)}
	for i := range grid {
		size.grid[i], size.block[i] = C.uint32_t(grid[i]), C.uint32_t(block[i])
	}
	code := C.rave_launch(s.c.d.fn(), s.c.handle, f.handle, &size, s.handle, &values[0], C.int(len(args)))
	if code != 0 {
		return s.c.d.failed(code, "launch kernel %s with %v blocks of %v threads", f.name, grid, block)
	}
	return nil
}

// CopyIn queues a copy of n bytes from the host's memory to the GPU's.
func (s *Stream) CopyIn(dst Ptr, src *Pinned, n int) error {
	if err := src.holds(n); err != nil {
		return err
	}
	code := C.rave_copy_in(s.c.d.fn(), s.c.handle, C.CUdeviceptr(dst), src.p, C.size_t(n), s.handle, 0)
	if code != 0 {
		return s.c.d.failed(code, "copy %d bytes to the GPU", n)
	}
	return nil
}

// CopyOut queues a copy of n bytes from the GPU's memory to the host's.
func (s *Stream) CopyOut(dst *Pinned, src Ptr, n int) error {
	if err := dst.holds(n); err != nil {
		return err
	}
	code := C.rave_copy_out(s.c.d.fn(), s.c.handle, dst.p, C.CUdeviceptr(src), C.size_t(n), s.handle, 0)
	if code != 0 {
		return s.c.d.failed(code, "copy %d bytes from the GPU", n)
	}
	return nil
}

// Copy queues a copy of n bytes within the GPU's memory.
func (s *Stream) Copy(dst, src Ptr, n int) error {
	if n < 0 {
		return fmt.Errorf("cuda: %d bytes cannot be copied", n)
	}
	code := C.rave_copy(s.c.d.fn(), s.c.handle, C.CUdeviceptr(dst), C.CUdeviceptr(src), C.size_t(n), s.handle)
	if code != 0 {
		return s.c.d.failed(code, "copy %d bytes on the GPU", n)
	}
	return nil
}

// Copy2D queues a copy of height rows of width bytes within the GPU's memory. A pitch is the distance between the
// beginnings of two rows, in bytes.
func (s *Stream) Copy2D(dst Ptr, dstPitch int, src Ptr, srcPitch, width, height int) error {
	return s.copy2D(nil, dst, dstPitch, nil, src, srcPitch, width, height)
}

// CopyOut2D queues the same from the GPU's memory to the host's.
func (s *Stream) CopyOut2D(dst *Pinned, dstPitch int, src Ptr, srcPitch, width, height int) error {
	if err := dst.holds(rowsSize(dstPitch, width, height)); err != nil {
		return err
	}
	return s.copy2D(dst.p, 0, dstPitch, nil, src, srcPitch, width, height)
}

// CopyIn2D queues the same from the host's memory to the GPU's.
func (s *Stream) CopyIn2D(dst Ptr, dstPitch int, src *Pinned, srcPitch, width, height int) error {
	if err := src.holds(rowsSize(srcPitch, width, height)); err != nil {
		return err
	}
	return s.copy2D(nil, dst, dstPitch, src.p, 0, srcPitch, width, height)
}

// rowsSize is the number of bytes from the first row's first one to the last row's last one.
func rowsSize(pitch, width, height int) int { return pitch*(height-1) + width }

func (s *Stream) copy2D(dstHost unsafe.Pointer, dst Ptr, dstPitch int, srcHost unsafe.Pointer, src Ptr, srcPitch, width, height int) error {
	if width <= 0 || height <= 0 || width > dstPitch || width > srcPitch {
		return fmt.Errorf("cuda: %d rows of %d bytes cannot be copied from a pitch of %d to one of %d", height, width, srcPitch, dstPitch)
	}
	code := C.rave_copy_2d(s.c.d.fn(), s.c.handle, dstHost, C.CUdeviceptr(dst), C.size_t(dstPitch), srcHost, C.CUdeviceptr(src),
		C.size_t(srcPitch), C.size_t(width), C.size_t(height), s.handle)
	if code != 0 {
		return s.c.d.failed(code, "copy %d rows of %d bytes", height, width)
	}
	return nil
}

// Upload copies to the GPU's memory after what is queued, and waits for it: for small things at the start.
func (s *Stream) Upload(dst Ptr, src []byte) error {
	if len(src) == 0 {
		return nil
	}
	code := C.rave_copy_in(s.c.d.fn(), s.c.handle, C.CUdeviceptr(dst), unsafe.Pointer(&src[0]), C.size_t(len(src)), s.handle, 1)
	if code != 0 {
		return s.c.d.failed(code, "upload %d bytes to the GPU", len(src))
	}
	return nil
}

// Download copies from the GPU's memory after what is queued, and waits for it.
func (s *Stream) Download(dst []byte, src Ptr) error {
	if len(dst) == 0 {
		return nil
	}
	code := C.rave_copy_out(s.c.d.fn(), s.c.handle, unsafe.Pointer(&dst[0]), C.CUdeviceptr(src), C.size_t(len(dst)), s.handle, 1)
	if code != 0 {
		return s.c.d.failed(code, "download %d bytes from the GPU", len(dst))
	}
	return nil
}

// Set queues that n bytes become v.
func (s *Stream) Set(dst Ptr, v byte, n int) error {
	if n < 0 {
		return fmt.Errorf("cuda: %d bytes cannot be set", n)
	}
	code := C.rave_set(s.c.d.fn(), s.c.handle, C.CUdeviceptr(dst), C.uchar(v), C.size_t(n), s.handle)
	if code != 0 {
		return s.c.d.failed(code, "set %d bytes on the GPU", n)
	}
	return nil
}

// Record makes e done when what is queued so far is.
func (s *Stream) Record(e *Event) error {
	return s.result(C.rave_event_record(s.c.d.fn(), s.c.handle, e.handle, s.handle), "record an event")
}

// Wait makes what is queued from now on wait for e, on the GPU. It does not wait itself.
func (s *Stream) Wait(e *Event) error {
	return s.result(C.rave_stream_wait(s.c.d.fn(), s.c.handle, s.handle, e.handle), "have a stream wait for an event")
}

// Sync waits until everything that is queued is done. The thread sleeps. The error may be that of any work before.
func (s *Stream) Sync() error {
	return s.result(C.rave_stream_sync(s.c.d.fn(), s.c.handle, s.handle), "wait for a stream")
}
