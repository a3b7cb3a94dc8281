package limit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rave/bench/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// network is a net.Listener to which connections come from any address; a nil connection is an error.
type network struct {
	come   chan net.Conn
	closed chan struct{}
	err    error
}

func newNetwork() *network { return &network{come: make(chan net.Conn), closed: make(chan struct{})} }

func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.come:
		if c == nil {
			return nil, n.err
		}
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}
func (n *network) Close() error   { close(n.closed); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{Port: 1} }

// end is the server's end of a connection.
type end struct {
	net.Conn
	from net.Addr
}

func (e end) RemoteAddr() net.Addr { return e.from }

// dial connects from an address; the client's end comes back.
func (n *network) dial(from string) net.Conn {
	client, server := net.Pipe()
	n.come <- end{server, &net.TCPAddr{IP: net.ParseIP(from), Port: 4711}}
	return client
}

func refused(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestBounds(t *testing.T) {
	n := newNetwork()
	var log bytes.Buffer
	refusals := NewRefusals(slog.New(slog.NewTextHandler(&log, nil)))
	defer refusals.Close()
	l := New(n, Config{Total: 4, Host: 2, Refusals: refusals, Answer: func(reason string) string { return "no: " + reason }})
	accepted := make(chan net.Conn, 64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	served := map[string]net.Conn{} // one of each, the server's end
	for _, s := range []struct {
		from    string
		refused bool
	}{
		{"10.0.0.1", false}, {"10.0.0.1", false}, {"10.0.0.1", true}, {"::ffff:10.0.0.1", true},
		{"2001:db8::1", false}, {"2001:db8::2", false}, {"2001:db8::2:3", true}, // one network of 64 bits
		{"10.0.0.2", true}, // all
		// This machine's are not counted with those: each address has as many as all strangers, together twice that.
		{"127.0.0.1", false}, {"127.0.0.1", false}, {"127.0.0.1", false}, {"127.0.0.1", false}, {"127.0.0.1", true},
		{"127.0.0.2", false}, {"::1", false}, {"127.0.0.2", false}, {"127.0.0.3", false}, {"127.0.0.3", true},
	} {
		c := n.dial(s.from)
		if got := refused(c); got != s.refused {
			t.Errorf("%s refused: %v, want %v", s.from, got, s.refused)
		} else if !got {
			served[s.from] = <-accepted
		}
	}
	for range 2 { // a second Close counts no second time
		_ = served["10.0.0.1"].Close()
	}
	if refused(n.dial("10.0.0.2")) || !refused(n.dial("10.0.0.3")) {
		t.Error("one that left makes room for one")
	}
	told, err := io.ReadAll(n.dial("2001:db8::9"))
	if err != nil || string(told) != "no: connections refused: too many of one host at once" {
		t.Errorf("a refused client is told %q, %v", told, err)
	}
	_ = l.Close()
	<-ended
	if s := log.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "too many of one host") || !strings.Contains(s, "10.0.0.1:4711") {
		t.Errorf("one line for each reason: %s", s)
	}
	if c := refusals.Counts(); c[ManyOfHost] != 5 || c[ManyInAll] != 3 {
		t.Errorf("counted: %v", c)
	}
}

// Whatever the system says when connections are accepted, but that the listener is closed, may pass. Until it has, Err
// says it, and the log does, once a second.
func TestOutlastsErrors(t *testing.T) {
	for name, err := range map[string]error{
		"no descriptors": os.NewSyscallError("accept4", syscall.EMFILE), "firewall": os.NewSyscallError("accept4", syscall.EPERM),
		"no memory": os.NewSyscallError("accept4", syscall.ENOBUFS), "unknown": errors.New("broken"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const lasts = 10
				n := newNetwork()
				n.err = &net.OpError{Op: "accept", Err: err}
				var log bytes.Buffer
				l := New(n, Config{Total: 2, Host: 2, Log: slog.New(slog.NewJSONHandler(&log, nil))})
				accepted := make(chan error)
				go func() {
					for more := true; more; {
						_, err := l.Accept()
						more = err == nil
						accepted <- err
					}
				}()
				began := time.Now()
				for time.Since(began) < lasts*time.Second {
					n.come <- nil
					synctest.Wait()
					if e := l.Err(); !errors.Is(e, err) {
						t.Fatalf("Err: %v", e)
					}
				}
				n.dial("10.0.0.1")
				if err := <-accepted; err != nil {
					t.Fatalf("Accept: %v", err)
				}
				time.Sleep(time.Second)
				if err := l.Err(); err != nil {
					t.Errorf("Err when it is over: %v", err)
				}
				n.come <- nil
				_ = l.Close()
				if err := <-accepted; !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept after Close: %v", err)
				}
				lines, count := 0, 0
				for dec := json.NewDecoder(&log); dec.More(); lines++ {
					var line struct{ Count int }
					if err := dec.Decode(&line); err != nil {
						t.Fatal(err)
					}
					count += line.Count
				}
				if lines < lasts || lines > lasts+2 || count < 10*(lasts-1) {
					t.Errorf("%d lines tell of %d failures in %d s", lines, count, lasts)
				}
			})
		})
	}
}

// A listener that is closed behind its back says so.
func TestClosedBehindItsBack(t *testing.T) {
	n := newNetwork()
	l := New(n, Config{})
	_ = n.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}
