package software

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"rave/engine/model"
)

// MinRuntime is the oldest ONNX Runtime that has the API this program is built for.
const MinRuntime = "1.31"

// network is one ONNX Runtime session. It belongs to one goroutine, except for Terminate.
type network struct {
	name    string
	spec    modelSpec
	memory  memory
	session *ort.DynamicAdvancedSession
	run     *ort.RunOptions
	stop    func() bool // forgets about the context

	mu     sync.Mutex // between terminate and close
	closed bool
}

// runtimeLock guards onnxruntime_go's own global environment.
var runtimeLock sync.Mutex //nolint:gochecknoglobals // the library's state is global itself

// OpenRuntime loads ONNX Runtime, once in the process, and returns its version. The error says where it was looked for
// and how to get it.
func (d *Device) OpenRuntime() (string, error) {
	runtimeLock.Lock()
	defer runtimeLock.Unlock()
	if ort.IsInitialized() {
		return ort.GetVersion(), nil
	}
	// ONNX Runtime contains a telemetry client. It must be off before the library is loaded.
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return "", fmt.Errorf("switch telemetry off: %w", err)
	}
	var tried []string
	var reasons []error
	for _, path := range d.libraries() {
		err := d.openLibrary(path)
		if err != nil {
			tried = append(tried, path)
			if !errors.Is(err, fs.ErrNotExist) || d.cfg.Library != "" {
				reasons = append(reasons, err)
			}
			continue
		}
		if err := ort.DisableTelemetry(); err != nil && d.cfg.Log != nil {
			d.cfg.Log.Debug("telemetry of ONNX Runtime was off already", "err", err)
		}
		return ort.GetVersion(), nil
	}
	why := "nothing is there"
	if len(reasons) > 0 {
		why = strings.ReplaceAll(errors.Join(reasons...).Error(), "\n", "; ")
	}
	return "", fmt.Errorf("ONNX Runtime %s or newer could not be opened (tried %s): %s; keep the lib folder of the release beside "+
		"the binary (in a source tree: run `make setup`), or set onnxruntime.library to the path of libonnxruntime.so", MinRuntime, strings.Join(tried, ", "), why)
}

// openLibrary loads the library at a path, or, if it is only a name that nobody configured, where the system keeps
// libraries. The path is made absolute: for dlopen(3) a bare name means the system's folders, so that another file would
// be loaded than the one that was judged.
func (d *Device) openLibrary(path string) error {
	if d.cfg.Library != "" || strings.ContainsRune(path, filepath.Separator) {
		var err error
		if path, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("find the folder of the library: %w", err)
		}
		if err := checkLibrary(path); err != nil {
			return err
		}
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return explainLibrary(path, err)
	}
	return nil
}

// libraries lists where ONNX Runtime may lie: the configured path only, or beside the binary, then the system's. The build
// for GPUs comes first where it has been set up, since a process has one ONNX Runtime for both.
func (d *Device) libraries() []string {
	if d.cfg.Library != "" {
		return []string{d.cfg.Library}
	}
	var paths []string
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		dir := filepath.Dir(exe)
		for _, folder := range []string{".", "lib/gpu", "lib", "../lib/rave/gpu", "../lib/rave"} {
			paths = append(paths, filepath.Join(dir, folder, "libonnxruntime.so"))
		}
	}
	return append(paths, "libonnxruntime.so.1", "libonnxruntime.so")
}

// LibraryFile returns where ONNX Runtime is taken from, without loading it: the configured file, the one beside the
// binary, or the name that the system searches for.
func (d *Device) LibraryFile() string {
	paths := d.libraries()
	for _, path := range paths {
		if checkLibrary(path) == nil {
			return path
		}
	}
	return paths[len(paths)-1]
}

// open loads a model and finds out its properties by running it once on a small picture.
func (d *Device) open(ctx context.Context, name string, threads int) (*network, error) {
	data, err := d.load(name)
	if err != nil {
		return nil, err
	}
	if _, err := d.OpenRuntime(); err != nil {
		return nil, fmt.Errorf("model %s: %w", d.label(name), err)
	}
	n := &network{name: name, memory: memory{d.cfg.Memory, d.cfg.MemoryFix}}
	if err := n.load(ctx, data, threads); err != nil {
		return nil, fmt.Errorf("model %s: %w", d.label(name), err)
	}
	return n, nil
}

