package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"rave/config"
)

// diary is what happened to all streams of a test.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// take returns what was noted since the last call.
func (d *diary) take() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	text := strings.Join(d.lines, ", ")
	d.lines = nil
	return text
}

// fakeStream notes what its supervisor does with it.
type fakeStream struct {
	name  string
	diary *diary
	ran   chan struct{}
}

func (f *fakeStream) run(ctx context.Context) {
	close(f.ran)
	<-ctx.Done()
	f.diary.note("%s ends", f.name)
}
func (f *fakeStream) change(p prepared) { f.diary.note("%s gets %s", f.name, p.cfg.Transport) }
func (f *fakeStream) close()            { f.diary.note("%s closes", f.name) }

// configs reads "cam1 cam2=tcp".
func configs(text string) []streamConfig {
	var all []streamConfig
	for _, item := range strings.Fields(text) {
		name, transport, _ := strings.Cut(item, "=")
		all = append(all, streamConfig{Stream: config.Stream{Name: name, Transport: config.Transport(transport)}})
	}
	return all
}

// TestSupervisor applies one configuration after another, and looks at what the streams notice, in which order.
func TestSupervisor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var d diary
	v := newSupervisor(ctx, func(p prepared) *fakeStream {
		d.note("%s starts", p.cfg.Name)
		return &fakeStream{p.cfg.Name, &d, make(chan struct{})}
	})
	bad := errors.New("bad")
	apply := func(text string, refuse bool) (changes, error) {
		prepare := func(now *fakeStream, c streamConfig) (prepared, error) {
			if known := slices.ContainsFunc(v.streams(), func(s *fakeStream) bool { return s.name == c.Name }); known != (now != nil) {
				t.Errorf("%s is known: %v, and prepare is told %v", c.Name, known, now)
			}
			if c.Transport == "bad" {
				return prepared{}, bad
			}
			return prepared{cfg: c}, nil
		}
		return v.apply(configs(text), prepare, func() error {
			if refuse {
				return bad
			}
			return nil
		})
	}
	for _, step := range []struct {
		streams string
		refuse  bool
		says    string // "refused", or what has become of the streams
		diary   string
		run     string // the names of all, in the order of the file
	}{
		{"a b c", false, "added [a b c]", "a starts, b starts, c starts", "a b c"},
		{"a b c", false, "unchanged [a b c]", "", "a b c"},
		{"c d a", false, "added [d] removed [b] unchanged [c a]", "b ends, b closes, d starts", "c d a"},
		{"c d=tcp a", false, "changed [d] unchanged [c a]", "d gets tcp", "c d a"},
		{"c=udp a e=bad", false, "refused", "", "c d a"},
		{"c=udp d=bad e", false, "refused", "", "c d a"},
		{"c=udp a e", true, "refused", "", "c d a"},
		{"c=udp d=udp a", false, "changed [c d] unchanged [a]", "c gets udp, d gets udp", "c d a"},
		{"c=udp d=udp a", false, "unchanged [c d a]", "", "c d a"},
		{"b d a", false, "added [b] removed [c] changed [d] unchanged [a]", "c ends, c closes, b starts, d gets ", "b d a"},
		{"", false, "removed [a b d]", "", ""},
		{"a", false, "added [a]", "a starts", "a"},
	} {
		c, err := apply(step.streams, step.refuse)
		var says []string
		for _, w := range []struct {
			what  string
			names []string
		}{{"added", c.added}, {"removed", c.removed}, {"changed", c.changed}, {"unchanged", c.unchanged}} {
			if len(w.names) > 0 {
				says = append(says, fmt.Sprint(w.what, " ", w.names))
			}
		}
		if err != nil {
			says = []string{"refused"}
		}
		if got := strings.Join(says, " "); got != step.says || (err != nil) != errors.Is(err, bad) {
			t.Errorf("%q: %s, %v; want %s", step.streams, got, err, step.says)
		}
		var names []string
		for _, s := range v.streams() {
			<-s.ran
			names = append(names, s.name)
		}
		got := d.take()
		if step.streams == "" { // they end together, in any order
			for _, name := range []string{"a", "b", "d"} {
				ended, closed := strings.Index(got, name+" ends"), strings.Index(got, name+" closes")
				if ended < 0 || closed < ended {
					t.Errorf("%s is not stopped in order: %s", name, got)
				}
			}
		} else if got != step.diary {
			t.Errorf("%q: %s; want %s", step.streams, got, step.diary)
		}
		if got := strings.Join(names, " "); got != step.run {
			t.Errorf("%q: %s run; want %s", step.streams, got, step.run)
		}
	}
	cancel()
	v.wait()
	if got := d.take(); got != "a ends" {
		t.Errorf("at the end: %s", got)
	}
}

// What a stream depends on besides its own section: the files of the models that it names, and none of the others.
func TestStreamConfigHasItsModels(t *testing.T) {
	folder := t.TempDir()
	write := func(name string) {
		next := filepath.Join(folder, "next")
		if err := errors.Join(os.WriteFile(next, []byte("x"), 0o600), os.Rename(next, filepath.Join(folder, name))); err != nil {
			t.Fatal(err)
		}
	}
	write("a.onnx")
	write("b.onnx")
	file := func(models string) []streamConfig {
		cfg, err := config.Parse(fmt.Appendf(nil, "models: {%s}\nstreams: {cam: {source: publish, quality: [mine, lanczos]}}",
			strings.ReplaceAll(models, "DIR", folder)), "", nil)
		if err != nil {
			t.Fatal(err)
		}
		return streamConfigs(cfg)
	}
	const mine = "mine: DIR/a.onnx, other: DIR/b.onnx"
	base := file(mine)[0]
	for what, c := range map[string]struct {
		models  string
		before  func()
		another bool
	}{
		"the same":          {mine, func() {}, false},
		"another path":      {"mine: DIR/b.onnx, other: DIR/b.onnx", func() {}, true},
		"none":              {"other: DIR/b.onnx", func() {}, true},
		"a model not named": {"mine: DIR/a.onnx, other: DIR/c.onnx", func() { write("b.onnx") }, false},
	} {
		c.before()
		if next := file(c.models)[0]; next.equal(base) == c.another || next.samePicture(base) == c.another || !next.SameSource(base.Stream) {
			t.Errorf("%s: equal %v, same picture %v", what, next.equal(base), next.samePicture(base))
		}
	}
	write("a.onnx")
	if file(mine)[0].equal(base) {
		t.Error("the model's file was replaced, and nothing has changed")
	}
}
