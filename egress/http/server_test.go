package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// start runs a server and returns it with what its Run will return.
func start(ctx context.Context, t *testing.T, cfg Config) (*Server, <-chan error) {
	t.Helper()
	s := newServer(t, cfg)
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	return s, ran
}

func ended(t *testing.T, ran <-chan error, within time.Duration) {
	t.Helper()
	select {
	case err := <-ran:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(within):
		t.Fatalf("the server still runs after %v", within)
	}
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, ran := start(ctx, t, Config{})
	c := dial(t, s)
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != "ok\n" {
		t.Errorf("got %q", body)
	}
	cancel()
	ended(t, ran, time.Second)
}

// TestEndsWithSlowVisitors has every kind of connection that a shutdown waits for.
func TestEndsWithSlowVisitors(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	entered := make(chan struct{}, 1)
	hangs := func() Status {
		entered <- struct{}{}
		<-release
		return Status{}
	}
	for _, end := range []string{"context", "Close"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, ran := start(ctx, t, Config{Status: hangs})
		silent, slow, waiting := dial(t, s), dial(t, s), dial(t, s)
		fmt.Fprintf(slow, "GET / HTTP/1.1\r\nHost: ")
		fmt.Fprintf(waiting, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		began := time.Now()
		if end == "context" {
			cancel()
		} else if err := s.Close(); err != nil {
			t.Error(err)
		}
		ended(t, ran, 2*time.Second)
		t.Logf("%s: ended after %v", end, time.Since(began))
		for i, c := range []net.Conn{silent, slow, waiting} {
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: connection %d is still open", end, i)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
}

func TestCloseWithoutRun(t *testing.T) {
	s := newServer(t, Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	if err := s.Run(t.Context()); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
}

// TestSlowRequestIsCut sends a header byte by byte.
func TestSlowRequestIsCut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := newServer(t, Config{})
	if h := s.http; h.ReadHeaderTimeout <= 0 || h.ReadTimeout <= 0 || h.WriteTimeout <= 0 || h.IdleTimeout <= 0 {
		t.Error("a timeout is missing")
	}
	s.http.ReadHeaderTimeout = 100 * time.Millisecond
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	c := dial(t, s)
	cut := make(chan struct{})
	go func() {
		defer close(cut)
		_, _ = io.Copy(io.Discard, c)
	}()
	fmt.Fprint(c, "GET / HTTP/1.1\r\n")
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		fmt.Fprint(c, "a")
		select {
		case <-cut:
		default:
			if time.Since(began) < 5*time.Second {
				continue
			}
			t.Error("a slow request is never cut")
		}
		break
	}
	cancel()
	ended(t, ran, 2*time.Second)
}

func TestLongHeaderIsRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, ran := start(ctx, t, Config{})
	c := dial(t, s)
	go func() {
		_, _ = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %v, %v", resp, err)
	}
	c.Close()
	cancel()
	ended(t, ran, 2*time.Second)
}

func TestConnectionsAreLimited(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, ran := start(ctx, t, Config{})
	var held []net.Conn
	for range maxConnections {
		held = append(held, dial(t, s))
	}
	ask := func(wait time.Duration) bool {
		c := dial(t, s)
		defer c.Close()
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		_ = c.SetReadDeadline(time.Now().Add(wait))
		n, _ := c.Read(make([]byte, 1))
		return n == 1
	}
	if ask(200 * time.Millisecond) {
		t.Errorf("more than %d connections are served", maxConnections)
	}
	held[0].Close()
	held[1].Close()
	if !ask(2 * time.Second) {
		t.Error("a visitor is not served after others have left")
	}
	cancel()
	ended(t, ran, 2*time.Second)
}
