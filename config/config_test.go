package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, file string, environ ...string) *Config {
	t.Helper()
	c, err := Parse([]byte(file), "rave.yaml", environ)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return c
}

func TestEmptyFilesAreTheDefaults(t *testing.T) {
	for _, file := range []string{"", "\n", "# nothing\n", "---\n", "streams:\nusers:\nmodels:\nlog:\n", "{}"} {
		if c := parse(t, file); !c.Equal(Default()) {
			t.Errorf("%q differs from the defaults:\n%s", file, c)
		}
	}
}

const fullFile = `
log: {level: debug, format: json}
rtsp: {listen: ":8554", udp: false, rtp_port: 9000, max_connections: 40}
http: {listen: "[::]:8080", tls: {certificate: cert.pem, key: key.pem}, hosts: [rave.example.org], origins: ["https://example.org", "*"]}
users:
  - {name: alice, password: "p@ss #1: marked", permissions: [read, status], streams: [front]}
  - {name: bob, password_hash: $2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy, permissions: [publish]}
cpu: {threads: 3}
limits: {worker_memory: 1536M}
onnxruntime: {library: lib/libonnxruntime.so}
models: {my-x2: models/my.onnx, other: /other.onnx}
stream_defaults:
  transport: tcp
  quality: [my-x2]
  output: {scale: 1.5, max: 1920x1080}
  encode: {bitrate: 800k}
streams:
  front:
    source: rtsps://admin:marked%40@cam:322/live?token=marked&channel=1
  back:
    source: rtsp://cam2/live
    username: viewer
    password: 007
    transport: udp
    video_timeout: 90s
    hold_last_frame: 1m30s
    on_demand: true
    on_demand_linger: 1h
    reconnect: {min: 1s, max: 1m}
    deinterlace: off
    quality: [live-x2, lanczos]
    strict: true
    output: {scale: 3}
    max_pixels: 8294400
    encode: {codec: h264, preset: fast, bitrate: 2.5M, gop: 500ms}
  studio:
    source: publish
`

func TestFullFile(t *testing.T) {
	c := parse(t, fullFile)
	want := Default()
	want.Log = Log{slog.LevelDebug, LogJSON}
	want.RTSP = RTSP{":8554", false, 9000, 40}
	want.HTTP = HTTP{Listen: "[::]:8080", TLS: TLS{"cert.pem", "key.pem"}, Hosts: []string{"rave.example.org"}, Origins: []string{"https://example.org", "*"}}
	want.Users = []User{
		{Name: "alice", Password: "p@ss #1: marked", Permissions: []Permission{PermRead, PermStatus},
			Streams: []string{"front"}},
		{Name: "bob", PasswordHash: "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
			Permissions: []Permission{PermPublish}, Streams: []string{"*"}},
	}
	want.CPU = CPU{3}
	want.Limits = Limits{1536 << 20}
	want.ONNXRuntime = ONNXRuntime{"lib/libonnxruntime.so"}
	want.Models = map[string]string{"my-x2": "models/my.onnx", "other": "/other.onnx"}
	d := &want.StreamDefaults
	d.Transport, d.Quality = TransportTCP, []string{"my-x2"}
	d.Output, d.Encode.Bitrate = Output{1.5, Size{1920, 1080}}, 800e3
	front, studio := *d, *d
	front.Name, front.Source = "front", Source{"rtsps://cam:322/live?token=marked&channel=1"}
	front.Username, front.Password = "admin", "marked@"
	studio.Name, studio.Source = "studio", Source{"publish"}
	want.Streams = []Stream{front, {
		Name: "back", Source: Source{"rtsp://cam2/live"}, Username: "viewer", Password: "007", Transport: TransportUDP,
		VideoTimeout: 90 * time.Second, Reconnect: Reconnect{time.Second, time.Minute}, Deinterlace: DeinterlaceOff,
		HoldLastFrame: 90 * time.Second, OnDemand: true, OnDemandLinger: time.Hour,
		Quality: []string{"live-x2", "lanczos"}, Strict: true, Output: Output{3, Size{1920, 1080}},
		MaxPixels: 8294400, Encode: Encode{CodecH264, "fast", 2.5e6, 500 * time.Millisecond},
	}, studio}
	if !c.Equal(want) {
		t.Errorf("got:\n%+v\nwant:\n%+v", *c, *want)
	}
	if u, ok := c.User("bob"); !ok || !u.Equal(want.Users[1]) {
		t.Errorf("User(bob) = %+v, %v", u, ok)
	}
}

// TestWrittenConfigIsTheSame shows that String loses nothing but secrets: without any it reads back as the same.
func TestWrittenConfigIsTheSame(t *testing.T) {
	c := parse(t, fullFile)
	c.Users = []User{}
	for i := range c.Streams {
		s := &c.Streams[i]
		s.Username, s.Password = "", ""
		s.Source = Source{strings.Split(s.Source.url, "?")[0]}
	}
	c.RTSP.Listen, c.HTTP.Listen = "127.0.0.1:1", "127.0.0.1:2"
	again := parse(t, c.String())
	again.Users = []User{}
	if !again.Equal(c) {
		t.Errorf("written:\n%s\nread back:\n%s", c, again)
	}
}

