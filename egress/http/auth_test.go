package web

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Names that nobody has are guesses, too: they count together, and do not make the server forget a guesser.
func TestInventedNamesAreGuesses(t *testing.T) {
	const names = 5000
	u := &users{list: map[string][]string{"viewer:right": {"status"}, "other:right": {"status"}}}
	s := newServer(t, Config{Auth: u})
	s.gate.Load().delay = 0
	guess := func(name string, i int) int { return get(s, "GET", "/", fmt.Sprintf("%s:%d", name, i)).Code }
	for i := range 10 {
		if code := guess("viewer", i); code != http.StatusUnauthorized {
			t.Fatalf("guess %d: %d", i, code)
		}
	}
	u.asked.Store(0)
	for i := range names {
		if code, barred := guess(fmt.Sprint("nobody", i), i), i >= 10; (code == http.StatusTooManyRequests) != barred {
			t.Fatalf("name %d: %d", i, code)
		}
	}
	if n := u.asked.Load(); n != 10 {
		t.Errorf("%d invented names are looked up", n)
	}
	if code := guess("viewer", names); code != http.StatusTooManyRequests {
		t.Errorf("the guesser is not barred any more: %d", code)
	}
	if code := get(s, "GET", "/", "other:right").Code; code != http.StatusOK {
		t.Errorf("another user: %d", code)
	}
}

// A known user who lacks a permission may log in as another one where a page is opened, and is not asked to by what a page
// does behind his back. What he may do tells him RAVE's time.
func TestKnownUsersAreNotAskedAgain(t *testing.T) {
	cfg := full()
	cfg.Auth = &users{list: map[string][]string{"reader:pw": {"read"}, "watcher:pw": {"status"}}}
	s := newServer(t, cfg)
	for _, c := range []struct {
		who, path string
		headers   []string
		code      int
	}{
		{"reader", "/api/v1/status", nil, 403},
		{"reader", "/api/v1/status", []string{"Sec-Fetch-Mode: cors", "Accept: */*"}, 403},
		{"reader", "/api/v1/status", []string{"Sec-Fetch-Mode: navigate"}, 401},
		{"reader", "/api/v1/status", []string{"Accept: text/html,application/xhtml+xml,*/*;q=0.8"}, 401}, // by plain HTTP
		{"reader", "/api/v1/status", []string{"Sec-Fetch-Mode: no-cors", "Accept: text/html"}, 403},
		{"watcher", "/api/v1/streams/front_door/snapshot.jpg", []string{"Sec-Fetch-Mode: cors"}, 403},
		{"watcher", "/front_door/publish", []string{"Sec-Fetch-Mode: navigate"}, 401},
	} {
		w := send(s, request("GET", c.path, "", append(c.headers, "Authorization: Bearer token-"+c.who)...))
		what := fmt.Sprint(c.path, " as ", c.who, c.headers)
		if w.Code != c.code {
			t.Errorf("%s: %d", what, w.Code)
		}
		checkProblem(t, what, w, "user "+c.who+" lacks the permission", "log in as another user")
		checkChallenge(t, what, w, c.code == 401)
	}
	before := time.Now()
	w := send(s, request("HEAD", "/api/v1/streams", "", "Authorization: Bearer token-reader"))
	told, err := time.Parse(time.RFC3339Nano, w.Header().Get("Rave-Time"))
	if err != nil || w.Code != 200 || told.Before(before.Truncate(0)) || told.After(time.Now()) {
		t.Errorf("a reader asks for the time: %d %v, %v", w.Code, w.Header(), err)
	}
}
