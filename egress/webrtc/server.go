package webrtc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/ice/v4"
	pion "github.com/pion/webrtc/v4"

	"rave/egress/limit"
	"rave/engine/signalling"
)

// Config describes a Server. The zero value of each field stands for its default.
type Config struct {
	Listen          string           // UDP, "127.0.0.1:8189"; port 0: any
	TCPListen       string           // TCP, "127.0.0.1:8189"; port 0: any
	ICEServers      []pion.ICEServer // for us and for browsers, which are told the credentials
	PublicAddresses []string         // IP addresses under which the ports are reached, beside the machine's own
	MaxViewers      int              // of all paths; 100
	Log             *slog.Logger     // nil: nothing is logged
	// WriteTimeout is how long a viewer over TCP may take nothing before its connection is cut; 10 s.
	WriteTimeout time.Duration
	// Silence is how long a peer may answer nothing before it is given up; 15 s.
	Silence time.Duration
	// ConnectTimeout is how long a viewer may take from its offer to being connected; 20 s.
	ConnectTimeout time.Duration
	// OnDrop is told of access units that were not sent: "slow_viewer" (once per viewer), "before_keyframe",
	// "malformed". It may be nil and must not block.
	OnDrop func(path, reason string, frames int)
}

// ErrTCP is wrapped by New's error when the fault is with TCPListen and not with Listen.
var ErrTCP = errors.New("no TCP port for ICE")

// Server owns the ports and makes peers on them. Its methods may be called from any goroutine.
type Server struct {
	cfg         Config
	log         *slog.Logger
	certificate pion.Certificate
	seed        maphash.Seed // of RTP timestamps
	socket      *batcher
	udp         *ice.UniversalUDPMuxDefault
	tcp         *ice.TCPMuxDefault
	listener    *limit.Listener
	refusals    *limit.Refusals
	network     network
	reflexive   reflexive
	relays      []pion.ICEServer
	useless     atomic.Bool // the ICE servers are

	mu      sync.Mutex
	closed  bool
	paths   map[string]*Path
	viewers int

	ufrags sync.Map // of peers that have answered: *pion.PeerConnection → string
}

// New opens the ports. The caller closes it.
func New(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:8189"
	}
	if cfg.TCPListen == "" {
		cfg.TCPListen = "127.0.0.1:8189"
	}
	if cfg.MaxViewers == 0 {
		cfg.MaxViewers = 100
	}
	if cfg.WriteTimeout == 0 {
		cfg.WriteTimeout = 10 * time.Second
	}
	if cfg.Silence == 0 {
		cfg.Silence = 15 * time.Second
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 20 * time.Second
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, seed: maphash.MakeSeed(),
		paths: map[string]*Path{}, network: newNetwork(),
	}
	var err error
	if s.reflexive.servers, s.relays, err = iceServers(cfg.ICEServers); err != nil {
		return nil, fmt.Errorf("webrtc server: %w", err)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.makeCertificate(); err != nil {
		return nil, fmt.Errorf("webrtc server: %w", err)
	}
	if err := s.listen(); err != nil {
		return nil, fmt.Errorf("webrtc server: %w", err)
	}
	return s, nil
}

// makeCertificate makes the one that all peers show: what it proves is said in the answer to each offer.
func (s *Server) makeCertificate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	certificate, err := pion.GenerateCertificate(key)
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	s.certificate = *certificate
	return nil
}

func (s *Server) listen() error {
	udp, err := listenUDP(s.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on UDP %s: %w", s.cfg.Listen, err)
	}
	// A keyframe for many viewers is a burst; what the system allows is enough.
	_ = udp.SetWriteBuffer(socketBuffer)
	_ = udp.SetReadBuffer(socketBuffer)
	s.socket = newBatcher(udp)
	tcp, err := net.Listen("tcp", s.cfg.TCPListen)
	if err != nil {
		_ = udp.Close()
		return fmt.Errorf("%w: listen on TCP %s: %w", ErrTCP, s.cfg.TCPListen, err)
	}
	logger := signalling.Logger{Log: s.log}.NewLogger("ice")
	s.refusals = limit.NewRefusals(s.log)
	s.listener = limit.New(tcp, s.connections())
	s.udp = ice.NewUniversalUDPMuxDefault(ice.UniversalUDPMuxParams{Logger: logger, UDPConn: s.socket, Net: s.network})
	s.reflexive.mux = s.udp
	s.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: impatient{s.listener, s.cfg.WriteTimeout}, Logger: logger, ReadBufferSize: 64,
		FirstStunBindTimeout: s.cfg.WriteTimeout, AliveDurationForConnFromStun: s.cfg.WriteTimeout,
	})
	return nil
}

