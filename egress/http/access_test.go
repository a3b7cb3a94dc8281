package web

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rave/egress/limit"
	"rave/engine/problem"
)

// request makes one with headers "Name: value".
func request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "127.0.0.1:8080"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	return r
}

func send(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.http.Handler.ServeHTTP(w, r)
	return w
}

// checkProblem checks that an answer of 400 or above is a problem that says something.
func checkProblem(t *testing.T, what string, w *httptest.ResponseRecorder, words ...string) {
	t.Helper()
	var p problem.Problem
	err := json.Unmarshal(w.Body.Bytes(), &p)
	if err != nil || w.Header().Get("Content-Type") != problem.ContentType || p.Status != w.Code || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: no problem: %d %v %s", what, w.Code, w.Header(), w.Body)
	}
	for _, word := range words {
		if !strings.Contains(p.Detail, word) {
			t.Errorf("%s: %q lacks %q", what, p.Detail, word)
		}
	}
}

// mediaEcho answers with what it was asked.
type mediaEcho struct{ what string }

func (m mediaEcho) ServeHTTP(_ context.Context, w http.ResponseWriter, r *http.Request, resource string) {
	body, _ := io.ReadAll(r.Body)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, strings.Join([]string{m.what, r.Method, resource, string(body)}, "|"))
}

// full returns a configuration with everything that there can be; media know the stream "cam".
func full() Config {
	find := func(kind string) func(string) MediaHandler {
		return func(path string) MediaHandler {
			if !strings.HasPrefix(path, "cam") {
				return nil
			}
			return mediaEcho{kind + " " + path}
		}
	}
	return Config{
		WHEP: find("whep"), WHIP: find("whip"),
		Snapshot: func(context.Context, string, string, int) (Snapshot, error) {
			return Snapshot{JPEG: []byte("jpeg"), Age: 12345 * time.Microsecond, Enhancer: "live-x2"}, nil
		},
	}
}

func TestMediaRoutes(t *testing.T) {
	s := newServer(t, full())
	for _, c := range []struct {
		method, path string
		code         int
		body         string // or what the problem says
	}{
		{"POST", "/cam/whep", 201, "whep cam|POST||v=0"},
		{"POST", "/cam/original/whep", 201, "whep cam/original|POST||v=0"},
		{"POST", "/cam/whip", 201, "whip cam|POST||v=0"},
		{"PATCH", "/cam/whep/7", 201, "whep cam|PATCH|7|v=0"},
		{"DELETE", "/cam/original/whep/7", 201, "whep cam/original|DELETE|7|v=0"},
		{"PATCH", "/cam/whip/7", 201, "whip cam|PATCH|7|v=0"},
		{"POST", "/none/whep", 404, `"none"`},
		{"DELETE", "/none/whip/7", 404, `"none"`},
		{"POST", "/cam/original/whip", 405, "GET, HEAD"},
		{"GET", "/cam/original/whip", 404, "nothing"},
		{"GET", "/cam/whep", 405, "OPTIONS, POST"},
		{"HEAD", "/cam/whep", 405, "OPTIONS, POST"},
		{"PUT", "/cam/whip", 405, "OPTIONS, POST"},
		{"POST", "/cam/whep/7", 405, "DELETE, OPTIONS, PATCH"},
		{"OPTIONS", "/cam/whip", 201, "whip cam|OPTIONS||v=0"},
		{"OPTIONS", "/cam/original/whep/7", 201, "whep cam/original|OPTIONS|7|v=0"},
	} {
		w := send(s, request(c.method, c.path, "v=0"))
		if w.Code != c.code {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
			continue
		}
		switch {
		case c.code == 201 && w.Body.String() != c.body:
			t.Errorf("%s %s: %s", c.method, c.path, w.Body)
		case c.code >= 400:
			checkProblem(t, c.method+" "+c.path, w, c.body)
		}
	}
	if w := send(newServer(t, Config{}), request("POST", "/cam/whep", "")); w.Code < 400 {
		t.Errorf("without media: %d", w.Code)
	}
}

