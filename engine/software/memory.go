package software

import (
	"fmt"
	"strings"

	"rave/engine/model"
)

// memory is what this process may use, and how to raise that.
type memory struct {
	limit int64 // bytes; 0: no limit
	fix   string
}

// holds refuses pictures that would not even fit themselves: Go's allocator would end the process.
func (m memory) holds(layout model.Layout, w, h, scale int) error {
	sample := int64(1)
	if layout == model.RGB {
		sample = 3 * 4
	}
	if need := int64(w) * int64(h) * sample * int64(1+scale*scale); m.limit > 0 && need > m.limit/2 {
		return fmt.Errorf("%w: its pictures alone take %d MiB of the %d MiB that a worker may use; %s", model.ErrUnsupported, need>>20,
			m.limit>>20, m.fix)
	}
	return nil
}

// explain adds the fix to what ONNX Runtime says when an allocation fails.
func (m memory) explain(err error) error {
	if m.limit == 0 || !strings.Contains(err.Error(), "Failed to allocate memory") && !strings.Contains(err.Error(), "bad_alloc") {
		return err
	}
	return fmt.Errorf("it needs more than the %d MiB of memory that a worker may use; %s: %w", m.limit>>20, m.fix, err)
}