// connections bounds those of ICE: one host can shut out nobody else. Nothing is answered, since ICE has no word for it.
func (s *Server) connections() limit.Config {
	return limit.Config{Total: 2 * s.cfg.MaxViewers, Host: s.cfg.MaxViewers, Refusals: s.refusals, Log: s.log}
}

func listenUDP(address string) (*net.UDPConn, error) {
	a, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP("udp", a)
}

// socketBuffer is asked for in both directions.
const socketBuffer = 4 << 20

// impatient cuts connections that take nothing. Without it pion would wait for ever, and so would whoever closes the peer.
type impatient struct {
	net.Listener
	patience time.Duration
}

// Accept implements net.Listener.
func (l impatient) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &impatientConn{Conn: conn, patience: l.patience}, nil
}

type impatientConn struct {
	net.Conn
	patience time.Duration
	turn     sync.Mutex // writes wait here: each has its own time
}

// Write implements net.Conn. A packet that is cut in the middle would make nonsense of what follows: it ends the connection.
func (c *impatientConn) Write(p []byte) (int, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		_ = c.Close()
	}
	return n, err
}

// Addr is the UDP address, such as "127.0.0.1:8189"; TCPAddr is the TCP one.
func (s *Server) Addr() string { return s.udp.LocalAddr().String() }

// TCPAddr is the address of Addr's sibling.
func (s *Server) TCPAddr() string { return s.listener.Addr().String() }

// Err returns why nobody can connect over TCP at the moment; nil if one can.
func (s *Server) Err() error { return s.listener.Err() }

// Refused counts the connections and viewers that were refused, by reason (see package limit).
func (s *Server) Refused() map[string]uint64 { return s.refusals.Counts() }

// Path returns the path of that name ("cam1", "cam1/original"), made with cfg at the first call.
func (s *Server) Path(name string, cfg PathConfig) *Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.paths[name]
	if p == nil {
		p = newPath(s, name, cfg)
		s.paths[name] = p
	}
	return p
}

// Lookup returns the path of that name, nil if there is none.
func (s *Server) Lookup(name string) *Path {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths[name]
}

// Remove ends a path and its viewers; the next Path of that name is another one. Nobody may write to it any more.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	p := s.paths[name]
	delete(s.paths, name)
	s.mu.Unlock()
	if p != nil {
		_ = p.Close() // which never fails
	}
}

// Stats returns one snapshot per path, by name.
func (s *Server) Stats() map[string]Stats {
	s.mu.Lock()
	paths := maps.Clone(s.paths)
	s.mu.Unlock()
	stats := map[string]Stats{}
	for name, p := range paths {
		stats[name] = p.Stats()
	}
	return stats
}

// admit counts a viewer, or says why there can be none more. It is followed by leave.
func (s *Server) admit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return signalling.Refuse(http.StatusServiceUnavailable, "closing", "RAVE is ending", "RAVE is ending: try again when it has started")
	case s.viewers >= s.cfg.MaxViewers:
		return signalling.Refuse(http.StatusServiceUnavailable, "too-many-viewers", "Too many viewers",
			"there are %d viewers, and no more are allowed: raise webrtc.max_viewers", s.viewers).Setting("webrtc.max_viewers")
	}
	s.viewers++
	return nil
}

func (s *Server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewers--
}

// offset is the RTP timestamp of stream time 0, for all paths of one stream. It cannot be guessed from outside, and stays
// while the process runs.
func (s *Server) offset(path string) uint32 {
	return uint32(maphash.String(s.seed, streamOf(path))) >> 1
}

// streamOf returns the stream that a path belongs to: its first element.
func streamOf(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

// Close ends every path, waits for its viewers, and closes the ports. Who has made other peers ends them. It may be called
// twice.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	paths := maps.Clone(s.paths)
	s.mu.Unlock()
	if again {
		return nil
	}
	var ending sync.WaitGroup
	for _, p := range paths {
		ending.Go(func() { _ = p.Close() }) // which never fails
	}
	err := errors.Join(s.listener.Close(), s.tcp.Close(), s.udp.Close())
	ending.Wait()
	s.refusals.Close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close webrtc server: %w", err)
	}
	return nil
}
