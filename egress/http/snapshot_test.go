package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestSnapshot(t *testing.T) {
	type asked struct {
		name, variant string
		width         int
	}
	var got asked
	var fails error
	cfg := Config{Snapshot: func(_ context.Context, name, variant string, width int) (Snapshot, error) {
		got = asked{name, variant, width}
		return Snapshot{JPEG: []byte("jpeg"), Age: 12345 * time.Microsecond, Enhancer: "live-x2"}, fails
	}}
	s := newServer(t, cfg)
	for _, c := range []struct {
		query string
		fails error
		code  int
		asked asked
		says  string
	}{
		{"", nil, 200, asked{"cam", "enhanced", 0}, ""},
		{"?variant=original&width=320", nil, 200, asked{"cam", "original", 320}, ""},
		{"?variant=compare", nil, 200, asked{"cam", "compare", 0}, ""},
		{"?variant=other", nil, 400, asked{}, "enhanced, original and compare"},
		{"?width=0", nil, 400, asked{}, "16 to 7680"},
		{"?width=1e9", nil, 400, asked{}, "16 to 7680"},
		{"", errors.New("no picture yet: its camera is away"), 503, asked{"cam", "enhanced", 0}, "its camera is away"},
		{"", errors.New("worker died"), 503, asked{"cam", "enhanced", 0}, "worker died"},
		{"", fmt.Errorf("cam: %w", ErrNoStream), 404, asked{"cam", "enhanced", 0}, `"cam"`},
	} {
		got, fails = asked{}, c.fails
		w := send(s, request("GET", "/api/v1/streams/cam/snapshot.jpg"+c.query, ""))
		if w.Code != c.code || got != c.asked {
			t.Errorf("%q: %d, asked for %+v", c.query, w.Code, got)
		}
		h := w.Header()
		if c.code != 200 {
			checkProblem(t, c.query, w, c.says)
		} else if w.Body.String() != "jpeg" || h.Get("Content-Type") != "image/jpeg" || h.Get("Rave-Frame-Age-Ms") != "12.3" ||
			h.Get("Rave-Enhancer") != "live-x2" {
			t.Errorf("%q: %v %s", c.query, h, w.Body)
		}
	}
	if w := send(newServer(t, Config{}), request("GET", "/api/v1/streams/cam/snapshot.jpg", "")); w.Code != 404 {
		t.Errorf("without snapshots: %d", w.Code)
	}
}

// Many ask at once: a few pictures are made at a time, and who has gone waits no more.
func TestSnapshotsAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	s := newServer(t, Config{Snapshot: func(context.Context, string, string, int) (Snapshot, error) {
		entered <- struct{}{}
		<-leave
		return Snapshot{JPEG: []byte("jpeg")}, nil
	}})
	ask := func(ctx context.Context) <-chan *httptest.ResponseRecorder {
		done := make(chan *httptest.ResponseRecorder, 1)
		go func() { done <- send(s, request("GET", "/api/v1/streams/cam/snapshot.jpg", "").WithContext(ctx)) }()
		return done
	}
	var first []<-chan *httptest.ResponseRecorder
	for range mostSnapshots {
		first = append(first, ask(t.Context()))
	}
	for range mostSnapshots {
		<-entered
	}
	ctx, cancel := context.WithCancel(t.Context())
	late := ask(ctx)
	cancel()
	if w := <-late; w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d", w.Code)
	}
	close(leave)
	for _, done := range first {
		if w := <-done; w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
	}
	if len(entered) != 0 {
		t.Error("a picture was made for somebody who had gone")
	}
}
