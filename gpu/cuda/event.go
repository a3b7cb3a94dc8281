package cuda

// #include "shim.h"
import "C"

import (
	"sync/atomic"
	"time"
)

// Event is a mark in a stream's work. One that was never recorded counts as done.
type Event struct {
	c      *Context
	handle C.CUevent
	closed atomic.Bool
}

// NewEvent makes an event; Elapsed needs timing, which costs the GPU a little. Who waits for it sleeps
// (CU_EVENT_BLOCKING_SYNC).
func (c *Context) NewEvent(timing bool) (*Event, error) {
	const blocking, withoutTiming = 1, 2
	flags := C.uint(blocking)
	if !timing {
		flags |= withoutTiming
	}
	e := &Event{c: c}
	if code := C.rave_event_new(c.d.fn(), c.handle, &e.handle, flags); code != 0 {
		return nil, c.d.failed(code, "make an event on GPU %d", c.index)
	}
	c.made("event", 1, 0, 0)
	return e, nil
}

// Close closes the event, once. What waits for it on the GPU is not harmed.
func (e *Event) Close() error {
	if e.closed.Swap(true) {
		return nil
	}
	e.c.made("event", -1, 0, 0)
	if code := C.rave_event_free(e.c.d.fn(), e.c.handle, e.handle); code != 0 {
		return e.c.d.failed(code, "close an event")
	}
	return nil
}

// Done reports whether all work before the event is done, without waiting.
func (e *Event) Done() (bool, error) {
	switch code := C.rave_event_query(e.c.d.fn(), e.c.handle, e.handle); code {
	case 0:
		return true, nil
	case notReady:
		return false, nil
	default:
		return false, e.c.d.failed(code, "look at an event")
	}
}

// Sync waits until all work before the event is done.
func (e *Event) Sync() error {
	if code := C.rave_event_sync(e.c.d.fn(), e.c.handle, e.handle); code != 0 {
		return e.c.d.failed(code, "wait for an event")
	}
	return nil
}

// Elapsed is the time on the GPU from since to e, to about half a microsecond. Both must have timing and be done.
func (e *Event) Elapsed(since *Event) (time.Duration, error) {
	var ms C.float
	if code := C.rave_event_elapsed(e.c.d.fn(), e.c.handle, &ms, since.handle, e.handle); code != 0 {
		return 0, e.c.d.failed(code, "measure between two events")
	}
	return time.Duration(float64(ms) * float64(time.Millisecond)), nil
}
