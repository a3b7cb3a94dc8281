package soak

import (
	"context"
	"sync"
	"time"
)

// stallClock tells a late machine from a late RAVE: a timer of this program, every 5 ms, and by how much it was late.
type stallClock struct {
	mu    sync.Mutex
	worst time.Duration
}

func (c *stallClock) run(ctx context.Context) {
	const tick = 5 * time.Millisecond
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		due := time.Now().Add(tick)
		timer.Reset(tick)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		c.note(time.Since(due))
	}
}

func (c *stallClock) note(late time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.worst = max(c.worst, late)
}

// latest returns the worst since the last call.
func (c *stallClock) latest() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	worst := c.worst
	c.worst = 0
	return worst
}