// load leaves nothing behind if it fails.
func (n *network) load(ctx context.Context, data []byte, threads int) (err error) {
	if n.spec.Spec, err = model.Load(data); err != nil {
		return err
	}
	if err := n.memory.holds(n.spec.Layout, n.spec.Width, n.spec.Height, 1); err != nil {
		return err
	}
	if err := n.create(data, threads); err != nil {
		return n.memory.explain(err)
	}
	n.stop = context.AfterFunc(ctx, n.terminate) // a context cannot stop C; this can
	done := n.within(firstRun)
	n.spec.scale, err = n.measureScale()
	if err = done(err); err != nil {
		n.close()
		return n.memory.explain(err)
	}
	return nil
}

func (n *network) create(data []byte, threads int) error {
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return fmt.Errorf("session options: %w", err)
	}
	defer func() { _ = opts.Destroy() }()
	// Spinning would burn the cores that decode and encode: a third of the CPU at 25 frames/s without it.
	err = errors.Join(
		opts.SetIntraOpNumThreads(max(1, threads)),
		opts.SetInterOpNumThreads(1),
		opts.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		opts.AddSessionConfigEntry("session.inter_op.allow_spinning", "0"),
	)
	if err != nil {
		return fmt.Errorf("session options: %w", err)
	}
	n.session, err = ort.NewDynamicAdvancedSessionWithONNXData(data, []string{n.spec.Input}, []string{n.spec.Output}, opts)
	if err != nil {
		return fmt.Errorf("%w: %w", model.ErrUnsupported, err)
	}
	if n.run, err = ort.NewRunOptions(); err != nil {
		return errors.Join(err, n.session.Destroy())
	}
	return nil
}

// measureScale runs the network on a small picture and compares sizes.
func (n *network) measureScale() (int, error) {
	w, h := 64, 48
	if n.spec.Width > 0 {
		w, h = n.spec.Width, n.spec.Height
	}
	in, err := n.newInput(w, h)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Destroy() }()
	outs := []ort.Value{nil} // ONNX Runtime allocates what it makes
	if err := n.session.RunWithOptions([]ort.Value{in}, outs, n.run); err != nil {
		return 0, fmt.Errorf("%w: it does not run on a %dx%d picture: %w", model.ErrUnsupported, w, h, err)
	}
	defer func() { _ = outs[0].Destroy() }()
	dims := outs[0].GetShape()
	if len(dims) != 4 || dims[1] != n.channels() {
		return 0, fmt.Errorf("%w: it gives %v for a %dx%d picture", model.ErrUnsupported, dims, w, h)
	}
	return model.ScaleOf(w, h, int(dims[3]), int(dims[2]))
}

func (n *network) channels() int64 {
	if n.spec.Layout == model.RGB {
		return 3
	}
	return 1
}

func (n *network) newInput(w, h int) (ort.Value, error) {
	shape := ort.NewShape(1, n.channels(), int64(h), int64(w))
	if n.spec.Layout == model.RGB {
		return ort.NewEmptyTensor[float32](shape)
	}
	return ort.NewEmptyTensor[uint8](shape)
}

// firstRun is what a network has for its first picture of a size, when ONNX Runtime plans its memory as well.
const firstRun = 30 * time.Second

// within ends the runs that follow when they take too long; what it returns has to be called with their error.
func (n *network) within(limit time.Duration) (done func(error) error) {
	timer := time.AfterFunc(limit, n.terminate)
	return func(err error) error {
		if !timer.Stop() {
			return fmt.Errorf("%w: it did not make its first picture within %v; use a smaller model or a smaller picture",
				model.ErrUnsupported, limit)
		}
		return err
	}
}

// terminate makes a run in progress, and all later ones, fail soon.
func (n *network) terminate() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		_ = n.run.Terminate() // fails on nil options only
	}
}

func (n *network) close() {
	if n.stop != nil {
		n.stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if n.session != nil {
		_ = n.session.Destroy()
	}
	if n.run != nil {
		_ = n.run.Destroy()
	}
}
