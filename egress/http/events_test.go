package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// follow asks for the events and returns the connection and what it answers.
func follow(t *testing.T, s *Server, headers ...string) (net.Conn, *http.Response) {
	t.Helper()
	c := dial(t, s)
	_ = c.SetDeadline(time.Now().Add(20 * time.Second)) // events that never end fail a test, and do not hold it up
	fmt.Fprintf(c, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n%s\r\n", strings.Join(append(headers, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, resp
}

// next reads one event.
func next(r *bufio.Reader) (list []Stream, err error) {
	event, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	data, _ := r.ReadString('\n')
	end, err := r.ReadString('\n')
	if event != "event: streams\n" || !strings.HasPrefix(data, "data: ") || end != "\n" {
		return nil, fmt.Errorf("not an event: %q %q %q, %w", event, data, end, err)
	}
	return list, json.Unmarshal([]byte(data[len("data: "):]), &list)
}

// counting numbers each status in its stream's name.
func counting() func() Status {
	var n atomic.Int64
	return func() Status { return Status{Streams: []Stream{{Name: "cam", Reconnects: n.Add(1)}}} }
}

// Events go on past every timeout of a request, each with the state as it is then, and end with the server at once.
func TestEvents(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := newServer(t, Config{Status: counting()})
	s.http.ReadTimeout, s.http.WriteTimeout, s.http.IdleTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	_, resp := follow(t, s)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	body, last := bufio.NewReader(resp.Body), int64(0)
	for i := range 3 {
		list, err := next(body)
		if err != nil || len(list) != 1 || list[0].Reconnects <= last {
			t.Fatalf("event %d: %+v, %v", i, list, err)
		}
		last = list[0].Reconnects
	}
	if n := len(s.followers); n != 1 {
		t.Errorf("%d follow", n)
	}
	cancel()
	ended(t, ran, 2*time.Second)
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Errorf("the events were cut and did not end: %v", err)
	}
	if n := len(s.followers); n != 0 {
		t.Errorf("%d follow a server that has ended", n)
	}
}

// A page that takes nothing costs itself: it is cut, others get theirs meanwhile, and the server ends in time beside it.
func TestEventsOfASlowPage(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	big := []Stream{{Name: "cam", Reason: strings.Repeat("x", 4<<20)}} // more than sockets hold
	s, ran := start(ctx, t, Config{Status: func() Status { return Status{Streams: big} }})
	c := dial(t, s)
	fmt.Fprint(c, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n") // and reads nothing
	for began := time.Now(); len(s.followers) == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("nobody follows")
		}
	}
	_, resp := follow(t, s)
	body := bufio.NewReader(resp.Body)
	for i := range 2 {
		if list, err := next(body); err != nil || len(list) != 1 {
			t.Fatalf("event %d beside a slow page: %v", i, err)
		}
	}
	began := time.Now()
	cancel()
	ended(t, ran, 2*time.Second)
	t.Logf("ended after %v", time.Since(began))
}

// Who does not take an event is cut after a while.
func TestSlowPageIsCut(t *testing.T) {
	s := newServer(t, Config{Status: counting()})
	w := &stuckWriter{header: http.Header{}}
	r := request("GET", "/api/v1/events", "")
	s.http.Handler.ServeHTTP(w, r)
	if left := time.Until(w.deadline); left <= 0 || left > eventTimeout {
		t.Errorf("its write may take %v", left)
	}
	if len(s.followers) != 0 {
		t.Error("it counts as one who follows")
	}
}

// stuckWriter fails as a connection does whose deadline has passed.
type stuckWriter struct {
	header   http.Header
	deadline time.Time
}

func (w *stuckWriter) Header() http.Header                 { return w.header }
func (w *stuckWriter) WriteHeader(int)                     {}
func (w *stuckWriter) Write([]byte) (int, error)           { return 0, os.ErrDeadlineExceeded }
func (w *stuckWriter) SetWriteDeadline(at time.Time) error { w.deadline = at; return nil }

// There are places for so many; one more is told so, and a place comes back when a page goes.
func TestFollowersAreBounded(t *testing.T) {
	s, ran := start(t.Context(), t, Config{Status: counting()})
	for range mostFollow - 1 {
		s.followers <- struct{}{}
	}
	last, resp := follow(t, s)
	if resp.StatusCode != 200 {
		t.Errorf("the last place: %d", resp.StatusCode)
	}
	w := send(s, request("GET", "/api/v1/events", ""))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
		t.Errorf("one more: %d", w.Code)
	}
	checkProblem(t, "one more", w, fmt.Sprint(mostFollow))
	_ = last.Close()
	for began := time.Now(); len(s.followers) == mostFollow; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("a page has gone, and its place is still taken")
		}
	}
	for range mostFollow - 1 {
		<-s.followers
	}
	if w := send(s, request("HEAD", "/api/v1/events", "")); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d", w.Code)
	}
	_ = s.Close()
	ended(t, ran, 2*time.Second)
}

// Each sees what he may see, as long as he may: other users end the events.
func TestEventsFollowTheUsers(t *testing.T) {
	auth := &users{list: map[string][]string{"reader:pw": {"read:front_door"}, "viewer:pw": {"status"}}}
	s, ran := start(t.Context(), t, Config{Auth: auth})
	for user, want := range map[string]int{"reader": 1, "viewer": 4} {
		_, resp := follow(t, s, "Authorization: Bearer token-"+user)
		body := bufio.NewReader(resp.Body)
		list, err := next(body)
		if err != nil || len(list) != want {
			t.Errorf("%s: %d streams, %v", user, len(list), err)
		}
		s.SetAuth(auth)
		for err == nil {
			_, err = next(body)
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, resp := follow(t, s); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a stranger: %d", resp.StatusCode)
	}
	_ = s.Close()
	ended(t, ran, 2*time.Second)
}

// However many follow, the state is made once for all of them.
func TestStateIsShared(t *testing.T) {
	var n int
	l := live{status: func() Status { n++; return Status{Streams: []Stream{{Name: "cam"}}} }}
	for range 1000 {
		if streams, text, err := l.now(); err != nil || len(streams) != 1 || len(text) == 0 {
			t.Fatal(err)
		}
	}
	if n > 3 { // a slow machine may need more than a period
		t.Errorf("it was made %d times", n)
	}
	before := n
	l.at = l.at.Add(-eventPeriod)
	if _, _, err := l.now(); err != nil || n != before+1 {
		t.Errorf("it is not made anew: %v", err)
	}
}
