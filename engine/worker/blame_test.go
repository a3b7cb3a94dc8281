package worker

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A model is condemned after two quick deaths, for longer each time, at once the second time, and acquitted when a worker
// lived long with it.
func TestBlame(t *testing.T) {
	now := time.Now()
	var b blame
	for i, c := range []struct {
		model     string
		lived     time.Duration
		later     time.Duration // after the case before
		rest      time.Duration
		condemned int // models, afterwards
	}{
		{"a", time.Second, 0, 0, 0},
		{"b", time.Second, 0, 0, 0},
		{"a", time.Second, 0, modelRest, 1},
		{"a", time.Second, modelRest, 2 * modelRest, 1},
		{"b", time.Hour, time.Minute, 0, 1},
		{"b", time.Second, time.Minute, modelRest, 2},
		{"a", time.Second, 3 * modelRest, 4 * modelRest, 1},
		{"a", time.Hour, 5 * modelRest, 0, 0},
	} {
		now = now.Add(c.later)
		rest, condemned := b.died(c.model, "why", c.lived, now)
		if rest != c.rest || condemned != (c.rest > 0) || len(b.verdicts(now)) != c.condemned {
			t.Errorf("case %d: %v, %v; %+v", i, rest, condemned, b.verdicts(now))
		}
	}
}

func TestAccuse(t *testing.T) {
	name := func(s string) *string { return &s }
	for i, c := range []struct {
		trying, serving *string
		reason          string
		stalled         int
		want            string
	}{
		{nil, nil, reasonMemory, 0, ""},
		{name("a"), name("b"), reasonSegfault, 0, "a"},
		{name(""), name("b"), reasonSegfault, 0, ""},
		{name(""), name("b"), reasonMemory, 0, "b"},
		{name(""), name("b"), reasonStall, 0, ""}, // of the decoder
		{name(""), name("b"), reasonStall, 9, "b"},
	} {
		var l life
		l.trying.Store(c.trying)
		l.serving.Store(c.serving)
		l.work.enhance.stalled = c.stalled
		if got := l.accuse(c.reason); got != c.want {
			t.Errorf("case %d: %q instead of %q", i, got, c.want)
		}
	}
}

func TestShortageIsRecognised(t *testing.T) {
	for line, want := range map[string]bool{
		"fatal error: out of memory":                                                         true,
		"runtime: cannot allocate memory":                                                    true,
		"terminate called after throwing an instance of 'std::bad_alloc'":                    true,
		"fork/exec /proc/self/exe: cannot allocate memory":                                   true,
		"runtime/cgo: pthread_create failed: Resource temporarily unavailable":               true,
		"SIGSEGV: segmentation violation":                                                    false,
		"terminate called after throwing an instance of 'onnxruntime::OnnxRuntimeException'": false,
	} {
		if got := outOfMemory([]byte(line)); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
	if n := resident(os.Getpid()); n < 1<<20 || n > 1<<40 {
		t.Errorf("this process uses %d bytes", n)
	}
	if n := resident(-1); n != 0 {
		t.Errorf("no process uses %d bytes", n)
	}
}

func TestModelMessage(t *testing.T) {
	var l life
	if err := l.model(appendBool(appendText(nil, "a"), false)); err != nil || *l.trying.Load() != "a" || l.serving.Load() != nil {
		t.Errorf("%v", err)
	}
	if err := l.model(appendBool(appendText(nil, "a"), true)); err != nil || *l.trying.Load() != "" || *l.serving.Load() != "a" {
		t.Errorf("%v", err)
	}
	if err := l.model([]byte(strings.Repeat("x", 9))); err == nil {
		t.Error("nonsense is taken")
	}
}
