package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestAddStream has every way in which streams may be written. In want + stands for the new stream's two lines, indented
// like what is there.
func TestAddStream(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "streams:\n  +"},
		{"comments only", "# mine\n\n# more\n", "# mine\n\n# more\nstreams:\n  +"},
		{"no streams", "log: {level: debug}  # why\n\n", "log: {level: debug}  # why\n\nstreams:\n  +"},
		{"no line end", "log: {level: debug}", "log: {level: debug}\nstreams:\n  +"},
		{"all indented", "  log: {level: debug}\n", "  log: {level: debug}\n  streams:\n    +"},
		{"nothing in it", "streams:\nlog: {level: info}\n", "streams:\n  +log: {level: info}\n"},
		{"comments in it", "streams: # all\n  # none yet\n  #cam:\n", "streams: # all\n  +  # none yet\n  #cam:\n"},
		{"braces", "streams: {} # all\nlog:\n", "streams: # all\n  +log:\n"},
		{"null", "streams: ~\n", "streams:\n  +"},
		{"null in words", "streams: null\nlog:\n", "streams:\n  +log:\n"},
		{"one", "streams:\n  a:\n    source: publish\n", "streams:\n  a:\n    source: publish\n  +"},
		{"no line end behind one", "streams:\n  a: {source: publish}", "streams:\n  a: {source: publish}\n  +"},
		{"deep", "streams:\n      a:\n         source: publish\nlog: {}\n", "streams:\n      a:\n         source: publish\n      +log: {}\n"},
		{"others behind it", "streams:\n  a: {source: publish}\n\n# The log.\nlog: {}\n", "streams:\n  a: {source: publish}\n  +\n# The log.\nlog: {}\n"},
		{"what is off", "streams:\n  a:\n    source: publish\n    #strict: true\n  #b:\n    #source: publish\n\n# end\n",
			"streams:\n  a:\n    source: publish\n    #strict: true\n  #b:\n    #source: publish\n  +\n# end\n"},
		{"a list at its side", "streams:\n  a:\n    source: publish\n    quality:\n    - lanczos\nlog: {}\n",
			"streams:\n  a:\n    source: publish\n    quality:\n    - lanczos\n  +log: {}\n"},
		{"braces over lines", "streams:\n  a: {\n    source: publish\n  }\nlog: {}\n", "streams:\n  a: {\n    source: publish\n  }\n  +log: {}\n"},
		{"text over lines", "streams:\n  a:\n    source: rtsp://cam\n    username: u\n    password: \"a\n\n      b\"\nlog: {}\n",
			"streams:\n  a:\n    source: rtsp://cam\n    username: u\n    password: \"a\n\n      b\"\n  +log: {}\n"},
		{"aliases", "streams:\n  a: &cam {source: publish}\n  b: *cam\n", "streams:\n  a: &cam {source: publish}\n  b: *cam\n  +"},
		{"markers", "---\nstreams:\n  a: {source: publish}\n...\n", "---\nstreams:\n  a: {source: publish}\n  +...\n"},
		{"quoted key", "\"streams\":\n  'a': {source: publish}\n", "\"streams\":\n  'a': {source: publish}\n  +"},
		{"blanks and tabs", "streams:  \n  a:   {source: publish}\t# tab\n   \n", "streams:  \n  a:   {source: publish}\t# tab\n  +   \n"},
		{"letters beyond ASCII", "# é\nstreams: {} # ü\n", "# é\nstreams: # ü\n  +"},
		{"lines of Windows", "streams:\r\n  a: {source: publish}\r\nlog: {}\r\n", "streams:\r\n  a: {source: publish}\r\n  +log: {}\r\n"},
	} {
		end := "\n"
		if strings.Contains(c.file, "\r") {
			end = "\r\n"
		}
		before, rest, _ := strings.Cut(c.want, "+")
		indent := before[strings.LastIndex(before, "\n")+1:]
		want := before + "new:" + end + indent + "  source: rtsp://cam/live" + end + rest
		got, err := AddStream([]byte(c.file), "rave.yaml", NewStream{Name: "new", Source: "rtsp://cam/live"}, nil)
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%q, want\n%q", c.name, err, got, want)
		}
	}
}

