package web

import (
	"fmt"
	"net/http"
	"testing"
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
