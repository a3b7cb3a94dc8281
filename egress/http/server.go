package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/egress/limit"
	"rave/engine/problem"
)

// Config is what a Server needs. Status is required.
type Config struct {
	Listen   string              // TCP address
	Auth     Auth                // nil: everybody may look
	Log      *slog.Logger        // nil: silent
	Gatherer prometheus.Gatherer // nil: no /metrics
	// Certificate is for HTTPS; nil: plain HTTP.
	Certificate *tls.Certificate
	Status      func() Status // called for each request, from several goroutines

	Hosts   []string // names of this server beside its addresses and names of the local network (see knownHost)
	Origins []string // of other sites' pages that may use the API: "https://example.org", or "*" for all

	// WHEP and WHIP return who answers for the path NAME or, WHEP only, NAME/original; nil if there is no such stream. They
	// are called from several goroutines. Without the function there is no route.
	WHEP, WHIP func(path string) MediaHandler
	// Snapshot returns the latest frame of a stream, as it is or, with a width, no wider. It has until ctx ends. Its errors
	// are ErrNoStream, and any other, which names the stream, for no picture at the moment. nil: there is no route.
	Snapshot func(ctx context.Context, name, variant string, width int) (Snapshot, error)
	Cameras  Cameras // nil: cameras cannot be added
}

// Bounds on what visitors can take: connections, bytes and time. A visitor that sends its first request slowly or not
// at all is cut off after headerTimeout. One host can take a quarter of the connections, and none of those that are
// kept for this machine's own health checks and proxies (see package limit). An open page keeps one connection most of
// the time and takes up to four when it loads.
const (
	MaxConnections = 256
	maxOfHost      = 64 // some dozens of browsers behind one address
	maxHeader      = 16 << 10
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 10 * time.Second
	closeTimeout   = time.Second
	maxRequests    = 64 // at once of one connection, with HTTP/2
)

// Server serves the status. Make one with New.
type Server struct {
	cfg       Config
	gate      atomic.Pointer[gate]
	grants    grants
	refusals  *limit.Refusals
	ui        ui
	hosts     hosts
	origins   origins
	ownPages  *http.CrossOriginProtection
	cert      atomic.Pointer[tls.Certificate]
	snapshots chan struct{} // holds one for each that is being made
	followers chan struct{} // and one for each that follows the streams
	probes    chan struct{} // and one for each camera that is looked at
	live      live
	closing   chan struct{} // closed when the server ends
	listener  *limit.Listener
	http      *http.Server
	stop      func() error          // closes once
	end       atomic.Pointer[error] // why it has ended
}

// New opens the port. Visitors are served from Run on. The caller must call Run or Close.
func New(cfg Config) (*Server, error) {
	if cfg.Status == nil {
		return nil, errors.New("http server: no status to show")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	page, err := readUI()
	if err != nil {
		return nil, fmt.Errorf("http server: %w", err)
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("http server: %w", err)
	}
	s := &Server{cfg: cfg, refusals: limit.NewRefusals(cfg.Log), ui: page, hosts: newHosts(cfg.Hosts),
		ownPages: http.NewCrossOriginProtection(), snapshots: make(chan struct{}, mostSnapshots),
		followers: make(chan struct{}, mostFollow), closing: make(chan struct{}), probes: make(chan struct{}, mostProbes)}
	s.grants.open = map[grant]life{}
	s.live.status = s.status
	for _, o := range cfg.Origins {
		s.origins = append(s.origins, strings.ToLower(o))
	}
	s.listener = limit.New(l, limit.Config{Total: MaxConnections, Host: maxOfHost, Refusals: s.refusals, Log: cfg.Log, Answer: func(reason string) string {
		return fmt.Sprintf("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: %s\r\n\r\n"+
			`{"title":"Service Unavailable","status":503,"detail":%q}`+"\n", problem.ContentType, reason)
	}})
	s.SetAuth(cfg.Auth)
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	if cfg.Certificate != nil {
		s.cert.Store(cfg.Certificate)
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return s.cert.Load(), nil
		}}
		s.http.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxRequests}
	}
	s.stop = sync.OnceValue(s.shutdown)
	return s, nil
}

// SetAuth takes the place of Config.Auth. Nobody is remembered: each visitor is asked about anew. What was granted to users
// who are gone, whose password or token is another one, or who lack the permission now, ends (see MediaHandler).
func (s *Server) SetAuth(auth Auth) {
	tcp, ok := s.Addr().(*net.TCPAddr)
	s.setGate(newGate(auth, ok && tcp.IP.IsLoopback(), s.refusals))
}

// SetCertificate takes the place of Config.Certificate, which there must have been, for connections that are made from
// now on.
func (s *Server) SetCertificate(c *tls.Certificate) { s.cert.Store(c) }

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Refused counts the connections and credentials that were refused, by reason (see package limit).
func (s *Server) Refused() map[string]uint64 { return s.refusals.Counts() }

// Run serves until ctx is done or Close is called, and returns nil then. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	ended := context.AfterFunc(ctx, func() { _ = s.stop() })
	serve := s.http.Serve
	if s.http.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	err := serve(s.listener)
	ended()
	if !errors.Is(err, http.ErrServerClosed) {
		err = fmt.Errorf("http server: it has ended by itself: %w", err)
		s.end.Store(&err)
		_ = s.stop()
		return err
	}
	return s.stop()
}

// Err returns why nobody can connect at the moment; nil if one can.
func (s *Server) Err() error {
	if end := s.end.Load(); end != nil {
		return *end
	}
	return s.listener.Err()
}

// Close ends the server: it lets running requests finish for a second and then cuts every connection.
func (s *Server) Close() error { return s.stop() }

func (s *Server) shutdown() error {
	closed := net.ErrClosed
	s.end.CompareAndSwap(nil, &closed)
	close(s.closing)
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	_ = s.listener.Close() // which Run may never have served
	s.refusals.Close()
	if err != nil {
		return fmt.Errorf("close http server: %w", err)
	}
	return nil
}
