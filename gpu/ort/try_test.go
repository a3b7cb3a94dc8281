package ort

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"rave/engine/model/onnxtest"
	"rave/gpu/cuda"
)

var write = flag.Bool("write", false, "write try.onnx anew")

// The network is what is written here: go test ./gpu/ort -run TryNetwork -write makes the file.
func TestTryNetwork(t *testing.T) {
	weights := make([]byte, 4*tryChannels*tryChannels*9)
	for c := range tryChannels {
		centre := (c*tryChannels+c)*9 + 4
		binary.LittleEndian.PutUint32(weights[4*centre:], math.Float32bits(2))
	}
	shape := []int64{1, tryChannels, trySide, trySide}
	want := onnxtest.Graph{
		Nodes: []onnxtest.Message{
			onnxtest.Node("Conv", "", []string{"in", "w"}, []string{"c"}, onnxtest.Ints("pads", 1, 1, 1, 1)),
			onnxtest.Node("Relu", "", []string{"c"}, []string{"out"}),
		},
		Weights: []onnxtest.Message{onnxtest.Tensor("w", onnxtest.Float32, weights, tryChannels, tryChannels, 3, 3)},
		Inputs:  []onnxtest.Message{onnxtest.Value("in", onnxtest.Float32, shape...)},
		Outputs: []onnxtest.Message{onnxtest.Value("out", onnxtest.Float32, shape...)},
	}.Model()
	if *write {
		if err := os.WriteFile("try.onnx", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(tryNetwork, want) && !*write {
		t.Error("try.onnx is another network")
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	r, err := Open(cuda.System(), core(t))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := r.newSession(Config{Name: "try", Model: want}, "Cpu", nil, map[string]string{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, out := make([]float32, tryChannels*trySide*trySide), make([]float32, tryChannels*trySide*trySide)
	for i := range in {
		in[i] = float32(i%255 - 127)
	}
	b, err := s.NewBinding(map[string]Tensor{"in": host(&pin, in, Float32, shape...)}, map[string]Tensor{"out": host(&pin, out, Float32, shape...)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := s.Run(b); err != nil {
		t.Fatal(err)
	}
	for i := range in {
		if want := max(0, 2*in[i]); out[i] != want {
			t.Fatalf("value %d is %v, not %v", i, out[i], want)
		}
	}
}

// Where the provider is missing, that is said before anything is loaded.
func TestTryWithoutProvider(t *testing.T) {
	if _, err := Try(t.Context(), &opened{}, core(t), nil); err == nil || !strings.Contains(err.Error(), "is not beside "+core(t)) {
		if os.Getenv(requireGPU) == "" {
			t.Errorf("got %v", err)
		}
	}
}

func TestGPUTry(t *testing.T) {
	c, _, _ := onGPU(t)
	ran, err := Try(t.Context(), cuda.System(), core(t), c)
	if err != nil || !strings.Contains(ran, "CUDAExecutionProvider") {
		t.Errorf("got %q, %v", ran, err)
	}
}
