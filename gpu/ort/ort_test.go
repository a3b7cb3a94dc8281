package ort

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"rave/gpu/cuda"
)

// The places of functions in the table are those of the header that onnxruntime_go is built with.
func TestLayout(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	header, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "onnxruntime_c_api.h"))
	if err != nil {
		t.Fatal(err)
	}
	shim, err := os.ReadFile("shim.h")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|(?m)^#[^\n]*`).ReplaceAllString(string(header), "")
	_, body, _ := strings.Cut(text, "struct OrtApi {")
	body, _, _ = strings.Cut(body, "\n};")
	places := map[string]int{}
	for i, m := range regexp.MustCompile(`ORT_API2_STATUS\(\s*(\w+)|ORT_CLASS_(RELEASE\(\w+)\)|ORT_API_CALL\s*\*\s*(\w+)\s*\)`).FindAllStringSubmatch(body, -1) {
		places[strings.Replace(m[1]+m[2]+m[3], "RELEASE(", "Release", 1)] = i
	}
	version := regexp.MustCompile(`#define ORT_API_VERSION (\d+)`).FindStringSubmatch(string(header))
	declared := regexp.MustCompile(`(?m)^\tORT_(\w+) = (\d+),`).FindAllStringSubmatch(string(shim), -1)
	if len(declared) < 25 {
		t.Fatalf("shim.h declares %d places", len(declared))
	}
	for _, m := range declared {
		place, ok := places[m[1]]
		if m[1] == "API_VERSION" {
			place, _ = strconv.Atoi(version[1])
			ok = true
		}
		if want, _ := strconv.Atoi(m[2]); !ok || place != want {
			t.Errorf("%s is at %d (known: %v), and shim.h says %d", m[1], place, ok, want)
		}
	}
}

