package engine

import (
	"context"
	"sync"
)

// Queue is a bounded queue between two stages, with one producer and one consumer. What it does when it is full is
// decided at its making: wait, or give up its oldest item (see drop.go for who uses which, and why).
type Queue[T any] struct {
	capacity int
	evict    func(T) // called with the oldest item when full; nil: Put waits

	mu     sync.Mutex
	items  []T
	closed bool

	filled chan struct{} // capacity 1: something was put, or the queue was closed
	freed  chan struct{} // capacity 1: something was taken
}

// NewQueue makes a queue of the given capacity. With evict nil Put waits for room; otherwise Put never waits and evict
// gets the oldest item, with its ownership.
func NewQueue[T any](capacity int, evict func(T)) *Queue[T] {
	return &Queue[T]{
		capacity: capacity,
		evict:    evict,
		filled:   make(chan struct{}, 1),
		freed:    make(chan struct{}, 1),
	}
}

// Put adds v. It returns false, and v stays the caller's, if ctx ends before there is room, or if the queue is closed.
func (q *Queue[T]) Put(ctx context.Context, v T) bool {
	for {
		old, done, ok := q.tryPut(v)
		if done {
			for _, o := range old {
				q.evict(o)
			}
			return ok
		}
		select {
		case <-ctx.Done():
			return false
		case <-q.freed:
		}
	}
}

// TryPut adds v if the queue is empty and open. It returns false, and v stays the caller's, if not. Any goroutine may call
// it, the producer or not.
func (q *Queue[T]) TryPut(v T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items) > 0 {
		return false
	}
	q.items = append(q.items, v)
	signal(q.filled)
	return true
}

func (q *Queue[T]) tryPut(v T) (old []T, done, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, true, false
	}
	if len(q.items) >= q.capacity {
		if q.evict == nil {
			return nil, false, false
		}
		old = append(old, q.items[0])
		q.items = q.items[1:]
	}
	q.items = append(q.items, v)
	signal(q.filled)
	return old, true, true
}

// Each calls fn with every item until the queue is closed and empty (nil), fn fails, or ctx ends.
func (q *Queue[T]) Each(ctx context.Context, fn func(T) error) error {
	for {
		v, ok, closed := q.take()
		switch {
		case ok:
			if err := fn(v); err != nil {
				return err
			}
		case closed:
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if ok {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-q.filled:
		}
	}
}

func (q *Queue[T]) take() (v T, ok, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return v, false, q.closed
	}
	v = q.items[0]
	var zero T
	q.items[0] = zero
	q.items = q.items[1:]
	signal(q.freed)
	return v, true, q.closed
}

// Len returns how many items wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Close lets Each return once the queue is empty. Put fails from now on.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	signal(q.filled)
	signal(q.freed)
}

// Drain empties the queue into fn: at the end, when nobody takes any more.
func (q *Queue[T]) Drain(fn func(T)) {
	for {
		v, ok, _ := q.take()
		if !ok {
			return
		}
		fn(v)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
