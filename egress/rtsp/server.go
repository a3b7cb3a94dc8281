package rtsp

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/auth"
	"github.com/bluenviron/gortsplib/v4/pkg/description"

	"rave/egress/gate"
	"rave/egress/limit"
)

// Config describes a Server. The zero value of each field stands for its default.
type Config struct {
	Listen       string        // "127.0.0.1:8554"; port 0: any
	UDPPort      int           // even; RTCP uses the next one; 0: 8000 or, if taken, any free pair; -1: TCP only
	Users        []User        // none: everybody may read and publish
	WriteTimeout time.Duration // a TCP reader that takes nothing for this long is disconnected; 10 s
	QueueUnits   int           // access units and audio packets that wait for one reader; 256
	QueueBytes   int           // their size; 16 MiB
	Log          *slog.Logger  // nil: nothing is logged
	// MaxConnections is how many connections there may be at once, of one host half as many; 512. Those of this machine
	// are counted apart (see package limit).
	MaxConnections int
	// IdleTimeout is how long a connection may stay that neither plays nor publishes; 15 s.
	IdleTimeout time.Duration
	// SessionTimeout is how long a reader over UDP, or one that has paused, may give no sign of life; 30 s, at most 60 s.
	// Clients are told two thirds of it.
	SessionTimeout time.Duration
	// OnDrop is told of access units that were not sent: "slow_reader" (once per reader), "before_keyframe",
	// "too_large", "malformed", "unsupported_track". It may be nil and must not block.
	OnDrop func(path, reason string, frames int)
}

// Publisher takes what a client publishes on a path. Calls for one session come in this order; an error of Announce or
// Record refuses the client and is what it is told, so it must say the fix and no secrets.
type Publisher interface {
	Announce(s *gortsplib.ServerSession, desc *description.Session) error
	Record(s *gortsplib.ServerSession) error
	Leave(s *gortsplib.ServerSession, reason error)
}

// ErrUDPPort is wrapped by New's error when the fault is with UDPPort and not with Listen.
var ErrUDPPort = errors.New("no UDP ports for RTP and RTCP")

// Server is an RTSP server. Its methods may be called from any goroutine.
type Server struct {
	cfg      Config
	log      *slog.Logger
	limits   gate.Limits
	guard    *limit.Guard
	refusals *limit.Refusals
	gs       *gortsplib.Server
	listener *limit.Listener
	closing  chan struct{}
	ended    chan struct{} // gortsplib has
	// refusePause is how long wrong credentials wait for their answer, against guessing.
	refusePause time.Duration
	setup       sync.Mutex // of a session is under way; see beginSetup
	setter      atomic.Pointer[gortsplib.ServerConn]

	mu         sync.Mutex
	closed     bool
	end        error // why it has ended, if nobody closed it
	auth       *authenticator
	grants     map[*gortsplib.ServerSession]*grant // of sessions that are set up or announced
	paths      map[string]*Path
	publishers map[string]Publisher
	readers    map[*gortsplib.ServerSession]*Path
	recorders  map[*gortsplib.ServerSession]Publisher
	watched    map[*gortsplib.ServerSession]*time.Timer
	ids        map[*gortsplib.ServerSession]string // of sessions over UDP, for pulse
	own        map[string]bool                     // addresses that pulse uses
}