func TestNoSecretIsPrinted(t *testing.T) {
	c := parse(t, fullFile)
	var buf bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&buf, nil))
	log.Info("text", "config", c, "stream", c.Streams[0], "users", c.Users, "password", c.Users[0].Password)
	slog.New(slog.NewTextHandler(&buf, nil)).Info("text", "config", c, "user", c.Users[0], "source", c.Streams[0].Source)
	for _, v := range []any{c, *c, c.Users, c.Streams, c.Streams[0], &c.Streams[0], c.Streams[0].Source,
		c.Streams[0].Password, &c.Users[0].Password} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			fmt.Fprintf(&buf, verb+"\n", v)
		}
		if err := json.NewEncoder(&buf).Encode(v); err != nil {
			t.Errorf("%T as JSON: %v", v, err)
		}
	}
	out := buf.String()
	for _, secret := range []string{"marked", "007", "N9qo8", fmt.Sprintf("%x", "marked")} {
		if i := strings.Index(out, secret); i >= 0 {
			t.Errorf("%q is printed: …%s…", secret, out[max(i-80, 0):i+len(secret)])
		}
	}
	if !strings.Contains(c.String(), "token=***&channel=***") {
		t.Errorf("the rest of the URL is lost:\n%s", c)
	}
}

func TestSource(t *testing.T) {
	for _, c := range []struct{ in, url, user, pass string }{
		{"publish", "", "", ""},
		{"rtsp://cam", "rtsp://cam", "", ""},
		{"RTSPS://cam:322/a/b?c=d", "rtsps://cam:322/a/b?c=d", "", ""},
		{"rtsp://[fe80::1]:554/x", "rtsp://[fe80::1]:554/x", "", ""},
		{"rtsp://u:p@cam/x", "rtsp://cam/x", "u", "p"},
		{"rtsp://u@cam/x", "rtsp://cam/x", "u", ""},
		{"rtsp://u:@cam/x", "rtsp://cam/x", "u", ""},
		{"rtsp://u:p@ss#!%w:0rd?@cam:554/x", "rtsp://cam:554/x", "u", "p@ss#!%w:0rd?"},
		{"rtsp://u:100%@cam/x", "rtsp://cam/x", "u", "100%"},
		{"rtsp://u:p%40%2F@cam/x", "rtsp://cam/x", "u", "p@/"},
		{"rtsp://u%3A:p@cam/x", "rtsp://cam/x", "u:", "p"},
	} {
		src, user, pass, err := parseSource(c.in)
		if err != nil || src.URL() != c.url || user != c.user || string(pass) != c.pass {
			t.Errorf("%s: %q, user %q, password %q, %v; want %q, %q, %q", c.in, src.URL(), user, string(pass), err, c.url,
				c.user, c.pass)
		}
		if src.Publish() != (c.in == "publish") {
			t.Errorf("%s: Publish() = %v", c.in, src.Publish())
		}
	}
}

// TestParametersAreHidden reads the table that package ingest reads as well.
func TestParametersAreHidden(t *testing.T) {
	data, err := os.ReadFile("../ingest/testdata/redact.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		in, want, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || in == "#" {
			continue
		}
		src, _, _, err := parseSource(in)
		if want = strings.TrimSpace(want); err != nil || src.String() != want {
			t.Errorf("%s is shown as %s, want %s (%v)", in, src, want, err)
		}
	}
}

func TestKeysWinOverTheURL(t *testing.T) {
	file := "streams: {a: {password: key, username: other, source: 'rtsp://u:p@cam'}}"
	if s := parse(t, file).Streams[0]; s.Username != "other" || s.Password != "key" {
		t.Errorf("user %q, password %q; want other, key", s.Username, string(s.Password))
	}
}

