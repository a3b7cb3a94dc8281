// Package e2e opens and closes sessions a thousand times, in this process and in workers, and looks at what stays.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/bench/peer"
	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
	"rave/engine/software"
	"rave/engine/worker"
)

// Between the two looks. What a cycle leaks is seen that many times.
const warm, cycles = 100, 1000

// What memory may grow by between the looks, of the C heap's own making: 4 KiB a cycle. A picture is twenty times that.
const slack = 4 << 10 * (cycles - warm)

// TestMain is the worker as well, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		err := worker.Main(worker.Descriptor, func(context.Context, []byte, *slog.Logger) (engine.Plan, error) {
			d := software.New(software.Config{})
			return engine.Plan{Decode: d, Enhance: d, Encode: d}, nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// With an arena for each thread, which of them a cycle meets is chance, and glibc's memory grows until all are full.
	if os.Getenv("MALLOC_ARENA_MAX") == "" {
		err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), "MALLOC_ARENA_MAX=1"))
		fmt.Fprintln(os.Stderr, "start again with one arena:", err)
		os.Exit(1)
	}
	os.Exit(leak.Main(m))
}

// left is what this process holds.
type left struct{ goroutines, threads, files, memory int }

func look(t *testing.T) left {
	t.Helper()
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC() // finalizers of os.File
	debug.FreeOSMemory()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(string(bytes.Fields(statm)[1]))
	if err != nil {
		t.Fatal(err)
	}
	return left{runtime.NumGoroutine(), len(threads), leak.Descriptors(), pages * os.Getpagesize()}
}

// repeat runs cycles and compares what is left after the first hundred with what is left in the end.
func repeat(t *testing.T, n int, cycle func(i int)) {
	t.Helper()
	var before left
	start := time.Now()
	for i := range n {
		if i == min(warm, n/2) {
			before = look(t)
		}
		cycle(i)
	}
	after := look(t)
	t.Logf("%d cycles in %v: %+v, then %+v", n, time.Since(start).Round(time.Millisecond), before, after)
	// Go keeps threads that once waited in a system call, but not one for each cycle.
	if after.goroutines > before.goroutines || after.files > before.files || after.threads > before.threads+8 ||
		after.memory > before.memory+slack {
		t.Errorf("%+v became %+v", before, after)
	}
	if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("child processes are left: %d, %v", pid, err)
	}
}

func config(t *testing.T, device engine.Device, track media.Track, r *enginetest.Recorder, rung string) engine.Config {
	cfg := enginetest.Config(t, device, track, r)
	cfg.Quality, cfg.Log = []string{rung}, slog.New(slog.DiscardHandler)
	return cfg
}

// TestSessions opens sessions in this process: decoder, enhancer, encoder of FFmpeg, and networks of ONNX Runtime.
func TestSessions(t *testing.T) {
	root, err := peer.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := os.Getenv("RAVE_LIB")
	if folder == "" {
		folder = filepath.Join(root, ".build", "lib")
	}
	device := software.New(software.Config{
		Library: filepath.Join(folder, "libonnxruntime.so"),
		Models:  map[string]string{"luma": filepath.Join(root, "engine", "model", "testdata", "luma-copy-x2.onnx")},
	})
	for _, c := range []struct {
		name, stream, rung string
		cycles             int
	}{
		{"Lanczos", enginetest.H264, engine.Lanczos, cycles},
		{"deinterlaced", enginetest.Interlaced, engine.Lanczos, cycles / 5},
		{"converted", enginetest.H265TenBit, engine.Lanczos, cycles / 5},
		{"ONNX", enginetest.H264, "luma", 3 * cycles / 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			track, packets := enginetest.Stream(t, c.stream)
			repeat(t, c.cycles, func(i int) {
				r := enginetest.NewRecorder(nil)
				enginetest.Replay(t, config(t, device, track, r, c.rung), r, packets[:4])
				if _, made, _, by := r.Result(); len(made) != 4 || by[c.rung] != 4 {
					t.Fatalf("cycle %d: %d pictures, %v", i, len(made), by)
				}
			})
		})
	}
}

// TestWorkers starts workers, takes one picture of each and ends it, or kills it and ends its successor while it starts.
func TestWorkers(t *testing.T) {
	track, packets := enginetest.Stream(t, enginetest.H264)
	repeat(t, cycles, func(i int) {
		r := enginetest.NewRecorder(nil)
		made, died := make(chan media.Packet, 8), make(chan string, 8)
		cfg := config(t, nil, track, r, engine.Lanczos)
		cfg.Output.Scale, cfg.Threads = 1, 1
		c, err := worker.New(worker.Config{
			Session: cfg, Args: []string{"test-worker", "worker"}, OnRestart: func(reason string) { died <- reason },
		}, output{r, made})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		packets[0].Arrival = time.Now()
		c.Send(ctx, packets[0])
		receive(t, made)
		if i%2 == 1 {
			if err := syscall.Kill(c.PID(), syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			receive(t, died)
		}
		cancel()
		if err := receive(t, ended); err != nil {
			t.Error(err)
		}
	})
}

type output struct {
	*enginetest.Recorder
	made chan media.Packet
}

func (o output) Packet(p media.Packet) error {
	o.made <- p
	return nil
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}
