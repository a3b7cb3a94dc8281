package browser_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"rave/bench/browser"
	"rave/bench/peer"
)

// The first question for a user and a password is answered, others are cancelled and counted.
func TestLogIn(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "viewer" || password != "right" || r.URL.Path == "/secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	b, err := browser.Start(browser.Config{Path: peer.Need(t, peer.Chromium)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := b.Open(ctx, "about:blank#x", browser.Look{Width: 100, Height: 100})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LogIn(ctx, "viewer", "right"); err != nil {
		t.Fatal(err)
	}
	if err := p.Go(ctx, server.URL+"/"); err != nil {
		t.Fatal(err)
	}
	var codes []int
	const ask = `(async () => [(await fetch("/")).status, (await fetch("/secret")).status])()`
	if err := p.Run(ctx, ask, &codes); err != nil || len(codes) != 2 || codes[0] != 200 || codes[1] != 401 {
		t.Errorf("the page is answered %v, %v", codes, err)
	}
	if n := p.Asked(); n != 2 {
		t.Errorf("the browser has asked %d times; it should for the page, and for what the user may not see", n)
	}
}
