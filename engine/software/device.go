// Package software is the CPU backend of the engine: FFmpeg decodes, ONNX Runtime or swscale enhances, x264 encodes.
// It runs on every machine.
package software

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"rave/engine"
	"rave/engine/model"
)

// Config says what the backend may use.
type Config struct {
	Library string            // path of libonnxruntime; empty: beside the binary, then the system's
	Models  map[string]string // names and files of the user's own networks
	// Memory is what the process may use, in bytes: a model whose pictures alone would take more is refused. 0: no limit.
	// MemoryFix says how to raise it: it becomes part of errors.
	Memory    int64
	MemoryFix string
	Log       *slog.Logger
}

// Device is the software backend. It may be shared by all sessions.
type Device struct {
	cfg Config

	mu    sync.Mutex
	specs map[string]modelSpec
}

type modelSpec struct {
	model.Spec
	scale int
}

// New makes the backend. ONNX Runtime is opened when the first model is.
func New(cfg Config) *Device {
	return &Device{cfg: cfg, specs: map[string]modelSpec{}}
}

// Name implements engine.Device.
func (d *Device) Name() string { return "software" }

// Inspect implements engine.Device. The result of a model is kept.
func (d *Device) Inspect(ctx context.Context, name string) (engine.ModelInfo, error) {
	if name == engine.Lanczos {
		return engine.ModelInfo{Name: name, Scale: 2}, nil
	}
	if m, ok := model.Embedded(name); ok {
		return engine.ModelInfo{Name: name, Scale: m.Scale}, nil
	}
	d.mu.Lock()
	spec, ok := d.specs[name]
	d.mu.Unlock()
	if !ok {
		n, err := d.open(ctx, name, 1)
		if err != nil {
			return engine.ModelInfo{}, err
		}
		defer n.close()
		spec = n.spec
		d.mu.Lock()
		d.specs[name] = spec
		d.mu.Unlock()
	}
	return engine.ModelInfo{Name: name, Scale: spec.scale}, nil
}

// NewEnhancer implements engine.Device.
func (d *Device) NewEnhancer(ctx context.Context, p engine.EnhancerParams) (engine.Enhancer, error) {
	if p.Rung == engine.Lanczos {
		return newLanczos(ctx, p)
	}
	n, err := d.open(ctx, p.Rung, p.Threads)
	if err != nil {
		return nil, err
	}
	e, err := newModelEnhancer(ctx, n, p)
	if err != nil {
		n.close()
		return nil, fmt.Errorf("model %s: %w", d.label(p.Rung), err)
	}
	return e, nil
}

// label names a model and its file, for errors.
func (d *Device) label(name string) string {
	if path, ok := d.cfg.Models[name]; ok {
		return fmt.Sprintf("%s (%s)", name, path)
	}
	return name
}

// maxModelBytes bounds what is read of a model file: the weights of real-time networks are a few MB.
const maxModelBytes = 512 << 20

// load returns the bytes of a model: the user's own file of that name, else the one we ship.
func (d *Device) load(name string) ([]byte, error) {
	path, ok := d.cfg.Models[name]
	if !ok {
		if m, ok := model.Embedded(name); ok {
			return m.Data, nil
		}
		return nil, fmt.Errorf("model %q is not known; known are %v; add a file under models: in the configuration", name,
			model.Names())
	}
	f, err := d.openModel(name, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", name, err)
	}
	return data, nil
}

// CheckModelFile says what is wrong with the file of a model, without reading it: nil for one of ours.
func (d *Device) CheckModelFile(name string) error {
	path, ok := d.cfg.Models[name]
	if !ok {
		return nil
	}
	f, err := d.openModel(name, path)
	if err != nil {
		return err
	}
	return f.Close()
}

// openModel opens a regular file of a reasonable size, and waits for nothing else: opening a pipe would wait for its
// writer.
func (d *Device) openModel(name, path string) (*os.File, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("model %s: %w; correct the path in models: of the configuration", name, err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("model %s: not a regular file; name an .onnx file in models: of the configuration", d.label(name))
	case info.Size() > maxModelBytes:
		return nil, fmt.Errorf("model %s: the file has %d MB; at most %d are read; use a smaller model", d.label(name), info.Size()>>20,
			maxModelBytes>>20)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have been replaced meanwhile
	if err != nil {
		return nil, fmt.Errorf("model %s: %w; let the user that RAVE runs as read it", name, err)
	}
	return f, nil
}

var errNoPicture = errors.New("no picture came out")
