package software

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/engine/model"
	"rave/engine/model/onnxtest"
)

// withRuntime opens ONNX Runtime for a test of this package's insides.
func withRuntime(t *testing.T, cfg Config) *Device {
	t.Helper()
	cfg.Library, _ = filepath.Abs(filepath.Join("..", "..", ".build", "lib", "libonnxruntime.so"))
	d := New(cfg)
	if _, err := d.OpenRuntime(); err != nil {
		t.Fatal(err)
	}
	return d
}

// A run that never ends is ended by its context, and by the limit of a first run. The loop is built past the checks, which
// refuse it.
func TestEndlessRunIsEnded(t *testing.T) {
	withRuntime(t, Config{})
	for name, limit := range map[string]time.Duration{"context": time.Hour, "limit": 100 * time.Millisecond} {
		n := &network{name: "endless", spec: modelSpec{Spec: model.Spec{Layout: model.Luma, Input: "in", Output: "out"}}}
		if err := n.create(onnxtest.Endless().Model(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n.stop = context.AfterFunc(ctx, n.terminate)
		if name == "context" {
			time.AfterFunc(100*time.Millisecond, cancel)
		}
		done := n.within(limit)
		began := time.Now()
		_, err := n.measureScale()
		if err = done(err); err == nil || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(began))
		}
		if name == "limit" && (!errors.Is(err, model.ErrUnsupported) || !strings.Contains(err.Error(), "first picture within")) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		n.close()
	}
}

// A model's file is read only if it is a regular file of a reasonable size; nothing else is waited for.
func TestModelFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo.onnx")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge.onnx")
	if err := sparse(huge, maxModelBytes+1); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, want string }{
		"missing": {"/nowhere/m.onnx", "correct the path in models"},
		"folder":  {dir, "not a regular file"},
		"pipe":    {fifo, "not a regular file"},
		"device":  {"/dev/zero", "not a regular file"},
		"huge":    {huge, "the file has 512 MB; at most 512 are read"},
	} {
		d := New(Config{Models: map[string]string{"m": c.path}})
		_, err := d.Inspect(t.Context(), "m")
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func sparse(path string, size int64) error {
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(syscall.Ftruncate(fd, size), syscall.Close(fd))
}

func TestMemory(t *testing.T) {
	m := memory{1 << 30, "raise it"}
	for _, c := range []struct {
		layout      model.Layout
		w, h, scale int
		fits        bool
	}{
		{model.Luma, 1920, 1080, 2, true}, {model.RGB, 1920, 1080, 2, true}, {model.RGB, 3840, 2160, 2, true},
		{model.RGB, 3840, 2160, 4, false}, {model.Luma, 8192, 4608, 8, false}, {model.RGB, math.MaxInt16, math.MaxInt16, 8, false},
	} {
		err := m.holds(c.layout, c.w, c.h, c.scale)
		if (err == nil) != c.fits || err != nil && !strings.Contains(err.Error(), "1024 MiB that a worker may use; raise it") {
			t.Errorf("%+v: %v", c, err)
		}
		if err := (memory{}).holds(c.layout, c.w, c.h, c.scale); err != nil {
			t.Errorf("without a limit: %v", err)
		}
	}
	failed := errors.New("Failed to allocate memory for requested buffer of size 1")
	if err := m.explain(failed); !errors.Is(err, failed) || !strings.Contains(err.Error(), "raise it") {
		t.Errorf("%v", err)
	}
	if other := errors.New("x"); m.explain(other).Error() != "x" {
		t.Error("another error is changed")
	}
}
