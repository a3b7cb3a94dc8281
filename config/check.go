package config

import (
	"fmt"
	"slices"
	"strings"
)

// check finds what is wrong between keys that are right each by itself. It leaves out what may follow from an error
// found before: everything below the same stream, user or section.
func (c *Config) check(before []problem) []problem {
	var out []problem
	failed := map[string]bool{}
	for _, p := range before {
		failed[entry(p.path)] = true
	}
	fail := func(path, format string, args ...any) {
		if !failed[entry(path)] {
			out = append(out, problem{c.placeOf(path), path, fmt.Sprintf(format, args...)})
		}
	}
	if !broken(before, "users") && !broken(before, "auth") {
		c.checkListen(fail)
	}
	c.checkWebRTC(fail)
	c.checkUsers(fail)
	c.checkReconnect("stream_defaults", c.StreamDefaults, fail)
	for _, s := range c.Streams {
		c.checkStream("streams."+s.Name, s, fail)
	}
	return out
}

// broken reports whether a section as a whole could not be read.
func broken(before []problem, section string) bool {
	return slices.ContainsFunc(before, func(p problem) bool { return p.path == section })
}

// failFunc reports a problem at a path.
type failFunc func(path, format string, args ...any)

func (c *Config) checkListen(fail failFunc) {
	if c.Auth == AuthNone && len(c.Users) > 0 {
		fail("auth", `"none" leaves users without effect; remove one of the two`)
	}
	for _, l := range []struct{ path, listen string }{{"rtsp.listen", c.RTSP.Listen}, {"http.listen", c.HTTP.Listen}} {
		if c.Auth != AuthNone && len(c.Users) == 0 && !loopback(l.listen) {
			fail(l.path, "%s can be reached from other machines, but nobody needs to log in; add users, or write "+
				"auth: none if that is meant", show(l.listen))
		}
	}
	if (c.HTTP.TLS.Certificate == "") != (c.HTTP.TLS.Key == "") {
		fail("http.tls", "needs both certificate and key: set both, or none for plain HTTP")
	}
	if c.RTSP.Listen == c.HTTP.Listen && !strings.HasSuffix(c.HTTP.Listen, ":0") {
		fail("http.listen", "%s is rtsp.listen as well; use another port", show(c.HTTP.Listen))
	}
}

func (c *Config) checkUsers(fail failFunc) {
	var names []string
	streams, users, hints := map[string]bool{AllStreams: true}, map[string]bool{}, 0
	for _, s := range c.Streams {
		names, streams[s.Name] = append(names, s.Name), true
	}
	tokens := map[Secret]bool{}
	for i, u := range c.Users {
		path := fmt.Sprintf("users[%d]", i)
		if tokens[u.TokenHash] && u.TokenHash != "" {
			fail(path+".token_hash", "is that of another user as well; make one for each with rave token")
		}
		tokens[u.TokenHash] = true
		if users[u.Name] && u.Name != "" {
			fail(path+".name", "%s is the name of two users", show(u.Name))
		}
		users[u.Name] = true
		checkUser(path, u, fail)
		for i, s := range u.Streams {
			if streams[s] {
				continue
			}
			hint := `"*" means all`
			if hints++; hints <= maxTold { // it takes its time, and no more are told
				if best, ok := nearest(s, names); ok {
					hint = "did you mean " + best + "?"
				}
			}
			fail(fmt.Sprintf("%s.streams[%d]", path, i), "%s is not one of streams; %s", show(s), hint)
		}
	}
}

func checkUser(path string, u User, fail failFunc) {
	if u.Name == "" {
		fail(path+".name", "is missing")
	}
	switch {
	case u.Password == "" && u.PasswordHash == "" && u.TokenHash == "":
		fail(path+".password", "is missing; set password, password_hash as rave password prints it, or token_hash as rave token does")
	case u.Password != "" && u.PasswordHash != "":
		fail(path+".password_hash", "stands beside password; keep one of the two")
	}
}

func (c *Config) checkReconnect(path string, s Stream, fail failFunc) {
	if s.Reconnect.Min > s.Reconnect.Max {
		fail(path+".reconnect.min", "%q is more than reconnect.max, %q", formatDuration(s.Reconnect.Min),
			formatDuration(s.Reconnect.Max))
	}
}

func (c *Config) checkStream(path string, s Stream, fail failFunc) {
	switch {
	case s.Source == Source{}:
		fail(path+".source", "is missing; use rtsp://HOST/PATH, rtsps://HOST/PATH or publish")
	case s.Source.Publish() && s.Username != "":
		fail(path+".username", "does not belong to a published stream; who may publish is in users")
	case s.Source.Publish() && s.Password != "":
		fail(path+".password", "does not belong to a published stream; who may publish is in users")
	case s.Password != "" && s.Username == "":
		c.failNoUsername(path, fail)
	}
	if s.Reconnect != c.StreamDefaults.Reconnect {
		c.checkReconnect(path, s, fail)
	}
}

// failNoUsername reports a password that nobody would ever send.
func (c *Config) failNoUsername(path string, fail failFunc) {
	if _, own := c.places[path+".password"]; own {
		fail(path+".password", "has no effect without a user name; set username as well")
		return
	}
	fail(path+".source", "has a password without a user name; set username as well")
}

// CheckModels reports every name in a quality list that is neither in models nor among the given ones: the embedded
// models and the built-in resamplers.
func (c *Config) CheckModels(builtin []string) error {
	known := slices.Clone(builtin)
	for name := range c.Models {
		known = append(known, name)
	}
	slices.Sort(known)
	list := enumerate(known)
	if more := len(known) - maxTold; more > 0 {
		list = fmt.Sprintf("%s, … (%d more)", strings.Join(known[:maxTold], ", "), more)
	}
	var problems []problem
	check := func(path string, quality []string) {
		for i, q := range quality {
			if _, ok := slices.BinarySearch(known, q); ok {
				continue
			}
			at := fmt.Sprintf("%s.quality[%d]", path, i)
			problems = append(problems, problem{c.placeOf(at), at,
				fmt.Sprintf("%s is not a known enhancer; use %s, or name an .onnx file in models", show(q),
					list)})
		}
	}
	for _, s := range c.Streams {
		if _, own := c.places["streams."+s.Name+".quality"]; own || slices.Equal(s.Quality, defaultStream().Quality) {
			check("streams."+s.Name, s.Quality)
		}
	}
	if _, own := c.places["stream_defaults.quality"]; own {
		check("stream_defaults", c.StreamDefaults.Quality)
	}
	return join(problems)
}

// placeOf returns where a key was set, or else the section that it should be in.
func (c *Config) placeOf(path string) place {
	for {
		if p, ok := c.places[path]; ok || path == "" {
			return p
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
}

// entry returns the stream, user or section that a path leads into: its first two steps.
func entry(path string) string {
	if steps := strings.SplitN(path, ".", 3); len(steps) == 3 {
		return steps[0] + "." + steps[1]
	}
	if i := strings.IndexByte(path, ']'); i >= 0 {
		return path[:i+1]
	}
	return path
}
