package rtsp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest"
)

// announceTimeout is how long a publisher may hold the stream between ANNOUNCE and RECORD.
const announceTimeout = 10 * time.Second

// takeTimeout is how long a publisher waits for somebody to listen.
const takeTimeout = time.Second

// PublishConfig describes a stream that a client publishes to our own server.
type PublishConfig struct {
	Name   string                     // the stream, for log and errors
	Log    *slog.Logger               // nil: nothing is logged
	Clock  *ingest.Clock              // as in PullConfig
	OnDrop func(reason string, n int) // as in PullConfig
}

// Publish is a media.Source fed by an RTSP server, which calls Announce, Record and Leave.
type Publish struct {
	cfg      PublishConfig
	log      *slog.Logger
	clock    *ingest.Clock // guarded by the receiver of the active publication,
	jumps    jumps         // and so is this
	recorded chan *publication

	mu     sync.Mutex
	active *publication
}

// publication is one publisher's turn.
type publication struct {
	session  *gortsplib.ServerSession
	receiver *receiver
	inputs   []*input
	since    time.Time
	recorded bool
	taken    chan struct{} // closed when somebody listens
	left     chan struct{} // closed when it is over,
	reason   error         // for this reason
}

// NewPublish returns a source that waits for its publisher.
func NewPublish(cfg PublishConfig) *Publish {
	p := &Publish{cfg: cfg, log: cfg.Log, clock: cfg.Clock, recorded: make(chan *publication, 1)}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.log = p.log.With("stream", cfg.Name)
	p.jumps.log = p.log
	if p.clock == nil {
		p.clock = &ingest.Clock{}
	}
	if p.cfg.OnDrop == nil {
		p.cfg.OnDrop = func(string, int) {}
	}
	return p
}

var _ ingest.Waiter = (*Publish)(nil)

// WaitsForPeer implements ingest.Waiter.
func (*Publish) WaitsForPeer() {}

// Run waits for a publisher and delivers what it sends. It returns an error that wraps ingest.ErrEnded when the
// publisher has left; when ctx is done or out fails it ends the publisher's session.
func (p *Publish) Run(ctx context.Context, out media.Output) error {
	for {
		select {
		case <-ctx.Done():
			p.kick()
			return ctx.Err()
		case pub := <-p.recorded:
			select {
			case <-pub.left: // while nobody was running
				continue
			default:
				return p.deliver(ctx, pub, out)
			}
		}
	}
}

// deliver runs one publication to its end.
func (p *Publish) deliver(ctx context.Context, pub *publication, out media.Output) error {
	pub.receiver.attach(out)
	close(pub.taken)
	defer pub.receiver.close()
	pub.receiver.start()
	select {
	case <-pub.left:
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("stream %s: publisher left: %w (%w)", p.cfg.Name, pub.reason, ingest.ErrEnded)
	case <-pub.receiver.failed:
		pub.session.Close()
		return pub.receiver.outputError()
	case <-ctx.Done():
		pub.session.Close()
		return ctx.Err()
	}
}

// kick ends the session of a publisher that nobody listens to any more.
func (p *Publish) kick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active != nil {
		p.active.session.Close()
	}
}

// Announce accepts a publisher's description or says why not: another publisher is active, or no video that is
// understood.
func (p *Publish) Announce(s *gortsplib.ServerSession, desc *description.Session) error {
	inputs, ignored, err := choose(desc, p.cfg.OnDrop)
	if err != nil {
		return fmt.Errorf("stream %s: %w", p.cfg.Name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.active; a != nil {
		if a.recorded || time.Since(a.since) < announceTimeout {
			return fmt.Errorf("stream %s has a publisher already: stop it first, or publish under another name", p.cfg.Name)
		}
		a.session.Close()
		p.end(errors.New("it announced and did not record"))
	}
	r := newReceiver(p.clock, &p.jumps, p.cfg.OnDrop)
	r.take(inputs)
	p.active = &publication{session: s, receiver: r, inputs: inputs, since: time.Now(), taken: make(chan struct{}), left: make(chan struct{})}
	if len(ignored) > 0 {
		p.log.Info("ignored what the publisher offers besides", "media", strings.Join(ignored, ", "))
	}
	return nil
}

// Record starts delivery; the session's medias are set up. It waits until somebody listens: the publisher's first
// keyframe, which comes at once, may be the only one for a long time.
func (p *Publish) Record(s *gortsplib.ServerSession) error {
	a, err := p.record(s)
	if err != nil {
		return err
	}
	timer := time.NewTimer(takeTimeout)
	defer timer.Stop()
	select {
	case <-a.taken:
	case <-a.left:
	case <-timer.C:
	}
	return nil
}

func (p *Publish) record(s *gortsplib.ServerSession) (*publication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.active
	if a == nil || a.session != s {
		return nil, fmt.Errorf("stream %s: announce first", p.cfg.Name)
	}
	for _, in := range a.inputs {
		s.OnPacketRTP(in.media, in.format, func(pkt *rtp.Packet) { a.receiver.packet(in, pkt) })
		s.OnPacketRTCP(in.media, func(pkt rtcp.Packet) { a.receiver.report(in, pkt) })
	}
	if *s.SetuppedTransport() == gortsplib.TransportUDP {
		a.receiver.apart()
	}
	a.recorded = true
	select { // one that left before it was taken makes room
	case <-p.recorded:
	default:
	}
	p.recorded <- a
	return a, nil
}

// Leave ends the publisher's turn. Sessions that were not accepted are ignored.
func (p *Publish) Leave(s *gortsplib.ServerSession, reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active != nil && p.active.session == s {
		p.end(reason)
	}
}

// end needs mu.
func (p *Publish) end(reason error) {
	a := p.active
	p.active = nil
	a.receiver.close()
	if reason == nil {
		reason = errors.New("connection closed")
	}
	a.reason = reason
	close(a.left)
}