// New listens and serves. The caller closes it.
func New(cfg Config) (*Server, error) {
	s := &Server{
		cfg: cfg, log: cfg.Log, limits: gate.Limits{Units: cfg.QueueUnits, Bytes: cfg.QueueBytes}, closing: make(chan struct{}),
		ended:       make(chan struct{}),
		refusePause: time.Second,
		paths:       map[string]*Path{}, publishers: map[string]Publisher{},
		grants:  map[*gortsplib.ServerSession]*grant{},
		readers: map[*gortsplib.ServerSession]*Path{}, recorders: map[*gortsplib.ServerSession]Publisher{},
		watched: map[*gortsplib.ServerSession]*time.Timer{}, ids: map[*gortsplib.ServerSession]string{}, own: map[string]bool{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.limits.Units == 0 {
		s.limits.Units = 256
	}
	if s.limits.Bytes == 0 {
		s.limits.Bytes = 16 << 20
	}
	if s.cfg.Listen == "" {
		s.cfg.Listen = "127.0.0.1:8554"
	}
	if s.cfg.MaxConnections == 0 {
		s.cfg.MaxConnections = 512
	}
	if s.cfg.IdleTimeout == 0 {
		s.cfg.IdleTimeout = 15 * time.Second
	}
	if s.cfg.SessionTimeout == 0 {
		s.cfg.SessionTimeout = 30 * time.Second
	}
	s.guard, s.refusals = limit.NewGuard(), limit.NewRefusals(s.log)
	var err error
	if s.auth, err = newAuthenticator(cfg.Users, s.guard, s.closing); err != nil {
		return nil, fmt.Errorf("rtsp server: %w", err)
	}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("rtsp server: listen on %s: %w", s.cfg.Listen, err)
	}
	go s.watch()
	return s, nil
}

func (s *Server) listen() error {
	host, _, err := net.SplitHostPort(s.cfg.Listen)
	if err != nil {
		return err
	}
	s.gs = &gortsplib.Server{
		RTSPAddress: s.cfg.Listen, Handler: &handler{s: s}, WriteTimeout: s.cfg.WriteTimeout, WriteQueueSize: 256,
		AuthMethods:              []auth.VerifyMethod{auth.VerifyMethodDigestMD5, auth.VerifyMethodBasic},
		DisableRTCPSenderReports: true, // ours carry capture time
		Listen: func(network, address string) (net.Listener, error) {
			ln, err := net.Listen(network, address)
			if err != nil {
				return nil, err
			}
			s.listener = s.bound(ln)
			return s.listener, nil
		},
	}
	if s.cfg.UDPPort >= 0 {
		pair, err := pickUDP(host, s.cfg.UDPPort)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUDPPort, err)
		}
		defer pair.close()
		s.gs.ListenPacket = pair.take
		s.gs.UDPRTPAddress = net.JoinHostPort(host, strconv.Itoa(pair.port))
		s.gs.UDPRTCPAddress = net.JoinHostPort(host, strconv.Itoa(pair.port+1))
	}
	return s.gs.Start()
}

func (s *Server) bound(ln net.Listener) *limit.Listener {
	most := s.cfg.MaxConnections
	return limit.New(ln, limit.Config{Total: most, Host: (most + 1) / 2, Refusals: s.refusals, Log: s.log, Answer: func(reason string) string {
		return "RTSP/1.0 503 " + reason + "\r\nCSeq: 1\r\nConnection: close\r\n\r\n" // that of the first request, most likely
	}})
}

// Addr is the address that TCP listens on, such as "127.0.0.1:8554".
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Path returns the path of that name ("cam1", "cam1/original"), made with cfg at the first call.
func (s *Server) Path(name string, cfg PathConfig) *Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.Trim(name, "/")
	p := s.paths[name]
	if p == nil {
		p = newPath(s, name, cfg)
		s.paths[name] = p
	}
	return p
}

// Stats returns one snapshot per path, by name.
func (s *Server) Stats() map[string]Stats {
	stats := map[string]Stats{}
	for name, p := range s.allPaths() {
		stats[name] = p.Stats()
	}
	return stats
}

// Refused counts the connections and credentials that were refused, by reason (see package limit).
func (s *Server) Refused() map[string]uint64 { return s.refusals.Counts() }

func (s *Server) allPaths() map[string]*Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.paths)
}

// watch waits for gortsplib, which ends by itself if its listener is closed behind its back, and then drops everybody.
func (s *Server) watch() {
	defer close(s.ended)
	err := s.gs.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.end = fmt.Errorf("rtsp server: it has ended by itself: %w", err)
	}
}

// Wait returns when the server has ended: nil if it was closed, else why.
func (s *Server) Wait() error {
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Err returns why nobody can connect at the moment; nil if one can.
func (s *Server) Err() error {
	select {
	case <-s.ended:
		if err := s.Wait(); err != nil {
			return err
		}
		return net.ErrClosed
	default:
		return s.listener.Err()
	}
}

// Close ends all connections and waits for them, less than two seconds. It may be called twice.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	if s.closed = true; !again {
		close(s.closing)
	}
	s.mu.Unlock()
	if again {
		<-s.ended // by the first call
		return nil
	}
	var err error
	for _, p := range s.allPaths() {
		if e := p.Close(); e != nil {
			err = e
		}
	}
	s.gs.Close()
	<-s.ended
	s.refusals.Close()
	return err
}
