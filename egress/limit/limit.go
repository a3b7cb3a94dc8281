// Package limit bounds how many connections a TCP server has at once.
//
// A connection beyond a bound is accepted and closed at once: its client sees that it was refused, and the listener's
// queue never fills with connections that nobody serves. Who closes: the server closes the connections that it was
// given, and the Listener.
package limit

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Config bounds a Listener. Connections from loopback addresses are counted apart, up to Total of their own, and not
// by host: they are the machine's own health checks and proxies, which neither strangers nor each other may shut out.
type Config struct {
	Total int          // connections at once
	Host  int          // of one host
	Log   *slog.Logger // told of refused connections, at most once a second; nil: nothing is logged
}

// Listener is a net.Listener with bounds. It outlasts moments in which the system has no file descriptors left.
type Listener struct {
	net.Listener
	cfg    Config
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	hosts   map[netip.Prefix]int // connections by host; those of loopback are under the zero Prefix
	remote  int                  // connections that are not of loopback
	refused int                  // since said
	said    time.Time
}

// New bounds l, which is closed with the Listener.
func New(l net.Listener, cfg Config) *Listener {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Listener{Listener: l, cfg: cfg, closed: make(chan struct{}), hosts: map[netip.Prefix]int{}}
}

// Accept returns the next connection within the bounds.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		switch {
		case err == nil:
		case exhausted(err) && l.pause():
			l.cfg.Log.Warn("cannot accept connections for the moment", "address", l.Addr().String(), "error", err)
			continue
		default:
			return nil, err
		}
		host := Host(c.RemoteAddr())
		if l.take(host) {
			return &conn{Conn: c, release: sync.OnceFunc(func() { l.release(host) })}, nil
		}
		_ = c.Close()
	}
}

// exhausted reports that the process or the system has run out of something that others will give back.
func exhausted(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause waits a little; false: the Listener has been closed.
func (l *Listener) pause() bool {
	select {
	case <-time.After(100 * time.Millisecond):
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

func (l *Listener) take(host netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, most, reason := l.hosts[host], l.cfg.Host, "too many connections of one host"
	if !host.IsValid() {
		most, reason = l.cfg.Total, "too many connections of this machine"
	} else if l.remote >= l.cfg.Total {
		most, reason = 0, "too many connections"
	}
	if n >= most {
		l.refuse(host, reason)
		return false
	}
	l.hosts[host]++
	if host.IsValid() {
		l.remote++
	}
	return true
}

// refuse needs mu.
func (l *Listener) refuse(host netip.Prefix, reason string) {
	l.refused++
	if time.Since(l.said) < time.Second {
		return
	}
	from := "loopback"
	if host.IsValid() {
		from = host.String()
	}
	l.cfg.Log.Warn("connections refused: "+reason, "address", l.Addr().String(), "from", from, "count", l.refused)
	l.refused, l.said = 0, time.Now()
}

func (l *Listener) release(host netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if host.IsValid() {
		l.remote--
	}
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

// Host returns what counts as one host: an IPv4 address, or the 64 bits of an IPv6 address that a provider gives to one
// customer at least (RFC 6177 section 2). It is the zero Prefix for loopback and for what is no IP address.
func Host(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	if !ip.IsValid() || ip.IsLoopback() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(ip, bits).Masked()
}
