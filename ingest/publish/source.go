package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/rtpin"
)

// beginTimeout is how long a publisher may hold the stream before it begins to send.
const beginTimeout = 10 * time.Second

// takeTimeout is how long a publisher waits for somebody to listen.
const takeTimeout = time.Second

// ErrBusy means that somebody else publishes.
var ErrBusy = errors.New("has a publisher already: stop it first, or publish under another name")

// Config describes a stream that others publish to.
type Config struct {
	Name  string       // the stream, for log and errors
	Log   *slog.Logger // nil: nothing is logged
	Clock *ingest.Clock
	// Clock is the stream's, if other sources have been or will be run for it; nil: the source's own. Sources that share
	// a Clock run one after the other.

	// OnDrop is told of access units (of sound: packets) that were not passed on, with a reason of package rtpin. It may be
	// nil and must not block.
	OnDrop func(reason string, n int)
}

// Source is a media.Source that is fed by publishers.
type Source struct {
	cfg   Config
	log   *slog.Logger
	clock *ingest.Clock // guarded by the receiver of the active turn,
	jumps *rtpin.Jumps  // and so is this
	begun chan *Turn

	mu     sync.Mutex
	active *Turn
}

// Turn is one publisher's time.
type Turn struct {
	source   *Source
	receiver *rtpin.Receiver
	hangUp   func()
	since    time.Time
	begun    bool          // guarded by the source's mu
	taken    chan struct{} // closed when somebody listens
	left     chan struct{} // closed when it is over,
	reason   error         // for this reason
}

// New returns a source that waits for its publisher.
func New(cfg Config) *Source {
	s := &Source{cfg: cfg, log: cfg.Log, clock: cfg.Clock, begun: make(chan *Turn, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = s.log.With("stream", cfg.Name)
	s.jumps = rtpin.NewJumps(s.log)
	if s.clock == nil {
		s.clock = &ingest.Clock{}
	}
	if s.cfg.OnDrop == nil {
		s.cfg.OnDrop = func(string, int) {}
	}
	return s
}

var _ ingest.Waiter = (*Source)(nil)

// WaitsForPeer implements ingest.Waiter.
func (*Source) WaitsForPeer() {}

// Name is the stream's.
func (s *Source) Name() string { return s.cfg.Name }

// Log names the stream.
func (s *Source) Log() *slog.Logger { return s.log }

// Drop counts what was not passed on.
func (s *Source) Drop(reason string, n int) { s.cfg.OnDrop(reason, n) }

// Run waits for a publisher and delivers what it sends. It returns an error that wraps ingest.ErrEnded when the
// publisher has left; when ctx is done or out fails it hangs up.
func (s *Source) Run(ctx context.Context, out media.Output) error {
	for {
		select {
		case <-ctx.Done():
			s.kick()
			return ctx.Err()
		case t := <-s.begun:
			select {
			case <-t.left: // while nobody was running
				continue
			default:
				return s.deliver(ctx, t, out)
			}
		}
	}
}

// deliver runs one turn to its end.
func (s *Source) deliver(ctx context.Context, t *Turn, out media.Output) error {
	t.receiver.Attach(out)
	close(t.taken)
	defer t.receiver.Close()
	t.receiver.Start()
	select {
	case <-t.left:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("stream %s: publisher left: %w (%w)", s.cfg.Name, t.reason, ingest.ErrEnded)
	case <-t.receiver.Failed():
		t.hangUp()
		return t.receiver.Err()
	case <-ctx.Done():
		t.hangUp()
		return ctx.Err()
	}
}

// kick hangs up on a publisher that nobody listens to any more.
func (s *Source) kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != nil {
		s.active.hangUp()
	}
}

// Take gives a publisher the turn, or returns an error that wraps ErrBusy. hangUp must end its connection without waiting
// for that, and may be called more than once; whoever has the turn calls Leave when the connection has ended.
func (s *Source) Take(hangUp func(), inputs ...*rtpin.Input) (*Turn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.active; a != nil {
		if a.begun || time.Since(a.since) < beginTimeout {
			return nil, fmt.Errorf("stream %s %w", s.cfg.Name, ErrBusy)
		}
		a.hangUp()
		a.end(errors.New("it came and did not begin to send"))
	}
	t := &Turn{
		source: s, receiver: rtpin.NewReceiver(s.clock, s.jumps, s.cfg.OnDrop), hangUp: hangUp, since: time.Now(),
		taken: make(chan struct{}), left: make(chan struct{}),
	}
	t.receiver.Take(inputs...)
	s.active = t
	return t, nil
}

// Packet takes an RTP packet. The packets of a track come in order.
func (t *Turn) Packet(in *rtpin.Input, p *rtp.Packet) { t.receiver.Packet(in, p) }

// Report takes an RTCP packet.
func (t *Turn) Report(in *rtpin.Input, p rtcp.Packet) { t.receiver.Report(in, p) }

// Apart says that reports are handled apart from packets, as over UDP. It comes before the first packet.
func (t *Turn) Apart() { t.receiver.Apart() }

// Begin starts delivery and waits until somebody listens: the publisher's first keyframe, which comes at once, may be the
// only one for a long time.
func (t *Turn) Begin() {
	t.begin()
	timer := time.NewTimer(takeTimeout)
	defer timer.Stop()
	select {
	case <-t.taken:
	case <-t.left:
	case <-timer.C:
	}
}

func (t *Turn) begin() {
	s := t.source
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.active != t {
		return
	}
	t.begun = true
	select { // one that left before it was taken makes room
	case <-s.begun:
	default:
	}
	s.begun <- t
}

// Leave ends the turn, for this reason; nil if the publisher gave none. Only the first call counts.
func (t *Turn) Leave(reason error) {
	t.source.mu.Lock()
	defer t.source.mu.Unlock()
	if t.source.active == t {
		t.end(reason)
	}
}

// end needs the source's mu.
func (t *Turn) end(reason error) {
	t.source.active = nil
	t.receiver.Close()
	if reason == nil {
		reason = errors.New("connection closed")
	}
	t.reason = reason
	close(t.left)
}
