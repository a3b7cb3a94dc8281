package rtsp

import (
	"log/slog"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
)

// Config describes a Server. The zero value of each field stands for its default.
type Config struct {
	Listen       string        // "127.0.0.1:8554"
	UDPPort      int           // even; RTCP uses the next one; 0: 8000 or, if taken, any free pair; -1: TCP only
	Users        []User        // nil: everybody may read and publish
	WriteTimeout time.Duration // a TCP reader that takes nothing for this long is disconnected; 10 s
	QueueUnits   int           // access units and audio packets that wait for one reader; 256
	QueueBytes   int           // their size; 16 MiB
	Log          *slog.Logger
	// OnDrop is told of access units that a path did not deliver to a reader: "slow_reader", "too_large", "malformed".
	// It may be nil and must not block.
	OnDrop func(path, reason string, frames int)
}

// Publisher takes what a client publishes on a path. Calls for one session come in this order; an error of Announce or
// Record refuses the client and is what it is told, so it must say the fix and no secrets.
type Publisher interface {
	Announce(s *gortsplib.ServerSession, desc *description.Session) error
	Record(s *gortsplib.ServerSession) error
	Leave(s *gortsplib.ServerSession, reason error)
}

// Server is an RTSP server.
type Server struct{ cfg Config }

// New listens and serves. The caller closes it.
func New(cfg Config) (*Server, error) { return &Server{cfg: cfg}, nil }

// Addr is the address that TCP listens on, "127.0.0.1:8554".
func (s *Server) Addr() string { return "" }

// Path returns the path of that name ("cam1", "cam1/original"), made with cfg at the first call.
func (s *Server) Path(name string, cfg PathConfig) *Path { return &Path{} }

// AcceptPublish lets clients publish on the path of that name.
func (s *Server) AcceptPublish(name string, p Publisher) {}

// Stats returns one snapshot per path, by name.
func (s *Server) Stats() map[string]Stats { return nil }

// Close ends all connections and waits for them, less than two seconds. It may be called twice.
func (s *Server) Close() error { return nil }
