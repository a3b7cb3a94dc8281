package rtsp

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/rtpin"
)

// Transport is how RTP travels.
type Transport string

// Transports. Auto tries UDP and falls back to TCP when the camera refuses it or when nothing arrives; it remembers TCP
// for the connections that follow.
const (
	Auto Transport = "auto"
	UDP  Transport = "udp"
	TCP  Transport = "tcp"
)

// PullConfig describes one camera.
type PullConfig struct {
	Name      string    // the stream, for log and errors
	URL       string    // rtsp://[user:password@]host[:554]/path, or rtsps; see ingest.SplitURL
	Username  string    // wins over the URL's; no escaping
	Password  string    //
	Transport Transport // "" is Auto
	// ReadTimeout bounds connecting and each answer, and the time without any packet; 0 is 10 s.
	ReadTimeout time.Duration
	Log         *slog.Logger // nil: nothing is logged
	// Clock is the stream's, if other sources have been or will be run for it; nil: the source's own. Sources that share
	// a Clock run one after the other.
	Clock *ingest.Clock
	// OnDrop is told of access units (of sound: packets) that were not passed on: "packet_loss", "malformed",
	// "too_large", "before_start" (joined within a picture), "rtp_error". It may be nil and must not block.
	OnDrop func(reason string, n int)
}

// Pull is a media.Source that reads from a camera or another RTSP server.
type Pull struct {
	cfg      PullConfig
	url      base.URL // with credentials
	redacted string
	secrets  ingest.Secrets
	log      *slog.Logger

	clock   *ingest.Clock // guarded by the receiver of the running connection,
	jumps   *rtpin.Jumps  // and so is this
	mu      sync.Mutex
	useTCP  bool   // Auto has fallen back
	ignored string // what the last connection left out, said once
}

// NewPull checks the configuration. Its error wraps ingest.ErrPermanent and holds no credentials.
func NewPull(cfg PullConfig) (*Pull, error) {
	u, username, password, err := ingest.SplitURL(cfg.URL)
	p := &Pull{cfg: cfg, log: cfg.Log, clock: cfg.Clock, secrets: ingest.NewSecrets(password, cfg.Password)}
	if err != nil {
		return nil, p.explain(err)
	}
	if cfg.Username != "" {
		username = cfg.Username
	}
	if cfg.Password != "" {
		password = cfg.Password
	}
	p.redacted = ingest.RedactURL(u.String())
	p.url = base.URL(*u)
	if username != "" {
		p.url.User = url.UserPassword(username, password)
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.log = p.log.With("stream", cfg.Name)
	p.jumps = rtpin.NewJumps(p.log)
	if p.cfg.OnDrop == nil {
		p.cfg.OnDrop = func(string, int) {}
	}
	if p.clock == nil {
		p.clock = &ingest.Clock{}
	}
	if p.cfg.ReadTimeout == 0 {
		p.cfg.ReadTimeout = 10 * time.Second
	}
	return p, nil
}

// Redacted returns the camera's URL without credentials.
func (p *Pull) Redacted() string { return p.redacted }

// Run connects and delivers until ctx is done or the camera fails. Its errors name the stream, the URL without
// credentials, and what to do.
func (p *Pull) Run(ctx context.Context, out media.Output) error {
	r := rtpin.NewReceiver(p.clock, p.jumps, p.cfg.OnDrop)
	r.Attach(out)
	defer r.Close()
	g := newGuard(p)
	defer g.close()
	var udp sockets
	defer udp.close() // after the client
	c := p.client(r, g, &udp)
	if err := c.Start2(); err != nil {
		return p.explain(err)
	}
	// Closing the client is the only way to end a request that waits for its answer.
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.hangUp(c, g); close(closed) })
	defer func() {
		if !stop() {
			<-closed
		}
		c.Close()
	}()
	err := p.play(c, r, g, &udp)
	if err == nil {
		err = p.wait(ctx, c, r, g)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if outErr := r.Err(); outErr != nil {
		return outErr
	}
	return p.explain(g.explain(err))
}

