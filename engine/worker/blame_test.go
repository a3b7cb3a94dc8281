package worker

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A model is condemned after two deaths, for longer each time, at once the second time, and acquitted when a worker has
// had it for long.
func TestBlame(t *testing.T) {
	now := time.Now()
	var b blame
	for i, c := range []struct {
		model     string
		worked    bool          // before that
		later     time.Duration // after the case before
		rest      time.Duration
		condemned int // models, afterwards
	}{
		{"a", false, 0, 0, 0},
		{"b", false, 0, 0, 0},
		{"a", false, 0, modelRest, 1},
		{"a", false, modelRest, 2 * modelRest, 1},
		{"b", true, time.Minute, 0, 1},
		{"b", false, time.Minute, modelRest, 2},
		{"a", false, 3 * modelRest, 4 * modelRest, 1},
		{"a", true, 5 * modelRest, 0, 0},
	} {
		now = now.Add(c.later)
		if c.worked {
			b.worked([]string{c.model})
		}
		rest, condemned := b.died(c.model, "why", now)
		if rest != c.rest || condemned != (c.rest > 0) || len(b.verdicts(now)) != c.condemned {
			t.Errorf("case %d: %v, %v; %+v", i, rest, condemned, b.verdicts(now))
		}
	}
}

// Two deaths in a row condemn a model. In between no worker may have had it for long, whatever that one died of and
// whichever models it had besides.
func TestDeathsInARow(t *testing.T) {
	for _, c := range []struct {
		name      string
		opened    []string      // by the worker between two deaths of a
		lived     time.Duration // with all of them
		condemned bool
	}{
		{"at once", nil, 0, true},
		{"a served for a day", []string{"a"}, 24 * time.Hour, false},
		{"a served for a day, and then b", []string{"a", "b"}, 24 * time.Hour, false},
		{"a served for a minute", []string{"a"}, time.Minute, true},
		{"b served for a day", []string{"b"}, 24 * time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m mourner
				client := testClient(t, nil, "a", "b")
				client.bury(&m, death{reason: reasonSegfault, model: "a", lived: time.Second})
				l := testLife(client)
				for _, name := range c.opened {
					if err := l.model(appendBool(appendText(nil, name), true)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(c.lived)
				client.bury(&m, death{reason: reasonSegfault, lived: c.lived, worked: l.worked()}) // in the decoder
				client.bury(&m, death{reason: reasonSegfault, model: "a", lived: time.Second})
				if list := client.blame.verdicts(time.Now()); (len(list) > 0) != c.condemned {
					t.Errorf("condemned: %+v", list)
				}
			})
		})
	}
}

func testLife(c *Client) *life { return &life{c: c, opened: map[string]time.Time{}} }

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
	l := testLife(testClient(t, nil, "a"))
	if err := l.model(appendBool(appendText(nil, "a"), false)); err != nil || *l.trying.Load() != "a" || l.serving.Load() != nil {
		t.Errorf("%v", err)
	}
	if err := l.model(appendBool(appendText(nil, "a"), true)); err != nil || *l.trying.Load() != "" || *l.serving.Load() != "a" {
		t.Errorf("%v", err)
	}
	if err := l.model(appendBool(appendText(nil, "z"), true)); !errors.Is(err, errMalformed) || *l.serving.Load() != "a" {
		t.Errorf("a model that is not in quality: %v", err)
	}
	if err := l.model([]byte(strings.Repeat("x", 9))); err == nil {
		t.Error("nonsense is taken")
	}
}
