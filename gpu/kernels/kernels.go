package kernels

import (
	_ "embed"
	"errors"
	"fmt"
	"sync"

	"rave/gpu/cuda"
)

var (
	//go:embed input.ptx
	inputPTX []byte
	//go:embed output.ptx
	outputPTX []byte
	//go:embed resize.ptx
	resizePTX []byte
	//go:embed deinterlace.ptx
	deinterlacePTX []byte
	//go:embed mix.ptx
	mixPTX []byte
)

// group is the kernels of one source file.
type group string

const (
	input       group = "input"
	output      group = "output"
	resize      group = "resize"
	deinterlace group = "deinterlace"
	mix         group = "mix"
)

func (g group) ptx() []byte {
	switch g {
	case input:
		return inputPTX
	case output:
		return outputPTX
	case resize:
		return resizePTX
	case deinterlace:
		return deinterlacePTX
	default:
		return mixPTX
	}
}

// Kernels launches the kernels in one context. Its methods may be called from any goroutine.
type Kernels struct {
	context *cuda.Context

	mu        sync.Mutex
	modules   map[group]*cuda.Module
	functions map[string]*cuda.Function
}

// New returns the kernels of a context. They are loaded when they are first used.
func New(c *cuda.Context) *Kernels {
	return &Kernels{context: c, modules: map[group]*cuda.Module{}, functions: map[string]*cuda.Function{}}
}

// Close unloads the kernels; none may run any more.
func (k *Kernels) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, m := range k.modules {
		errs = append(errs, m.Close())
	}
	clear(k.modules)
	clear(k.functions)
	return errors.Join(errs...)
}

func (k *Kernels) function(g group, name string) (*cuda.Function, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if f := k.functions[name]; f != nil {
		return f, nil
	}
	m := k.modules[g]
	if m == nil {
		var err error
		if m, err = k.context.Load(g.ptx()); err != nil {
			return nil, fmt.Errorf("load the %s kernels: %w", g, err)
		}
		k.modules[g] = m
	}
	f, err := m.Function(name)
	if err != nil {
		return nil, err
	}
	k.functions[name] = f
	return f, nil
}

// launch runs a kernel on a grid of x×y blocks.
func (k *Kernels) launch(s *cuda.Stream, g group, name string, x, y int, block [2]uint32, args []any) error {
	f, err := k.function(g, name)
	if err != nil {
		return err
	}
	return s.Launch(f, [3]uint32{uint32(x), uint32(y), 1}, [3]uint32{block[0], block[1], 1}, 0, args...)
}

// Copy copies n bytes, a multiple of 16, between addresses that are multiples of 16. It is what the other kernels are
// measured against; to copy, use Stream.Copy.
func (k *Kernels) Copy(s *cuda.Stream, to, from cuda.Ptr, n int) error {
	if n <= 0 || n%align != 0 || n/align > 1<<30 || to%align != 0 || from%align != 0 || to == 0 || from == 0 {
		return fmt.Errorf("copy %d bytes from %#x to %#x: all must be multiples of %d above 0", n, from, to, align)
	}
	const perBlock = 256 * 4
	return k.launch(s, mix, "copy", divUp(n/align, perBlock), 1, [2]uint32{256, 1}, []any{from, to, int32(n / align)})
}

func divUp(n, by int) int { return (n + by - 1) / by }
