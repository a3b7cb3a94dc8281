package limit

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
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

func TestOutlastsExhaustion(t *testing.T) {
	n := newNetwork()
	n.err = &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	l := New(n, Config{Total: 1, Host: 1})
	result := make(chan error, 1)
	accept := func() { go func() { _, err := l.Accept(); result <- err }() }
	accept()
	n.come <- nil
	n.dial("10.0.0.1")
	if err := <-result; err != nil {
		t.Errorf("Accept: %v", err)
	}
	accept()
	n.come <- nil
	_ = l.Close()
	if err := <-result; err == nil {
		t.Error("Accept goes on after Close")
	}
	n.err = errors.New("broken")
	l = New(newNetwork(), Config{})
	l.Listener.(*network).err = n.err
	accept()
	l.Listener.(*network).come <- nil
	if err := <-result; !errors.Is(err, n.err) {
		t.Errorf("Accept: %v", err)
	}
}