func TestAddStreamToTheExample(t *testing.T) {
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	s := NewStream{Name: "gate-1", Source: "rtsp://u:p@ss@cam/live?x=#1", Username: "007", Password: "a: #b\"'\\", Transport: "tcp",
		Quality: []string{"lanczos"}, Scale: 1.5}
	text, err := AddStream(data, "rave.yaml", s, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(text), "streams:\n  gate-1:\n")
	if n := strings.Count(rest, "\n") - strings.Count(string(data[len(before)+len("streams:\n"):]), "\n"); n != 6 || !strings.HasPrefix(string(data), before) {
		t.Errorf("%d lines are new:\n%s", n, rest)
	}
	c := parse(t, string(text))
	got := c.Streams[0]
	if got.Source.URL() != "rtsp://cam/live?x=#1" || got.Username != "007" || got.Password != s.Password || got.Transport != "tcp" ||
		got.Quality[0] != "lanczos" || got.Output.Scale != 1.5 {
		t.Errorf("%+v\n%s", got, rest)
	}
	again, err := AddStream(text, "rave.yaml", NewStream{Name: "two", Source: "publish"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c := parse(t, string(again)); len(c.Streams) != 2 || c.Streams[0].Name != "gate-1" || c.Streams[1].Name != "two" {
		t.Errorf("not in order:\n%s", again)
	}
}

func TestAddStreamRefuses(t *testing.T) {
	good := NewStream{Name: "new", Source: "rtsp://cam"}
	for _, c := range []struct {
		name, file string
		stream     NewStream
		environ    []string
		is         error
		want       string
	}{
		{"twice", "streams: {new: {source: publish}}", good, nil, ErrExists, ""},
		{"in the environment", "", good, []string{"RAVE_STREAMS_NEW_SOURCE=publish"}, ErrExists, ""},
		{"braces", "streams: {a: {source: publish}}", good, nil, ErrNoPlace, ""},
		{"all in braces", "{log: {level: info}}", good, nil, ErrNoPlace, ""},
		{"empty braces", "{}", good, nil, ErrNoPlace, ""},
		{"an end", "log: {level: info}\n...\n", good, nil, ErrNoPlace, ""},
		{"empty braces over lines", "streams:\n  {\n  }\n", good, nil, ErrNoPlace, ""},
		{"a mistake", "log: {level: loud}", good, nil, nil, `rave.yaml:1: log.level: "loud" is not a log level; use debug, info, warn or error`},
		{"source", "", NewStream{Name: "new", Source: "http://u:secret@cam"}, nil, BadStreamError{},
			`source: "http://***@cam" is not a source; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish`},
		{"no source", "", NewStream{Name: "new"}, nil, BadStreamError{}, "source: is missing; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish"},
		{"name", "", NewStream{Name: "a b", Source: "publish"}, nil, BadStreamError{},
			`streams: "a b" is not the name of a stream; use up to 64 letters, digits, -, _ and ., beginning with a letter or digit`},
		{"no name", "", NewStream{Source: "publish"}, nil, BadStreamError{},
			`streams: "" is not the name of a stream; use up to 64 letters, digits, -, _ and ., beginning with a letter or digit`},
		{"reserved", "", NewStream{Name: "api", Source: "publish"}, nil, BadStreamError{},
			`streams: "api" is not free as the name of a stream: /api is a page of the HTTP server; choose another name`},
		{"scale", "", NewStream{Name: "new", Source: "publish", Scale: 7}, nil, BadStreamError{},
			`output.scale: "7" is not a scale; use auto, 1, 1.5, 2, 3 or 4`},
		{"two things", "", NewStream{Name: "new", Source: "x", Transport: "y"}, nil, BadStreamError{},
			`source: "x" is not a source; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish` + "\n" +
				`transport: "y" is not a transport; use auto, udp or tcp`},
		{"password alone", "", NewStream{Name: "new", Source: "rtsp://cam", Password: "secret"}, nil, BadStreamError{},
			"password: has no effect without a user name; set username as well"},
		{"lines", "", NewStream{Name: "new", Source: "rtsp://cam\nlog: {level: loud}"}, nil, BadStreamError{}, ""},
		{"zero byte", "", NewStream{Name: "new", Source: "rtsp://cam", Username: "a\x00"}, nil, BadStreamError{}, "username: holds bytes that are not text"},
		{"no text", "", NewStream{Name: "new", Source: "rtsp://cam", Username: "a\xff"}, nil, BadStreamError{}, "holds bytes that are not text"},
	} {
		text, err := AddStream([]byte(c.file), "rave.yaml", c.stream, c.environ)
		var bad BadStreamError
		isBad := errors.As(err, &bad)
		if err == nil || c.want != "" && err.Error() != c.want || isBad != errors.Is(c.is, BadStreamError{}) || !isBad && c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: %v\n%s", c.name, err, text)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the secret: %v", c.name, err)
		}
	}
}

// FuzzAddStream: whatever the file and the stream, what is added is added and nothing else changes, or it is refused.
func FuzzAddStream(f *testing.F) {
	f.Add("streams:\n  a: {source: publish}\n", "new", "rtsp://cam", "u", "p")
	f.Add("", "x", "publish", "", "")
	f.Add("streams: {} # a\n", "x", "rtsp://u:p@cam/#", "'", "\"\n: #")
	f.Add("a: &a\n  b: c\nstreams: *a\n...\n", "x", "publish", "|", ">")
	f.Fuzz(func(t *testing.T, file, name, source, user, password string) {
		before, err := Parse([]byte(file), "rave.yaml", nil)
		if err != nil {
			return
		}
		text, err := AddStream([]byte(file), "rave.yaml", NewStream{Name: name, Source: source, Username: user, Password: Secret(password)}, nil)
		if err != nil {
			return
		}
		after := parse(t, string(text))
		if len(after.Streams) != len(before.Streams)+1 || !after.Streams[len(before.Streams)].Equal(after.Streams[len(after.Streams)-1]) {
			t.Fatalf("%q became %q", file, text)
		}
		if got := after.Streams[len(after.Streams)-1]; got.Name != name || user != "" && got.Username != user || password != "" && string(got.Password) != password {
			t.Fatalf("%q, %q, %q became %q", name, user, password, text)
		}
	})
}

// What has changed beside the new stream is noticed.
func TestOnlyAdds(t *testing.T) {
	before := parse(t, "log: {level: info}\nstreams: {a: {source: publish}}")
	for text, want := range map[string]bool{
		"streams: {a: {source: publish}, b: {source: publish}}":                       true,
		"log: {level: debug}\nstreams: {a: {source: publish}, b: {source: publish}}":  false,
		"streams: {a: {source: publish, strict: true}, b: {source: publish}}":         false,
		"streams: {b: {source: publish}}":                                             false,
		"streams: {a: {source: publish}}":                                             false,
		"streams: {a: {source: publish}, b: {source: publish}, c: {source: publish}}": false,
		"streams: {a: {source: publish}, b: {source: ftp}}":                           false,
	} {
		if got := onlyAdds(before, text, "rave.yaml", "b", nil, nil); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
