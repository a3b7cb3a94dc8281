package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rave/config"
	web "rave/egress/http"
)

// filed is what follows a configuration file in a test: a stream called "bad" cannot be served.
func filed(t *testing.T, text string) (c *cameras, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rave.yaml")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	opt := options{watch: &fileWatch{path: path}, load: func() (*config.Config, error) { return config.Load(path, nil) }}
	opt.watch.reading()
	apply := func(cfg *config.Config) (changes, error) {
		for _, s := range cfg.Streams {
			if s.Name == "bad" && s.Username == "edit" { // somebody saves the file at this moment
				if err := os.WriteFile(path, []byte("# edited\n"), 0o640); err != nil {
					t.Error(err)
				}
			}
			if s.Name == "bad" {
				return changes{}, cfg.Errorf("streams.bad.source", "cannot be served")
			}
		}
		return changes{}, nil
	}
	r := newReloader(opt, apply, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ended := make(chan struct{})
	go func() { r.run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return &cameras{app: &app{reloads: r}}, path
}

func TestAddingCameras(t *testing.T) {
	const file = "# mine\nstreams:\n  a: {source: publish} # first\n\n# the end\n"
	for _, c := range []struct {
		name, file string
		stream     web.NewStream
		status     int
		says       string
		want       string // of the file; empty: as it was
	}{
		{"good", file, web.NewStream{Name: "b", Source: "rtsp://cam/live", Username: "u", Password: "p", Output: web.NewOutput{Scale: 2}}, 0, "",
			"# mine\nstreams:\n  a: {source: publish} # first\n  b:\n    source: rtsp://cam/live\n    username: u\n    password: p\n" +
				"    output: {scale: 2}\n\n# the end\n"},
		{"there already", file, web.NewStream{Name: "a", Source: "publish"}, http.StatusConflict, "already", ""},
		{"a wrong source", file, web.NewStream{Name: "b", Source: "ftp://u:secret@cam"}, http.StatusUnprocessableEntity, "is not a source", ""},
		{"a wrong name", file, web.NewStream{Name: "metrics", Source: "publish"}, http.StatusUnprocessableEntity, "not free", ""},
		{"cannot be served", file, web.NewStream{Name: "bad", Source: "publish"}, http.StatusUnprocessableEntity, "cannot be served", ""},
		{"braces", "streams: {a: {source: publish}}", web.NewStream{Name: "b", Source: "publish"}, http.StatusConflict, "lines of its own", ""},
		{"a mistake", "log: {level: loud}", web.NewStream{Name: "b", Source: "publish"}, http.StatusConflict, `"loud" is not a log level`, ""},
	} {
		cams, path := filed(t, c.file)
		err := cams.Add(t.Context(), c.stream)
		var refusal web.Refusal
		if errors.As(err, &refusal) != (c.status != 0) || refusal.Status != c.status || !strings.Contains(refusal.Reason, c.says) ||
			strings.Contains(refusal.Reason, "secret") {
			t.Errorf("%s: %v", c.name, err)
		}
		want := c.want
		if want == "" {
			want = c.file
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %v\n%s", c.name, err, text)
		}
		if good := cams.app.reloads.status().Error == ""; !good {
			t.Errorf("%s: the file is not in effect: %s", c.name, cams.app.reloads.status().Error)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".rave-*")); len(left) > 0 {
			t.Errorf("%s: left behind: %q", c.name, left)
		}
	}
}

// What somebody else has written meanwhile is not put back as it was.
func TestAddingCamerasWhileTheFileIsEdited(t *testing.T) {
	cams, path := filed(t, "streams:\n  a: {source: publish}\n")
	err := cams.Add(t.Context(), web.NewStream{Name: "bad", Source: "rtsp://cam/live", Username: "edit", Password: "p"})
	var refusal web.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusConflict || !strings.Contains(refusal.Reason, "changed by somebody else") {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "# edited\n" {
		t.Errorf("the file is %q, %v", text, err)
	}
}

func TestAddingCamerasWithoutAFile(t *testing.T) {
	a := &app{}
	a.reloads = newReloader(options{}, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	err := (&cameras{app: a}).Add(t.Context(), web.NewStream{Name: "b", Source: "publish"})
	var refusal web.Refusal
	if !errors.As(err, &refusal) || refusal.Status != http.StatusConflict || !strings.Contains(refusal.Reason, "rave serve -c") {
		t.Errorf("%v", err)
	}
}

// Many at once: each is added, none is lost.
func TestAddingCamerasAtOnce(t *testing.T) {
	cams, path := filed(t, "")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := cams.Add(t.Context(), web.NewStream{Name: fmt.Sprint("cam", i), Source: "publish"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if cfg, err := config.Load(path, nil); err != nil || len(cfg.Streams) != 8 {
		t.Errorf("%v\n%s", err, cfg)
	}
}

// Once nobody follows the file any more, who asks for it is told so and does not wait.
func TestAskingAtTheEnd(t *testing.T) {
	r := newReloader(options{}, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.ask(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	r.run(ctx)
	if err := r.ask(t.Context(), "x"); !errors.Is(err, errNotAsked) {
		t.Errorf("after the end: %v", err)
	}
}

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.Mkdir(path("real"), 0o700), os.WriteFile(path("real/rave.yaml"), []byte("old"), 0o604),
		os.Symlink("real/rave.yaml", path("link.yaml"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path("real/rave.yaml"), 0o604); err != nil { // whatever the umask
		t.Fatal(err)
	}
	before := stateOf(path("real/rave.yaml"))
	if err := replaceFile(path("link.yaml"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path("real/rave.yaml"))
	info, errInfo := os.Stat(path("real/rave.yaml"))
	if errors.Join(err, errInfo) != nil || string(text) != "new" || info.Mode().Perm() != 0o604 || stateOf(path("real/rave.yaml")).inode == before.inode {
		t.Errorf("%q, %v, %v", text, info.Mode(), err)
	}
	if link, err := os.Readlink(path("link.yaml")); err != nil || link != "real/rave.yaml" {
		t.Errorf("the link leads to %q, %v", link, err)
	}
	if err := replaceFile(path("none.yaml"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := os.Chmod(path("real/rave.yaml"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(path("link.yaml"), []byte("newer")); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a file that is read-only: %v", err)
	}
	// A folder cannot be replaced by a file: what fails leaves nothing behind.
	if err := replaceFile(path("real"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	if left, _ := filepath.Glob(path(".rave-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
