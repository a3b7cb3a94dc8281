package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"rave/engine/media"
)

// Ledger counts the frames of one session that are in use, over all its pools. A session that has ended must leave it
// at zero.
type Ledger struct {
	// OnMisuse is called when a frame is released twice. Tests panic here.
	OnMisuse func()

	out atomic.Int64
}

func (l *Ledger) misused() {
	if l.OnMisuse != nil {
		l.OnMisuse()
	}
}

// InUse returns how many frames have an owner that is not a pool.
func (l *Ledger) InUse() int { return int(l.out.Load()) }

// PoolHooks say how a pool's frames are made and unmade.
type PoolHooks struct {
	Init    func(*media.Frame) error // gives a new frame its memory
	Reset   func(*media.Frame)       // a released frame, before it waits for its next use; may be nil
	Destroy func(*media.Frame)       // frees the memory
}

// Pool is a fixed number of frames, so that memory is bounded whatever the load. It is made for one generation of a
// stage, sized to what may be in flight behind that stage, and closed with it.
type Pool struct {
	hooks  PoolHooks
	ledger *Ledger
	free   chan *media.Frame

	mu     sync.Mutex
	closed bool
}

// ErrPoolClosed is returned by Get after Close.
var ErrPoolClosed = errors.New("frame pool is closed")

// NewPool makes n frames, whose use is counted in ledger.
func NewPool(n int, ledger *Ledger, hooks PoolHooks) (*Pool, error) {
	p := &Pool{hooks: hooks, ledger: ledger, free: make(chan *media.Frame, n)}
	for range n {
		f := media.NewFrame(p)
		if err := hooks.Init(f); err != nil {
			hooks.Destroy(f) // what Init may have begun
			p.Close()
			return nil, err
		}
		p.free <- f
	}
	return p, nil
}

// Get returns a frame that the caller owns; it waits while all are in use.
func (p *Pool) Get(ctx context.Context) (*media.Frame, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case f, ok := <-p.free:
		if !ok {
			return nil, ErrPoolClosed
		}
		p.ledger.out.Add(1)
		f.Reuse()
		return f, nil
	}
}

// Free implements media.Owner.
func (p *Pool) Free(f *media.Frame) {
	if p.hooks.Reset != nil {
		p.hooks.Reset(f)
	}
	p.ledger.out.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.hooks.Destroy(f)
		return
	}
	p.free <- f
}

// Misused implements media.Owner.
func (p *Pool) Misused(*media.Frame) { p.ledger.misused() }

// Close frees the frames. Those still in use, such as the ones that wait for the encoder when a generation ends, are
// freed when they are released.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	close(p.free)
	for f := range p.free {
		p.hooks.Destroy(f)
	}
}
