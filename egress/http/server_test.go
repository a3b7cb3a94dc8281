package web

import (
	"bufio"
	"bytes"
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
		fmt.Fprintf(waiting, "GET /api/v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
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
	if err := s.Err(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Err after Close: %v", err)
	}
	if err := s.Run(t.Context()); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
}

// TestEndsByItself has the port closed behind the server's back: that is no orderly end.
func TestEndsByItself(t *testing.T) {
	s, ran := start(t.Context(), t, Config{})
	if err := s.Err(); err != nil {
		t.Errorf("at first: %v", err)
	}
	_ = s.listener.Listener.Close()
	if err := <-ran; !errors.Is(err, net.ErrClosed) || !errors.Is(s.Err(), net.ErrClosed) {
		t.Errorf("Run: %v; Err: %v", err, s.Err())
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

// network makes connections from 127.0.0.N look as if they came from 10.0.0.N, but for N=1.
type network struct{ net.Listener }

func (n network) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err != nil {
		return nil, err
	}
	addr := *c.RemoteAddr().(*net.TCPAddr)
	if ip := addr.IP.To4(); ip[3] != 1 {
		addr.IP = net.IPv4(10, 0, 0, ip[3])
	}
	return stranger{c, &addr}, nil
}

type stranger struct {
	net.Conn
	from net.Addr
}

func (s stranger) RemoteAddr() net.Addr { return s.from }

// dialFrom connects from 127.0.0.n.
func dialFrom(t *testing.T, s *Server, n byte) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, n)}}
	c, err := d.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// healthy asks for /healthz from 127.0.0.n.
func healthy(t *testing.T, s *Server, n byte) bool {
	t.Helper()
	c := dialFrom(t, s, n)
	defer c.Close()
	fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	answer, err := io.ReadAll(c)
	if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) && !bytes.Contains(answer, []byte("too many")) {
		t.Errorf("neither served nor refused clearly: %q, %v", answer, err)
	}
	return bytes.HasPrefix(answer, []byte("HTTP/1.1 200 "))
}

// Connections that say nothing keep neither other hosts nor this machine from the health check, and not for long.
func TestIdleConnectionsDoNotBlockHealthChecks(t *testing.T) {
	s, stop := startAmongStrangers(t, time.Hour) // none is cut, however slow the machine is
	defer stop()
	for range maxOfHost {
		dialFrom(t, s, 2)
	}
	if healthy(t, s, 2) {
		t.Errorf("one host has more than %d connections", maxOfHost)
	}
	if !healthy(t, s, 3) {
		t.Error("another host is kept from the health check")
	}
	for n := byte(3); n < 3+MaxConnections/maxOfHost; n++ {
		for range maxOfHost {
			dialFrom(t, s, n)
		}
	}
	if healthy(t, s, 100) {
		t.Errorf("there are more than %d connections", MaxConnections)
	}
	if !healthy(t, s, 1) {
		t.Error("strangers keep this machine from the health check")
	}
}

// Connections that say nothing are cut, each of them, and their places come back.
func TestIdleConnectionsAreCut(t *testing.T) {
	s, stop := startAmongStrangers(t, 300*time.Millisecond)
	defer stop()
	var silent []net.Conn
	for range maxOfHost {
		silent = append(silent, dialFrom(t, s, 2))
	}
	for i, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the %d. silent connection is never cut", i)
		}
	}
	for began := time.Now(); !healthy(t, s, 2); time.Sleep(20 * time.Millisecond) { // the server hangs up before it counts
		if time.Since(began) > 10*time.Second {
			t.Fatal("places of silent connections never come back")
		}
	}
}

// startAmongStrangers runs a server on the network.
func startAmongStrangers(t *testing.T, headerTimeout time.Duration) (s *Server, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s = newServer(t, Config{})
	s.listener.Listener = network{s.listener.Listener}
	s.http.ReadHeaderTimeout = headerTimeout
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	return s, func() {
		cancel()
		ended(t, ran, 2*time.Second)
	}
}