// hangUp ends the client, which says goodbye to the camera if it can. A TLS handshake without an answer, or a request
// that cannot be written, would hold it.
func (p *Pull) hangUp(c *gortsplib.Client, g *guard) {
	const polite = time.Second
	t := time.AfterFunc(polite, g.hangUp)
	defer t.Stop()
	c.Close()
}

// client configures gortsplib. Nothing in it logs by itself.
func (p *Pull) client(r *rtpin.Receiver, g *guard, ports *sockets) *gortsplib.Client {
	c := &gortsplib.Client{
		Scheme: p.url.Scheme, Host: p.url.Host,
		// Never: guard and wait watch. gortsplib must not, since it does not hear what a port has taken over. (Nothing
		// heard at all counts to it as 1970, so a long time would not do.)
		ReadTimeout: math.MaxInt64,
		// Then Auto falls back, by default gortsplib's 3 s.
		InitialUDPReadTimeout: p.cfg.ReadTimeout * 3 / 10,
		WriteTimeout:          5 * time.Second,
		UserAgent:             "rave",
		ListenPacket:          ports.listen,
		DialContext:           g.dial,
		OnRequest:             g.request,
		OnResponse:            g.response,
		OnPacketsLost:         func(uint64) {}, // found by sequence number, per access unit
		OnDecodeError:         func(error) { p.cfg.OnDrop(rtpin.DropRTP, 1) },
		OnTransportSwitch: func(error) {
			p.log.Warn("no video over UDP; using TCP", "camera", p.redacted)
			p.mu.Lock()
			p.useTCP = true
			p.mu.Unlock()
			g.redial()
			r.Restart()
		},
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	tcp, udp := gortsplib.TransportTCP, gortsplib.TransportUDP
	switch {
	case p.cfg.Transport == TCP, p.useTCP:
		c.Transport = &tcp
	case p.cfg.Transport == UDP:
		c.Transport = &udp
	}
	return c
}

// play describes, sets up and starts the stream.
func (p *Pull) play(c *gortsplib.Client, r *rtpin.Receiver, g *guard, udp *sockets) error {
	desc, _, err := c.Describe(&p.url)
	if err != nil {
		return err
	}
	inputs, ignored, err := choose(desc, p.cfg.OnDrop)
	if err != nil {
		return err
	}
	p.sayIgnored(ignored)
	r.Take(tracksOf(inputs)...)
	for _, in := range inputs {
		answer, err := c.Setup(desc.BaseURL, in.media, 0, 0)
		if err != nil {
			return err
		}
		u := udp.port(in.Input, r, answer, g.camera())
		if u != nil {
			r.Apart()
		}
		c.OnPacketRTP(in.media, in.Format, func(pkt *rtp.Packet) {
			r.Packet(in.Input, pkt)
			u.takeOver(pkt)
		})
		c.OnPacketRTCP(in.media, func(pkt rtcp.Packet) { r.Report(in.Input, pkt) })
	}
	if _, err = c.Play(nil); err != nil {
		return err
	}
	r.Start()
	return nil
}

// wait returns when the connection or the output has failed, nothing has come for ReadTimeout while it plays, or ctx is
// done. While gortsplib connects again over TCP, the guard watches.
func (p *Pull) wait(ctx context.Context, c *gortsplib.Client, r *rtpin.Receiver, g *guard) error {
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	// Ticks without a packet are counted, not time: a process that was stopped for a while sees one tick.
	const ticks = 10
	ticker := time.NewTicker(p.cfg.ReadTimeout / ticks)
	defer ticker.Stop()
	for silent, heard := 0, r.Heard(); ; silent++ {
		select {
		case err := <-ended:
			return err
		case <-ticker.C:
			if now := r.Heard(); now != heard || !g.plays() {
				silent, heard = 0, now
			}
			if silent < ticks {
				continue
			}
			c.Close()
			<-ended
			return explained{fmt.Errorf("no packet for %v: the camera has stopped sending", p.cfg.ReadTimeout)}
		case <-r.Failed():
		case <-ctx.Done():
		}
		c.Close()
		return <-ended
	}
}

func (p *Pull) sayIgnored(ignored []string) {
	list := strings.Join(ignored, ", ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if list != p.ignored && list != "" {
		p.log.Info("ignored what the camera offers besides", "media", list)
	}
	p.ignored = list
}