// on opens the library and a network on the CPU, where everything but the provider is the same.
func onCPU(t *testing.T, name string) *Session {
	t.Helper()
	r, err := Open(cuda.System(), core(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	if !strings.HasPrefix(r.Version(), "1.") {
		t.Errorf("version %q", r.Version())
	}
	s, err := r.newSession(Config{Name: name, Model: network(t, name)}, "Cpu", nil, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// host binds a slice as if it were on the device.
func host[E any](pin *runtime.Pinner, data []E, kind Type, shape ...int64) Tensor {
	pin.Pin(&data[0])
	return Tensor{Ptr: cuda.Ptr(uintptr(unsafe.Pointer(&data[0]))), Bytes: len(data) * int(unsafe.Sizeof(data[0])), Type: kind, Shape: shape}
}

func TestRunBound(t *testing.T) {
	const w, h = 8, 6
	var pin runtime.Pinner
	defer pin.Unpin()
	s := onCPU(t, "luma-copy-x2")
	in, out := make([]uint8, w*h), make([]uint8, 4*w*h)
	b, err := s.NewBinding(map[string]Tensor{"luma": host(&pin, in, Uint8, 1, 1, h, w)}, map[string]Tensor{"luma_x2": host(&pin, out, Uint8, 1, 1, 2*h, 2*w)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 3 { // the same memory each time
		for i := range in {
			in[i] = uint8(rand.Uint32())
		}
		if err := s.Run(b); err != nil {
			t.Fatal(err)
		}
		for i, v := range out {
			if want := in[i/(2*w)/2*w+i%(2*w)/2]; v != want {
				t.Fatalf("pixel %d is %d, not %d", i, v, want)
			}
		}
	}
	if err := b.Terminate(); err != nil {
		t.Error(err)
	}
	if err := s.Run(b); err == nil || !strings.Contains(err.Error(), "model luma-copy-x2: run the network: ") {
		t.Errorf("a run that is terminated: %v", err)
	}
	b.Close()
	if err := b.Terminate(); err != nil {
		t.Errorf("terminating what is closed: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	var pin runtime.Pinner
	defer pin.Unpin()
	s := onCPU(t, "rgb-copy-x1")
	data := make([]float32, 3*4*4)
	for what, tc := range map[string]struct {
		name  string
		data  Tensor
		graph int
	}{
		"needs 300 bytes and has 192":           {"rgb", host(&pin, data, Float32, 1, 3, 5, 5), 0},
		"needs 4 bytes and has 192":             {"rgb", host(&pin, data, Float32), 0},
		"needs 0 bytes":                         {"rgb", host(&pin, data, Float32, 1, 3, 0, 4), 0},
		"bind tensor other":                     {"other", host(&pin, data, Float32, 1, 3, 4, 4), 0},
		"graph 1 does not go with Graph: false": {"rgb", host(&pin, data, Float32, 1, 3, 4, 4), 1},
	} {
		b, err := s.NewBinding(map[string]Tensor{tc.name: tc.data}, nil, tc.graph)
		if err == nil || b != nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "model rgb-copy-x1") {
			t.Errorf("got %v, want %q", err, what)
		}
	}
	for name, model := range map[string][]byte{"empty": nil, "damaged": []byte("this is no network")} {
		if _, err := s.r.newSession(Config{Name: name, Model: model}, "Cpu", nil, map[string]string{}); err == nil || !strings.Contains(err.Error(), "model "+name) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := s.r.NewSession(Config{Name: "m", Model: []byte{1}}); err == nil || err.Error() != "model m: no stream is given" {
		t.Errorf("got %v", err)
	}
	if _, err := Open(cuda.System(), "libc.so.6"); err == nil || !strings.Contains(err.Error(), "libc.so.6 is not ONNX Runtime") {
		t.Errorf("got %v", err)
	}
	// The build for CPUs has no CUDA provider beside it: an error, not a session on the CPU.
	if _, err := s.r.newSession(Config{Name: "m", Model: network(t, "rgb-copy-x1")}, "Cuda", map[string]string{"device_id": "0"}, map[string]string{}); err == nil || !strings.Contains(err.Error(), "model m: open the network") {
		t.Errorf("got %v", err)
	}
}

func TestExplain(t *testing.T) {
	const failure = "Non-zero status code returned while running Conv node. CUDA failure %d: some text ; GPU=0 ; hostname=h ; file=f"
	for text, want := range map[string][]error{
		fmt.Sprintf(failure, 700): {cuda.ErrLost},
		fmt.Sprintf(failure, 2):   {cuda.ErrMemory},
		fmt.Sprintf(failure, 1):   nil,
		"/onnxruntime_src/bfc_arena.cc: Failed to allocate memory for requested buffer of size 1234": {cuda.ErrMemory},
		"something else": nil,
	} {
		err := explain("run", text)
		for _, sentinel := range []error{cuda.ErrLost, cuda.ErrMemory} {
			if errors.Is(err, sentinel) != slices.Contains(want, sentinel) {
				t.Errorf("%v is %v: %v", err, sentinel, errors.Is(err, sentinel))
			}
		}
		if !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "run: ") {
			t.Errorf("got %v", err)
		}
	}
}

// opened is a library that loads nothing: what is opened, and what is missing.
type opened struct {
	cuda.Library
	names   []string
	missing string
}

func (o *opened) Open(name string) (cuda.Handle, error) {
	if name == o.missing {
		return 0, fmt.Errorf("%w: %s: cannot open shared object file", cuda.ErrNoLibrary, name)
	}
	o.names = append(o.names, name)
	return 1, nil
}

func TestPreload(t *testing.T) {
	all := []string{sharedProvider, cudaProvider, "libcublas.so.13"}
	for name, tc := range map[string]struct {
		files   []string
		missing string
		want    string
	}{
		"complete":                       {files: all},
		"without provider":               {files: []string{sharedProvider}, want: cudaProvider + " of the Python package onnxruntime-gpu is not beside"},
		"without cuDNN":                  {files: all, missing: "libcudnn.so.9", want: "libcudnn.so.9 of the Python package nvidia-cudnn-cu13, neither in"},
		"with a library that is damaged": {files: all, missing: "DIR/libcublas.so.13", want: "libcublas.so.13 of the Python package nvidia-cublas"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range tc.files {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			lib := &opened{missing: strings.Replace(tc.missing, "DIR", dir, 1)}
			err := Preload(lib, filepath.Join(dir, "libonnxruntime.so"))
			if tc.want == "" {
				want := []string{"libcudart.so.13", "libcublasLt.so.13", filepath.Join(dir, "libcublas.so.13"), "libcurand.so.10", "libnvrtc.so.13", "libcudnn.so.9"}
				if err != nil || !slices.Equal(lib.names, want) {
					t.Errorf("%v: opened %v, want %v", err, lib.names, want)
				}
				return
			}
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "make setup-gpu") {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
