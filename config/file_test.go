package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestLoadRefusesWhatIsNoFile: neither a pipe nor a device nor a huge file holds up who reads the configuration.
func TestLoadRefusesWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	pipe, huge, most := filepath.Join(dir, "pipe"), filepath.Join(dir, "huge.yaml"), filepath.Join(dir, "most.yaml")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, size := range map[string]int{huge: maxFile + 1, most: maxFile} {
		if err := os.WriteFile(path, []byte("#"+strings.Repeat(" ", size-1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		pipe:        "is not a regular file (prw-------); save the configuration as one",
		"/dev/null": "is not a regular file (Dcrw-rw-rw-); save",
		dir:         "is not a regular file (drwx",
		huge:        "has 1048577 bytes or more, and at most 1048576 are read",
		most:        "",
	} {
		done := make(chan error, 1)
		go func() {
			_, err := Load(path, nil)
			done <- err
		}()
		select {
		case err := <-done:
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), path+" "+want)) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: still reading", path)
		}
	}
}

// TestRelativePaths: whatever names them, relative paths become files in the folder of the configuration file, or, without
// one, in the working folder.
func TestRelativePaths(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const text = "onnxruntime: {library: x.so}\nmodels: {mine: gone.onnx}"
	if err := os.WriteFile("rave.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bare.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"RAVE_ONNXRUNTIME_LIBRARY=x.so", "RAVE_MODELS_MINE=gone.onnx"}
	library, model := filepath.Join(dir, "x.so"), filepath.Join(dir, "gone.onnx")
	for name, load := range map[string]func() (*Config, error){
		"file":                 func() (*Config, error) { return Load("rave.yaml", nil) },
		"file and environment": func() (*Config, error) { return Load("bare.yaml", env) },
		"environment":          func() (*Config, error) { return Load("", env) },
		"URL and environment":  func() (*Config, error) { return ForURL("rtsp://host/live", env) },
	} {
		c, err := load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.ONNXRuntime.Library != library || c.Models["mine"] != model {
			t.Errorf("%s: %q, %q", name, c.ONNXRuntime.Library, c.Models["mine"])
		}
	}
}

// TestManyMistakes: the first ones are told, the others counted, and both in a time that grows with the file only.
func TestManyMistakes(t *testing.T) {
	const n = 20_000
	lines := func(head, line string) []byte {
		var text strings.Builder
		text.WriteString(head)
		for i := range n {
			fmt.Fprintf(&text, line, i)
		}
		return []byte(text.String())
	}
	for name, file := range map[string][]byte{
		"unknown keys":    lines("", "k%d: 1\n"),
		"no source":       lines("streams:\n", "  s%d: {}\n"),
		"bad source":      lines("streams:\n", "  s%d: {source: x}\n"),
		"bad users":       lines("users:\n", "- {name: u%d}\n"),
		"unknown streams": lines("streams:\n  a: {source: publish}\nusers:\n- name: a\n  password: b\n  streams:\n", "  - s%d\n"),
	} {
		began := time.Now()
		_, err := Parse(file, "rave.yaml", nil)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: %v", name, took)
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		told := strings.Split(err.Error(), "\n")
		if want := fmt.Sprintf(": … and %d more from here on", n-maxTold); len(told) != maxTold+1 || !strings.HasPrefix(told[maxTold], "rave.yaml:") || !strings.HasSuffix(told[maxTold], want) {
			t.Errorf("%s: %d lines, the last %q", name, len(told), told[len(told)-1])
		}
	}
}
