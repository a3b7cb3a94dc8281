// Package e2e tests the built program from outside: cameras, publishers and readers are processes of their own, and
// most of them are not ours (FFmpeg 9, MediaMTX). Clips carry the number of each frame as a barcode, so what is said of
// order, loss and age is what a reader saw.
//
// Tests wait for what happens (a log line, an answer, a picture) up to a deadline, and print the program's log when
// they fail. RAVE_BIN names the program; without it one is built.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rave/bench/camera"
	"rave/bench/leak"
	"rave/bench/peer"
)

// setup is what all tests share; it is read only once they run.
type setup struct {
	root    string // of the repository
	binary  string // the program
	library string // ONNX Runtime
}

var shared setup

// TestMain is the camera as well, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "camera" {
		os.Exit(camera.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	flag.Parse()
	explicit := false
	flag.Visit(func(f *flag.Flag) { explicit = explicit || f.Name == "test.parallel" })
	if !explicit { // tests wait most of their time for cameras that play in real time
		_ = flag.Set("test.parallel", "4")
	}
	folder, err := os.MkdirTemp("", "rave-e2e-")
	if err == nil {
		defer os.RemoveAll(folder)
		shared, err = prepare(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return leak.Main(tests{m})
}

// tests are those of this package and the end of what they share.
type tests struct{ *testing.M }

// Run implements goleak.TestingM.
func (t tests) Run() int {
	defer http.DefaultClient.CloseIdleConnections()
	return t.M.Run()
}

func prepare(folder string) (s setup, err error) {
	if s.root, err = peer.Root(); err != nil {
		return s, err
	}
	folderOfLibrary := os.Getenv("RAVE_LIB")
	if folderOfLibrary == "" {
		folderOfLibrary = filepath.Join(s.root, ".build", "lib")
	}
	if s.library = os.Getenv("RAVE_ONNXRUNTIME_LIBRARY"); s.library == "" {
		s.library = filepath.Join(folderOfLibrary, "libonnxruntime.so")
	}
	if _, err := os.Stat(s.library); err != nil {
		return s, fmt.Errorf("find ONNX Runtime: %w (make setup fetches it)", err)
	}
	if s.binary = os.Getenv("RAVE_BIN"); s.binary == "" {
		s.binary = filepath.Join(folder, "rave")
		build := exec.CommandContext(context.Background(), "go", "build", "-o", s.binary, "rave/cmd/rave")
		if out, err := build.CombinedOutput(); err != nil {
			return s, fmt.Errorf("build the program: %w\n%s", err, out)
		}
	}
	if s.binary, err = filepath.Abs(s.binary); err != nil {
		return s, err
	}
	// The tests' own configuration counts, not that of the shell.
	for _, name := range []string{"RAVE_ONNXRUNTIME_LIBRARY", "RAVE_BIN", "RUN_FOR"} {
		_ = os.Unsetenv(name)
	}
	for _, name := range []string{"RAVE_WEBRTC_LISTEN", "RAVE_WEBRTC_TCP_LISTEN"} { // tests run beside each other
		_ = os.Setenv(name, "127.0.0.1:0")
	}
	return s, nil
}
