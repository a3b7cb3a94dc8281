package ort

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"

	"rave/gpu/cuda"
)

// tryNetwork is a convolution that doubles 8 channels, and a ReLU; its test makes it.
//
//go:embed try.onnx
var tryNetwork []byte

// The size of what tryNetwork is tried on.
const tryChannels, trySide = 8, 32

// Try loads ONNX Runtime from the file core with all that its CUDA provider needs, runs a small network on the GPU of c and
// checks what comes out. It returns what has run.
func Try(ctx context.Context, lib cuda.Library, core string, c *cuda.Context) (ran string, err error) {
	if strings.ContainsRune(core, filepath.Separator) { // else it is the system's, wherever that is
		if core, err = filepath.Abs(core); err != nil {
			return "", err
		}
	}
	if err := Preload(lib, core); err != nil {
		return "", err
	}
	r, err := Open(lib, core)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	stream, err := c.NewStream()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	if err := r.try(ctx, c, stream); err != nil {
		return "", fmt.Errorf("ONNX Runtime %s does not run a network on the GPU: %w", r.version, err)
	}
	return "ONNX Runtime " + r.version + ", CUDAExecutionProvider", nil
}

func (r *Runtime) try(ctx context.Context, c *cuda.Context, stream *cuda.Stream) (err error) {
	const values = tryChannels * trySide * trySide
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s, err := r.NewSession(Config{Name: "of a trial", Model: tryNetwork, GPU: c.Index(), Stream: stream})
	if err != nil {
		return err
	}
	defer s.Close()
	m, err := c.Alloc(2 * 4 * values)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	tensor := func(at cuda.Ptr) Tensor {
		return Tensor{Ptr: at, Bytes: 4 * values, Type: Float32, Shape: []int64{1, tryChannels, trySide, trySide}}
	}
	b, err := s.NewBinding(map[string]Tensor{"in": tensor(m.Ptr())}, map[string]Tensor{"out": tensor(m.Ptr() + 4*values)}, 0)
	if err != nil {
		return err
	}
	defer b.Close()
	defer context.AfterFunc(ctx, func() { _ = b.Terminate() })() // it fails on nil options only
	in, out := make([]byte, 4*values), make([]byte, 4*values)
	_, _ = rand.Read(in) // it never fails
	for i := range values {
		binary.LittleEndian.PutUint32(in[4*i:], math.Float32bits(float32(int8(in[4*i]))))
	}
	if err := errors.Join(stream.Upload(m.Ptr(), in), s.Run(b), stream.Download(out, m.Ptr()+4*values)); err != nil {
		return err
	}
	for i := range values {
		want := max(0, 2*math.Float32frombits(binary.LittleEndian.Uint32(in[4*i:])))
		if got := math.Float32frombits(binary.LittleEndian.Uint32(out[4*i:])); math.Abs(float64(got-want)) > 0.01 {
			return fmt.Errorf("value %d is %v and should be %v", i, got, want)
		}
	}
	return nil
}
