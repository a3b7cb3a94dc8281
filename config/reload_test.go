package config

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// candidates are values of every kind that a key may have: one of them differs from what the key is.
var candidates = []string{"true", "false", "debug", "json", "127.0.0.1:1", "9000", "3", "none", "off", "/other.onnx", "/lib.so", "tcp",
	"2s", "45s", "lanczos", "1.5", "1920x1080", "fast", "800k", "8294400", "512M", "rtsp://other/live", "status", "cam", "somebody",
	"192.0.2.1", "turn:other", "https://example.org", HashToken("x")}

// TestEveryKeyCountsWhenReloaded walks the schema and changes one key after another: the change is seen, and either takes
// effect in what a running process follows or is refused with the key. So a new key cannot be forgotten.
func TestEveryKeyCountsWhenReloaded(t *testing.T) {
	const hash = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"
	tested := map[string]bool{"stream_defaults.encode.codec": true, "streams.cam.encode.codec": true} // which have one value
	all := map[string]bool{}
	for _, file := range []string{
		"streams: {cam: {source: 'rtsp://user:secret@cam/live'}}\nmodels: {my-x2: /a.onnx}\nusers: [{name: alice, password: secret}]\n" +
			"webrtc: {ice_servers: [{urls: ['turn:a'], username: turn, credential: secret}]}\nhttp: {tls: {certificate: /a.pem, key: /b.pem}}",
		"streams: {cam: {source: 'rtsp://user:secret@cam/live'}}\nusers: [{name: alice, password_hash: " + hash + "}]",
		"streams: {cam: {source: 'rtsp://user:secret@cam/live'}}", // auth: none goes without users only
	} {
		base := parse(t, file)
		for env, found := range indexLeaves(newDecoder("").parse([]byte(file)), Default().schema()) {
			path := pathString(found[0].path)
			all[path] = true
			for _, text := range append(candidates, strings.Replace(hash, "10", "11", 1)) {
				next, err := Parse([]byte(file), "rave.yaml", []string{"RAVE_" + env + "=" + text})
				if err == nil && !next.Equal(base) {
					checkFollowed(t, base, next, path, "RAVE_"+env)
					tested[path] = true
					break
				}
			}
		}
	}
	for path := range all {
		if !tested[path] {
			t.Errorf("%s: no candidate changes it; add one", path)
		}
	}
}

// checkFollowed checks a change of one key.
func checkFollowed(t *testing.T, base, next *Config, path, variable string) {
	t.Helper()
	top, _, _ := strings.Cut(strings.ReplaceAll(path, "[", "."), ".")
	err := base.CheckReload(next)
	if !slices.Contains(live(), top) {
		if err == nil || !strings.Contains(err.Error(), variable+": "+path+": is ") || !strings.Contains(err.Error(), "restart rave") {
			t.Errorf("%s: %v", path, err)
		}
		return
	}
	a, b := base.Streams[0], next.Streams[0]
	followed := !a.Equal(b) || !slices.EqualFunc(base.Users, next.Users, User.Equal) || base.Open() != next.Open() ||
		!maps.Equal(base.Models, next.Models)
	if err != nil || !followed && path != "auth" { // which says nothing while there are no users
		t.Errorf("%s: not followed, %v", path, err)
	}
	if !a.Equal(b) && a.SameSource(b) == a.SamePicture(b) {
		t.Errorf("%s: same source %v, same picture %v", path, a.SameSource(b), a.SamePicture(b))
	}
}

func TestWhatNeedsARestart(t *testing.T) {
	before := parse(t, "rtsp: {listen: \"127.0.0.1:1\"}\ncpu: {threads: 2}")
	after := parse(t, "log: {level: info}\nrtsp:\n  listen: 127.0.0.1:2\nworkers: off\nauth: none")
	want := `rave.yaml: cpu.threads: is "0" now, and was "2" at the start: it cannot change while RAVE runs; restart rave, or set it back
rave.yaml:3: rtsp.listen: is "127.0.0.1:2" now, and was "127.0.0.1:1" at the start: it cannot change while RAVE runs; restart rave, or set it back
rave.yaml:4: workers: is "off" now, and was "on" at the start: it cannot change while RAVE runs; restart rave, or set it back`
	err := before.CheckReload(after)
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := before.CheckReload(before); err != nil {
		t.Errorf("the same: %v", err)
	}
}

// A value of several parts, and a secret, are told apart as well, and the secret is not printed.
func TestDifferingValues(t *testing.T) {
	a, b := Stream{Quality: []string{"a"}, Password: "old-secret"}, Stream{Quality: []string{"a", "b"}, Password: "new-secret"}
	var got []string
	differing("s", a.schema(), b.schema(), func(path, was, is string) { got = append(got, path+": "+was+" → "+is) })
	want := []string{`s.password: "***" → "***"`, `s.quality: [a] → [a, b]`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
