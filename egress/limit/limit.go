// Package limit bounds what strangers can take of a server: connections (Listener) and guesses at passwords (Guard);
// and it counts what was refused (Refusals).
//
// A connection beyond a bound is accepted, told so and closed at once: its client sees that it was refused, and the
// listener's queue never fills with connections that nobody serves. Who closes: the server closes the connections that
// it was given, and the Listener.
package limit

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Config bounds a Listener. Connections from loopback addresses are counted apart: each such address may have Total, all
// of them twice as many. They are the machine's own health checks and proxies, which strangers must not shut out.
type Config struct {
	Total    int                        // connections at once
	Host     int                        // of one host
	Refusals *Refusals                  // told of refused connections; may be nil
	Answer   func(reason string) string // what a refused client is told, short; nil: nothing
	Log      *slog.Logger               // told when connections cannot be accepted; may be nil
}

// Listener is a net.Listener with bounds. It outlasts whatever keeps the system from accepting for a while.
type Listener struct {
	net.Listener
	cfg    Config
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	hosts map[netip.Prefix]int // connections by host
	all   map[bool]int         // connections in all; true: from loopback

	err    error     // the last that accepting has met
	errAt  time.Time // when
	said   time.Time // when one was logged last
	unsaid int       // how many have come since
}

const (
	retryEvery = 100 * time.Millisecond // while accepting fails
	sayEvery   = time.Second            // while it goes on failing
)

// New bounds l, which is closed with the Listener.
func New(l net.Listener, cfg Config) *Listener {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{Listener: l, cfg: cfg, closed: make(chan struct{}), hosts: map[netip.Prefix]int{}, all: map[bool]int{}}
}

// Accept returns the next connection within the bounds. Its only error is net.ErrClosed: whatever else the system says
// may pass, as when it has no file descriptors left.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			if l.failed(err); !l.pause() {
				return nil, net.ErrClosed
			}
			continue
		}
		host := Host(c.RemoteAddr())
		reason := l.take(host)
		if reason == "" {
			return &conn{Conn: c, release: sync.OnceFunc(func() { l.release(host) })}, nil
		}
		l.refuse(c, reason)
	}
}

// failed notes that accepting has failed and says so, once a second at most.
func (l *Listener) failed(err error) {
	l.mu.Lock()
	l.err, l.errAt = err, time.Now()
	l.unsaid++
	n := l.unsaid
	say := time.Since(l.said) >= sayEvery
	if say {
		l.said, l.unsaid = time.Now(), 0
	}
	l.mu.Unlock()
	if say {
		l.cfg.Log.Warn("cannot accept connections for the moment", "address", l.Addr().String(), "error", err, "count", n)
	}
}

// Err returns why connections are not accepted at the moment; nil if they are.
func (l *Listener) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.errAt) > 2*retryEvery { // no attempt has failed since: they wait for a connection
		return nil
	}
	return l.err
}

// pause waits a little; false: the Listener has been closed.
func (l *Listener) pause() bool {
	select {
	case <-time.After(retryEvery):
		return true
	case <-l.closed:
		return false
	}
}

// Close ends Accept. Connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// take counts a connection, or says why there may be no more.
func (l *Listener) take(host netip.Prefix) (reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	local := isLocal(host)
	ofHost, inAll := l.cfg.Host, l.cfg.Total
	if local {
		ofHost, inAll = l.cfg.Total, 2*l.cfg.Total
	}
	switch {
	case l.hosts[host] >= ofHost:
		return ManyOfHost
	case l.all[local] >= inAll:
		return ManyInAll
	}
	l.hosts[host]++
	l.all[local]++
	return ""
}

// refuse tells the client, which takes no time: the few bytes fit into the new socket's buffer.
func (l *Listener) refuse(c net.Conn, reason string) {
	message := "connections refused: too many at once"
	if reason == ManyOfHost {
		message = "connections refused: too many of one host at once"
	}
	l.cfg.Refusals.Add(reason, message, "address", l.Addr().String(), "from", c.RemoteAddr().String())
	if l.cfg.Answer != nil {
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, _ = io.WriteString(c, l.cfg.Answer(message)) // a courtesy
	}
	_ = c.Close()
}

func (l *Listener) release(host netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[isLocal(host)]--
	if l.hosts[host]--; l.hosts[host] == 0 {
		delete(l.hosts, host)
	}
}

type conn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// Host returns what counts as one host: an IPv4 address, a loopback address, or the 64 bits of an IPv6 address that a
// provider gives to one customer at least (RFC 6177 section 2). It is the zero Prefix for what is no IP address.
func Host(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	return netip.PrefixFrom(ip, bits).Masked()
}

// isLocal reports whether a host is this machine.
func isLocal(host netip.Prefix) bool { return !host.IsValid() || host.Addr().IsLoopback() }