func TestPasswordNeedsAUsername(t *testing.T) {
	checkError(t, "streams:\n  a:\n    source: rtsp://cam\n    password: secret",
		"rave.yaml:4: streams.a.password: has no effect without a user name; set username as well")
	checkError(t, "streams:\n  a:\n    source: rtsp://:secret@cam",
		"rave.yaml:3: streams.a.source: has a password without a user name; set username as well")
	parse(t, "streams: {a: {source: 'rtsp://u@cam', password: secret}, b: {source: rtsp://cam, username: u}}")
	_, err := Parse([]byte("streams: {a: {source: rtsp://cam}}"), "rave.yaml", []string{"RAVE_STREAMS_A_PASSWORD=secret"})
	want := "RAVE_STREAMS_A_PASSWORD: streams.a.password: has no effect without a user name; set username as well"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// With an @ in front of the first slash as well, the piece of the password between them would be taken for the host.
func TestTwoReadingsOfAnAt(t *testing.T) {
	checkError(t, "streams:\n  a:\n    source: rtsp://u:@secret/x@cam/live", `rave.yaml:3: streams.a.source: `+
		`"rtsp://***@cam/live" has an @ behind the first /; write a / in the password as %2F (or use the keys username `+
		`and password), and an @ in the path as %40`)
}

func TestForURL(t *testing.T) {
	c, err := ForURL("rtsp://u:p@ss@cam/live", []string{"RAVE_STREAMS_CAMERA_OUTPUT_SCALE=3", "PATH=/bin"})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Streams[0]
	if s.Name != "camera" || s.Source.URL() != "rtsp://cam/live" || s.Password != "p@ss" || s.Output.Scale != 3 {
		t.Errorf("got %+v", s)
	}
	_, err = ForURL("rtsp://u:secret", nil)
	want := `command line: streams.camera.source: "rtsp://u:***" has no valid host; use rtsp://HOST/PATH or ` +
		`rtsp://HOST:PORT/PATH (write a / in the password as %2F, or use the keys username and password)`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "rave.yaml")
	if err := os.WriteFile(path, []byte(fullFile), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"RAVE_LOG_LEVEL=error"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Level != slog.LevelError {
		t.Errorf("level %v", c.Log.Level)
	}
	for _, p := range []struct{ got, want string }{
		{c.Models["my-x2"], filepath.Join(dir, "models/my.onnx")}, {c.Models["other"], "/other.onnx"},
		{c.ONNXRuntime.Library, filepath.Join(dir, "lib/libonnxruntime.so")},
	} {
		if p.got != p.want {
			t.Errorf("path %s, want %s", p.got, p.want)
		}
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), nil); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("a missing file: %v", err)
	}
	if c, err := Load("", nil); err != nil || !c.Equal(Default()) {
		t.Errorf("without a file: %v", err)
	}
}

func TestCheckModels(t *testing.T) {
	builtin := []string{"lanczos", "live-x2"}
	if err := parse(t, fullFile).CheckModels(builtin); err != nil {
		t.Error(err)
	}
	c := parse(t, "models: {mine: a.onnx}\nstream_defaults:\n  quality: [min, lanczos]\n"+
		"streams:\n  a: {source: publish}\n  b: {source: publish, quality: [mine, other]}")
	want := `rave.yaml:3: stream_defaults.quality[0]: "min" is not a known enhancer; use lanczos, live-x2 or mine, or ` +
		"name an .onnx file in models\n" + `rave.yaml:6: streams.b.quality[1]: "other" is not a known enhancer; use ` +
		`lanczos, live-x2 or mine, or name an .onnx file in models`
	if err := c.CheckModels(builtin); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if err := c.Errorf("streams.b.encode.gop", "is odd"); err.Error() != "rave.yaml:6: streams.b.encode.gop: is odd" {
		t.Errorf("Errorf: %v", err)
	}
}

func TestUser(t *testing.T) {
	c := parse(t, fullFile)
	alice, bob := c.Users[0], c.Users[1]
	for _, m := range []struct {
		u      User
		p      Permission
		stream string
		want   bool
	}{
		{alice, PermRead, "front", true}, {alice, PermRead, "back", false}, {alice, PermStatus, "", true}, {alice, PermRead, "", true}, {alice, PermAdmin, "", false},
		{alice, PermPublish, "front", false}, {bob, PermPublish, "front", true}, {bob, PermStatus, "", false},
	} {
		if got := m.u.May(m.p, m.stream); got != m.want {
			t.Errorf("%s may %s %q: %v", m.u.Name, m.p, m.stream, got)
		}
	}
	hash, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	hashed := User{PasswordHash: Secret(hash)}
	for _, v := range []struct {
		u    User
		pass string
		want bool
	}{
		{alice, "p@ss #1: marked", true}, {alice, "", false}, {alice, "wrong", false}, {User{}, "", false},
		{hashed, "correct horse", true}, {hashed, "wrong", false}, {hashed, "", false},
	} {
		if got := v.u.Verify(v.pass); got != v.want {
			t.Errorf("password %q of %q: %v", v.pass, v.u.Name, got)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", 73)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("a password of %d bytes is hashed", len(bad))
		}
	}
	token := NewToken()
	c.Users = append(c.Users, User{Name: "obs", TokenHash: Secret(HashToken(token))})
	for text, want := range map[string]string{token: "obs", "": "", "x": "", HashToken(token): ""} {
		if u, ok := c.Bearer(text); u.Name != want || ok != (want != "") {
			t.Errorf("token %q is that of %q, %v", text, u.Name, ok)
		}
	}
	if NewToken() == token || len(token) != 32 {
		t.Errorf("token %q", token)
	}
	if !c.Open() == (c.Auth == AuthNone) {
		t.Error("open in spite of users")
	}
}

func TestAliasesMayShareSettings(t *testing.T) {
	c := parse(t, "streams:\n  a: &cam {source: publish, strict: true}\n  b: *cam\n", "RAVE_STREAMS_B_STRICT=false")
	if !c.Streams[0].Strict || c.Streams[1].Strict || !slices.Equal(c.Streams[1].Quality, c.Streams[0].Quality) {
		t.Errorf("got %+v", c.Streams)
	}
}
