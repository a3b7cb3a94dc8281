package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/egress/limit"
)

// sample returns the status that testdata/sample shows.
func sample(t *testing.T) Status {
	t.Helper()
	data, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var s Status
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// users maps "name:password" to permissions.
type users struct {
	list  map[string][]string
	asked atomic.Int32
}

func (u *users) Check(user, password string) bool {
	u.asked.Add(1)
	_, ok := u.list[user+":"+password]
	return ok
}

// Bearer takes "token-NAME" for NAME's.
func (u *users) Bearer(token string) string {
	name, ok := strings.CutPrefix(token, "token-")
	if ok && u.Knows(name) {
		return name
	}
	return ""
}

// Secret is a user's password, and for a token its name.
func (u *users) Secret(user string, token bool) string {
	for login := range u.list {
		if name, password, _ := strings.Cut(login, ":"); name == user && token {
			return "token-" + name
		} else if name == user {
			return password
		}
	}
	return ""
}

// May knows permissions for all streams, and as "read:cam" for one.
func (u *users) May(user, permission, stream string) bool {
	for login, permissions := range u.list {
		if name, _, _ := strings.Cut(login, ":"); name == user {
			return slices.ContainsFunc(permissions, func(p string) bool {
				return p == permission || p == permission+":"+stream || stream == "" && strings.HasPrefix(p, permission+":")
			})
		}
	}
	return false
}

func (u *users) Knows(user string) bool {
	for login := range u.list {
		if name, _, _ := strings.Cut(login, ":"); name == user {
			return true
		}
	}
	return false
}

func newServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	if cfg.Status == nil {
		s := sample(t)
		cfg.Status = func() Status { return s }
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.gate.Load().delay = time.Millisecond
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get sends a request; login is "name:password" or empty.
func get(s *Server, method, path, login string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	r.Host = "127.0.0.1:8080"
	if name, password, ok := strings.Cut(login, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// TestEscaping puts markup into every text of the status.
func TestEscaping(t *testing.T) {
	const evil = `"'><script>alert(1)</script><b onclick=x>&`
	st := Status{Version: evil, Config: &File{Path: evil, Error: evil}, Listeners: []Listener{{Name: evil, Address: evil, Reason: evil}, {evil, evil, true, evil}}}
	for _, state := range []State{StateOnline, StateConnecting, StateWaiting, State(evil)} {
		st.Streams = append(st.Streams, Stream{
			Name: evil, Source: evil, State: state, Reason: evil, Plan: evil, EnhancedURL: evil, OriginalURL: evil,
			Input: Video{Codec: evil, Size: evil, Frames: 1}, Output: Video{Codec: evil, Size: evil}, Enhancer: evil,
			Enhancers: []Enhancer{{evil, .5, evil, evil}}, Stages: []Stage{{Name: evil}}, Drops: []Drop{{evil, evil, 1}},
		})
	}
	s := newServer(t, Config{Status: func() Status { return st }})
	for _, path := range []string{"/api/v1/status", "/readyz"} {
		body := get(s, "GET", path, "").Body.String()
		if !strings.Contains(body, "alert(1)") {
			t.Errorf("%s does not show the text", path)
		}
		for _, bad := range []string{"<script>", "<b onclick"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	w := get(newServer(t, Config{}), "GET", "/api/v1/status", "")
	var got Status
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.SchemaVersion != SchemaVersion || len(got.Streams) != 4 || got.Streams[0].Latency.P95 != 52.7 {
		t.Errorf("got %+v", got)
	}
	w = get(newServer(t, Config{Status: func() Status { return Status{Streams: make([]Stream, 1)} }}), "GET", "/api/v1/status", "")
	if body := w.Body.String(); strings.Contains(body, "null") || !strings.Contains(body, `"drops": []`) {
		t.Errorf("an empty list is null:\n%s", body)
	}
	if got := NewLatency(31400*time.Microsecond, time.Second, 0); got != (Latency{31.4, 1000, 0}) {
		t.Errorf("NewLatency: %+v", got)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	frames := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rave_frames_total", Help: "h"}, []string{"stream"})
	reg.MustRegister(frames)
	frames.WithLabelValues(`a"b`).Add(3)
	w := get(newServer(t, Config{Gatherer: reg}), "GET", "/metrics", "")
	if !strings.Contains(w.Body.String(), `rave_frames_total{stream="a\"b"} 3`) {
		t.Errorf("%d\n%s", w.Code, w.Body)
	}
	if w := get(newServer(t, Config{}), "GET", "/metrics", ""); w.Code != http.StatusNotFound {
		t.Errorf("metrics without a registry: %d", w.Code)
	}
}

func TestReadiness(t *testing.T) {
	up, down := []Listener{{Name: "rtsp", Up: true}}, []Listener{{Name: "rtsp", Up: true}, {Name: "http"}}
	seen := Stream{Name: "a", State: StateWaiting, Output: Video{Frames: 1}}
	unseen := Stream{Name: "b", State: StateConnecting, Reason: "no route"}
	publish := Stream{Name: "c", State: StateWaiting, Publish: true}
	for _, c := range []struct {
		name   string
		status Status
		reason string
	}{
		{"no streams", Status{Listeners: up}, ""},
		{"a listener is down", Status{Listeners: down, Streams: []Stream{seen}}, "the http listener is not up"},
		{"nothing seen yet", Status{Listeners: up, Streams: []Stream{unseen, publish}},
			"none of 2 streams has given an enhanced picture yet"},
		{"one seen, though away now", Status{Listeners: up, Streams: []Stream{unseen, seen}}, ""},
		{"one would be seen if somebody watched", Status{Listeners: up, Streams: []Stream{unseen, {Name: "d", State: StateOnline, Asleep: true}}}, ""},
		{"publishers only", Status{Listeners: up, Streams: []Stream{publish}}, ""},
	} {
		w := get(newServer(t, Config{Status: func() Status { return c.status }}), "GET", "/readyz", "")
		var got Readiness
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		ready, code := c.reason == "", http.StatusServiceUnavailable
		if ready {
			code = http.StatusOK
		}
		if w.Code != code || got.Ready != ready || strings.Join(got.Reasons, ";") != c.reason {
			t.Errorf("%s: %d %+v; want %d %q", c.name, w.Code, got, code, c.reason)
		}
		if len(got.Streams) != len(c.status.Streams) {
			t.Errorf("%s: %d streams are told", c.name, len(got.Streams))
		}
	}
	got := Status{Streams: []Stream{seen, unseen, publish}}.Ready().States
	if want := map[State]int{StateWaiting: 2, StateConnecting: 1}; !maps.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

func TestMethods(t *testing.T) {
	s := newServer(t, Config{Gatherer: prometheus.NewRegistry()})
	for _, path := range []string{"/", "/front_door", "/ui/ui.css", "/api/v1/status", "/metrics", "/healthz", "/readyz"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X"} {
			if w := get(s, method, path, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
		if w := get(s, "HEAD", path, ""); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	for _, path := range []string{"/ui/index.html", "/ui/", "/ui", "/api", "/../etc/passwd", "/status.json", "/debug/pprof/"} {
		if w := get(s, "GET", path, ""); w.Code == http.StatusOK {
			t.Errorf("%s answers 200", path)
		}
	}
}

func TestSecurityHeaders(t *testing.T) {
	s := newServer(t, Config{Auth: &users{}})
	for _, path := range []string{"/", "/api/v1/status", "/healthz", "/none"} {
		h := get(s, "GET", path, "").Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			if !strings.Contains(h.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, h.Get(name))
			}
		}
	}
}

func TestAuth(t *testing.T) {
	u := &users{list: map[string][]string{"viewer:a:b": {"status"}, "reader:pw": {"admin"}}}
	s := newServer(t, Config{Auth: u, Gatherer: prometheus.NewRegistry()})
	private := []string{"/", "/garage", "/ui/ui.css", "/ui/js/stream.js", "/api/v1/status", "/metrics"}
	for _, c := range []struct {
		login string
		code  int
	}{
		{"", 401}, {"viewer:wrong", 401}, {"viewer:", 401}, {"nobody:a:b", 401}, {"reader:pw", 403}, {":", 401}, {"viewer:a:b", 200},
	} {
		for _, path := range private {
			w := get(s, "GET", path, c.login)
			if w.Code != c.code {
				t.Errorf("%s as %q: %d, want %d", path, c.login, w.Code, c.code)
			}
			if asks := w.Header().Get("WWW-Authenticate") != ""; asks != (c.code == 401) || c.code != 200 && strings.Contains(w.Body.String(), "front_door") {
				t.Errorf("%s as %q: %v %s", path, c.login, w.Header(), w.Body)
			}
		}
		ready := get(s, "GET", "/readyz", c.login)
		if told := strings.Contains(ready.Body.String(), "front_door"); told != (c.code == 200) || ready.Code != 200 {
			t.Errorf("/readyz as %q: %d, names told: %v", c.login, ready.Code, told)
		}
		for _, secret := range []string{"192.0.2", "127.0.0.1", "Camera"} {
			if c.code != 200 && strings.Contains(ready.Body.String(), secret) {
				t.Errorf("/readyz tells a stranger %s", secret)
			}
		}
		if w := get(s, "GET", "/healthz", c.login); w.Code != 200 || w.Body.String() != "ok\n" {
			t.Errorf("/healthz as %q: %d %s", c.login, w.Code, w.Body)
		}
	}
	asked := u.asked.Load()
	for range 10 {
		get(s, "GET", "/", "viewer:a:b")
	}
	if n := u.asked.Load(); n != asked {
		t.Errorf("a visitor who was let in is checked again %d times", n-asked)
	}
	get(s, "GET", "/", "viewer:wronger")
	if u.asked.Load() != asked+1 {
		t.Error("a wrong password is not checked")
	}
	if n := s.Refused()[limit.WrongPassword]; n == 0 {
		t.Error("refused credentials are not counted")
	}
}

// Other users: who was let in is asked for the password again.
func TestUsersChange(t *testing.T) {
	s := newServer(t, Config{Auth: &users{list: map[string][]string{"viewer:old": {"status"}}}})
	for _, step := range []struct {
		auth  Auth
		login string
		code  int
	}{
		{nil, "viewer:old", 200},
		{&users{list: map[string][]string{"viewer:new": {"status"}}}, "viewer:old", 401},
		{&users{list: map[string][]string{"viewer:new": {"status"}}}, "viewer:new", 200},
		{&users{list: map[string][]string{"viewer:new": {"publish"}}}, "viewer:new", 403},
	} {
		if step.auth != nil {
			s.SetAuth(step.auth)
			s.gate.Load().delay = time.Millisecond
		}
		if w := get(s, "GET", "/", step.login); w.Code != step.code {
			t.Errorf("%s with %+v: %d, want %d", step.login, step.auth, w.Code, step.code)
		}
	}
	s.SetAuth(nil)
	if w := get(s, "GET", "/", ""); w.Code != 200 {
		t.Errorf("without users: %d", w.Code)
	}
}

// slowUsers hangs in each check until it is let go.
type slowUsers struct {
	users
	entered, leave chan struct{}
}

func (u *slowUsers) Check(user, password string) bool {
	u.entered <- struct{}{}
	<-u.leave
	return u.users.Check(user, password)
}

// Hundreds of wrong guesses of one host: few are compared, one at a time; who has logged in notices nothing, others get
// in after the comparison that runs, and the log has a line and not the passwords.
func TestGuessesAreLimited(t *testing.T) {
	var log bytes.Buffer
	u := &slowUsers{users: users{list: map[string][]string{"viewer:right": {"status"}, "other:right": {"status"}}},
		entered: make(chan struct{}, 1000), leave: make(chan struct{}, 1000)}
	s := newServer(t, Config{Auth: u, Log: slog.New(slog.NewTextHandler(&log, nil))})
	from := func(host, login string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = host + ":4711"
		name, password, _ := strings.Cut(login, ":")
		r.SetBasicAuth(name, password)
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r)
		return w
	}
	u.leave <- struct{}{}
	if w := from("10.0.0.1", "viewer:right"); w.Code != http.StatusOK {
		t.Fatalf("%d", w.Code)
	}
	<-u.entered
	const guesses = 200
	codes := make(chan *httptest.ResponseRecorder, guesses)
	for i := range guesses {
		go func() { codes <- from("10.0.0.2", fmt.Sprintf("viewer:guess-%d", i)) }()
	}
	<-u.entered // the first guess is being compared
	if w := from("10.0.0.1", "viewer:right"); w.Code != http.StatusOK {
		t.Errorf("who has logged in waits for guesses: %d", w.Code)
	}
	for range 2 * guesses { // more than there may be
		u.leave <- struct{}{}
	}
	if w := from("10.0.0.3", "other:right"); w.Code != http.StatusOK {
		t.Errorf("another host: %d", w.Code)
	}
	got := map[int]int{}
	for range guesses {
		w := <-codes
		got[w.Code]++
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if got[http.StatusUnauthorized] != 10 || got[http.StatusTooManyRequests] != guesses-10 || u.asked.Load() != 12 {
		t.Errorf("answers %v, %d comparisons", got, u.asked.Load())
	}
	if n := s.Refused(); n[limit.WrongPassword] != 10 || n[limit.Guessing] != guesses-10 {
		t.Errorf("counted: %v", n)
	}
	_ = s.Close()
	if text := log.String(); strings.Contains(text, "guess-") || strings.Count(text, "credentials refused") != 2 {
		t.Errorf("the log: %s", text)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Listen: "127.0.0.1:0"}); err == nil {
		t.Error("no status is accepted")
	}
	s := newServer(t, Config{})
	_, err := New(Config{Listen: s.Addr().String(), Status: s.cfg.Status, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a port that is taken: %v", err)
	}
}