// Bodies are read up to the limit, whole, and no further.
func TestBodyLimits(t *testing.T) {
	s := newServer(t, full())
	for size, code := range map[int]int{0: 201, maxSDP: 201, maxSDP + 1: 413, 10 * maxSDP: 413} {
		r := request("POST", "/cam/whep", strings.Repeat("x", size))
		r.ContentLength = -1 // nobody says before how much it is
		w := send(s, r)
		if w.Code != code {
			t.Errorf("%d bytes: %d", size, w.Code)
		}
		if code == 201 && w.Body.Len() != size+len("whep cam|POST||") {
			t.Errorf("%d bytes: %d of the answer", size, w.Body.Len())
		} else if code == 413 {
			checkProblem(t, "too long", w, "65536")
		}
	}
	r := request("POST", "/cam/whep", "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("v=0"), brokenReader{}))
	if w := send(s, r); w.Code != 400 {
		t.Errorf("a body that breaks off: %d", w.Code)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A page of another site that made a browser take this server for its own finds itself asking for a name of the Internet.
func TestHosts(t *testing.T) {
	open := newServer(t, Config{Hosts: []string{"Rave.example.org"}, Gatherer: nil})
	closed := newServer(t, Config{Auth: &users{list: map[string][]string{"viewer:right": {"status"}}}})
	for host, ok := range map[string]bool{
		"127.0.0.1:8080": true, "127.0.0.1": true, "[::1]:8080": true, "[fe80::1%25eth0]": true, "192.168.1.7:8080": true, "203.0.113.9": true,
		"localhost:8080": true, "LOCALHOST": true, "nas": true, "nas:80": true, "nas.local": true, "nas.local.": true, "a.localhost": true,
		"rave.default.svc.internal": true, "nas.home.arpa": true, "rave.example.org:8080": true, "RAVE.example.org": true, "": true,
		"evil.example": false, "evil.example:8080": false, "127.0.0.1.evil.example": false, "localhost.evil.example": false,
		"x.rave.example.org": false, "local.evil.example": false, "evillocal.example:80": false, "1.2.3.4.5": false,
	} {
		for _, path := range []string{"/", "/api/v1/streams", "/front_door", "/ui/js/stream.js"} {
			w := send(open, request("GET", path, "", "Host: "+host))
			if (w.Code == 200) != ok || !ok && w.Code != http.StatusMisdirectedRequest {
				t.Errorf("%s of %q: %d", path, host, w.Code)
			}
			if !ok {
				checkProblem(t, host, w, "http.hosts", host)
			}
		}
		if w := send(open, request("GET", "/healthz", "", "Host: "+host)); w.Code != 200 {
			t.Errorf("/healthz of %q: %d", host, w.Code)
		}
		if w := send(open, request("GET", "/readyz", "", "Host: "+host)); strings.Contains(w.Body.String(), "front_door") != ok {
			t.Errorf("/readyz of %q tells %s", host, w.Body)
		}
		r := request("GET", "/", "", "Host: "+host)
		r.SetBasicAuth("viewer", "right")
		if w := send(closed, r); w.Code != 200 {
			t.Errorf("%q, logged in: %d", host, w.Code)
		}
		if w := send(closed, request("GET", "/", "", "Host: "+host)); w.Code != 401 {
			t.Errorf("%q, not logged in: %d", host, w.Code)
		}
	}
	if open.Refused()[limit.UnknownHost] == 0 {
		t.Error("refused hosts are not counted")
	}
}

func TestCORS(t *testing.T) {
	const friend, stranger = "https://friend.example", "https://stranger.example"
	auth := &users{list: map[string][]string{"viewer:right": {"read", "publish", "status"}}}
	serve := func(origins ...string) *Server {
		cfg := full()
		cfg.Origins, cfg.Auth = origins, auth
		return newServer(t, cfg)
	}
	none, one, all := serve(), serve(friend), serve("*")
	for _, c := range []struct {
		what   string
		s      *Server
		method string
		path   string
		origin string
		allow  bool
	}{
		{"nobody is allowed", none, "POST", "/cam/whep", friend, false},
		{"the friend", one, "POST", "/cam/whep", friend, true},
		{"in capitals", one, "POST", "/cam/whip", strings.ToUpper(friend), true},
		{"reads", one, "GET", "/api/v1/streams", friend, true},
		{"deletes", one, "DELETE", "/cam/whip/1", friend, true},
		{"a stranger", one, "POST", "/cam/whep", stranger, false},
		{"of another scheme", one, "POST", "/cam/whep", "http://friend.example", false},
		{"of another port", one, "POST", "/cam/whep", friend + ":8443", false},
		{"of a longer name", one, "POST", "/cam/whep", friend + ".evil.example", false},
		{"null", one, "POST", "/cam/whep", "null", false},
		{"everybody", all, "POST", "/cam/whep", stranger, true},
		{"the page is for itself", one, "GET", "/", friend, false},
		{"metrics too", one, "GET", "/readyz", friend, false},
	} {
		preflight := send(c.s, request("OPTIONS", c.path, "", "Origin: "+c.origin, "Access-Control-Request-Method: "+c.method,
			"Access-Control-Request-Headers: authorization, content-type"))
		h := preflight.Header()
		if ok := h.Get("Access-Control-Allow-Origin") == c.origin; ok != c.allow {
			t.Errorf("%s: preflight %d %v", c.what, preflight.Code, h)
		}
		if c.allow && (preflight.Code != 204 || !strings.Contains(h.Get("Access-Control-Allow-Methods"), c.method) ||
			!strings.Contains(h.Get("Access-Control-Allow-Headers"), "Authorization") || h.Get("Vary") != "Origin") {
			t.Errorf("%s: preflight %d %v", c.what, preflight.Code, h)
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: the browser's own credentials are allowed", c.what)
		}
		r := request(c.method, c.path, "", "Origin: "+c.origin, "Sec-Fetch-Site: cross-site")
		r.SetBasicAuth("viewer", "right")
		w := send(c.s, r)
		if ok := w.Header().Get("Access-Control-Allow-Origin") == c.origin; ok != c.allow {
			t.Errorf("%s: answer %v", c.what, w.Header())
		}
		if c.method != "GET" && (w.Code == 201) != c.allow {
			t.Errorf("%s: %d %s", c.what, w.Code, w.Body)
		}
		if !c.allow && c.method != "GET" {
			checkProblem(t, c.what, w, "http.origins")
		}
	}
	// An error can be read by the friend's page, too.
	w := send(one, request("POST", "/cam/whep", "", "Origin: "+friend))
	if w.Code != 401 || w.Header().Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("not logged in: %d %v", w.Code, w.Header())
	}
}

// Requests that change something are taken from this server's own pages, and from what is no browser.
func TestCrossOriginRequests(t *testing.T) {
	s := newServer(t, full())
	for _, c := range []struct {
		headers []string
		ok      bool
	}{
		{nil, true},
		{[]string{"Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:8080"}, true},
		{[]string{"Origin: http://127.0.0.1:8080"}, true},
		{[]string{"Sec-Fetch-Site: cross-site"}, false},
		{[]string{"Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:9090"}, false},
		{[]string{"Origin: http://127.0.0.1:9090"}, false},
		{[]string{"Origin: http://evil.example"}, false},
		{[]string{"Origin: null"}, false},
	} {
		for _, path := range []string{"/cam/whep", "/cam/whip"} {
			if w := send(s, request("POST", path, "", c.headers...)); (w.Code == 201) != c.ok || !c.ok && w.Code != 403 {
				t.Errorf("POST %s with %v: %d", path, c.headers, w.Code)
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	cfg := full()
	cfg.Auth = &users{list: map[string][]string{
		"all:pw": {"read", "publish", "status", "admin"}, "reader:pw": {"read:front_door", "read:cam"}, "sender:pw": {"publish:cam"}, "admin:pw": {"admin"}}}
	s := newServer(t, cfg)
	for _, c := range []struct {
		method, path string
		who          string // of those who may
	}{
		{"POST", "/cam/whep", "all reader"}, {"POST", "/cam/original/whep", "all reader"}, {"PATCH", "/cam/whep/1", "all reader"},
		{"POST", "/garage/whep", "all"}, {"POST", "/cam/whip", "all sender"}, {"DELETE", "/cam/whip/1", "all sender"}, {"POST", "/garage/whip", "all"},
		{"GET", "/api/v1/streams", "all reader"}, {"GET", "/api/v1/streams/front_door", "all reader"}, {"GET", "/api/v1/streams/garage", "all"},
		{"GET", "/api/v1/streams/cam/snapshot.jpg", "all reader"}, {"GET", "/api/v1/streams/garage/snapshot.jpg", "all"},
		{"GET", "/api/v1/status", "all"}, {"GET", "/", "all reader"}, {"GET", "/front_door", "all reader"}, {"GET", "/garage", "all"},
		{"GET", "/ui/ui.css", "all reader sender"},
		{"OPTIONS", "/cam/whep", "all reader"}, {"GET", "/healthz", "all reader sender admin stranger"},
	} {
		for _, user := range []string{"all", "reader", "sender", "admin", "stranger"} {
			for _, how := range []string{"basic", "bearer"} {
				r := request(c.method, c.path, "")
				switch {
				case user == "stranger":
				case how == "basic":
					r.SetBasicAuth(user, "pw")
				default:
					r.Header.Set("Authorization", "Bearer token-"+user)
				}
				w := send(s, r)
				may, code := strings.Contains(c.who, user), http.StatusForbidden
				if user == "stranger" {
					code = http.StatusUnauthorized
				}
				if refused := w.Code == 401 || w.Code == 403; refused == may || refused && w.Code != code {
					t.Errorf("%s %s as %s (%s): %d", c.method, c.path, user, how, w.Code)
				}
				if !may {
					checkProblem(t, c.path, w)
				}
				checkChallenge(t, c.path+" as "+user, w, !may && user == "stranger")
			}
		}
	}
	if n := s.Refused(); n[limit.NoPermission] == 0 || n[limit.WrongPassword] != 0 {
		t.Errorf("counted: %v", n)
	}
	// Of the list, readers see what they may read.
	r := request("GET", "/api/v1/streams", "", "Authorization: Bearer token-reader")
	var list []Stream
	if w := send(s, r); json.Unmarshal(w.Body.Bytes(), &list) != nil || len(list) != 1 || list[0].Name != "front_door" {
		t.Errorf("the list of reader: %s", w.Body)
	}
}

// checkChallenge checks whether an answer makes browsers ask for a name and a password.
func checkChallenge(t *testing.T, what string, w *httptest.ResponseRecorder, want bool) {
	t.Helper()
	challenge := strings.Join(w.Header().Values("WWW-Authenticate"), ",")
	if basic, bearer := strings.Contains(challenge, "Basic realm"), strings.Contains(challenge, "Bearer realm"); basic != want || bearer != want {
		t.Errorf("%s: %d with the challenge %q", what, w.Code, challenge)
	}
}

// Guesses at tokens are limited like those at passwords, and nobody's password suffers.
func TestTokensAreGuarded(t *testing.T) {
	s := newServer(t, Config{Auth: &users{list: map[string][]string{"viewer:right": {"status"}, "obs:x": {"status"}}}})
	bearer := func(token string) int { return send(s, request("GET", "/", "", "Authorization: bearer "+token)).Code }
	for i := range 10 {
		if code := bearer("token-obs"); code != 200 {
			t.Fatalf("the right token, %d: %d", i, code)
		}
	}
	for i := range 12 {
		want := http.StatusUnauthorized
		if i >= 10 {
			want = http.StatusTooManyRequests
		}
		if code := bearer(strings.Repeat("x", i)); code != want {
			t.Errorf("guess %d: %d", i, code)
		}
	}
	if code := bearer("token-obs"); code != 200 {
		t.Errorf("the right token among guesses: %d", code)
	}
	if code := get(s, "GET", "/", "viewer:right").Code; code != 200 {
		t.Errorf("a password among guesses at tokens: %d", code)
	}
	for _, header := range []string{"Bearer", "Bearer ", "Digest x", "Basic !", "token-obs"} {
		if w := send(s, request("GET", "/", "", "Authorization: "+header)); w.Code == 200 {
			t.Errorf("%q is let in", header)
		}
	}
}
