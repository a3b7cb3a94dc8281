package software

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// compile makes a shared library of C code and gives its symbols a version, if there is one.
func compile(t *testing.T, code, version string) string {
	t.Helper()
	dir := t.TempDir()
	source, path := filepath.Join(dir, "lib.c"), filepath.Join(dir, "libonnxruntime.so")
	args := []string{"-shared", "-fPIC", "-o", path, source}
	if version != "" {
		script := filepath.Join(dir, "version")
		if err := os.WriteFile(script, []byte("VERS_"+version+" { global: *; };"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-Wl,--version-script="+script)
	}
	if err := os.WriteFile(source, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func TestCheckLibrary(t *testing.T) {
	write := func(text string) string {
		path := filepath.Join(t.TempDir(), "libonnxruntime.so")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	const api = "void *OrtGetApiBase(void) { return 0; }"
	real, err := os.ReadFile(compile(t, api, MinRuntime+".0"))
	if err != nil {
		t.Fatal(err)
	}
	arm := append([]byte(nil), real...)
	arm[18] = 183 // e_machine: EM_AARCH64
	for name, c := range map[string]struct{ path, err string }{
		"missing":         {"/nowhere/lib.so", "no such file"},
		"folder":          {t.TempDir(), "is not a file"},
		"pipe":            {fifo, "is not a file"},
		"device":          {"/dev/zero", "is not a file"},
		"empty":           {write(""), "is empty, and not a shared library"},
		"short":           {write("text"), "not a shared library: it does not begin like one"},
		"text":            {write("not a library, but long enough for a header of ELF to be read from it. And on and on."), "not a shared library"},
		"truncated":       {write(string(real[:200])), "is incomplete: the file ends before the library does; copy"},
		"half":            {write(string(real[:len(real)/2])), "is incomplete"},
		"another machine": {write(string(arm)), "EM_AARCH64"},
		"another library": {compile(t, "int answer(void) { return 42; }", ""), "is not ONNX Runtime"},
		"a user of it":    {compile(t, "void *OrtGetApiBase(void); void *use(void) { return OrtGetApiBase(); }", ""), "is not ONNX Runtime"},
		"old":             {compile(t, api, "1.17.0"), "is ONNX Runtime 1.17.0, and " + MinRuntime + " or newer is needed"},
		"new":             {compile(t, api, "1.99.0"), "none"},
		"no version":      {compile(t, api, ""), "none"},
		"odd version":     {compile(t, api, "nightly"), "none"},
	} {
		err := checkLibrary(c.path)
		switch {
		case c.err == "none" && err != nil, c.err != "none" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), c.path)):
			t.Errorf("%s: %v lacks %q or the path", name, err, c.err)
		}
	}
}

// TestRelativeLibrary: the file that is judged is the one that is loaded, also by a name that the system would search for.
func TestRelativeLibrary(t *testing.T) {
	path := compile(t, "void *OrtGetApiBase(void) { return 0; }", "1.99.0")
	t.Chdir(filepath.Dir(path))
	for _, name := range []string{filepath.Base(path), "./" + filepath.Base(path)} {
		_, err := New(Config{Library: name}).OpenRuntime()
		if err == nil || !strings.Contains(err.Error(), "): "+path+": ") || strings.Contains(err.Error(), "no such file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.17.0", "1.31", true}, {"1.31.1", "1.31", false}, {"1.31.0", "1.31", false}, {"2.0.0", "1.31", false},
		{"1.4.0", "1.31", true}, {"0.9", "1.31", true}, {"x", "1.31", false}, {"1", "1.31", false},
	} {
		if got := older(c.a, c.b); got != c.want {
			t.Errorf("%s older than %s: %v", c.a, c.b, got)
		}
	}
}
