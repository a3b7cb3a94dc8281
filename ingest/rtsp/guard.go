package rtsp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"

	"rave/ingest"
)

const (
	// maxRedirects is how many redirects one attempt follows.
	maxRedirects = 5
	// maxConnecting bounds an attempt up to PLAY, in read timeouts: each answer may take one, and there may be many.
	maxConnecting = 3
	// maxNoted is how much of an answer is kept to say what is wrong with it.
	maxNoted = 4096
)

// guard bounds what gortsplib does not: how long connecting takes in all (a silent TLS handshake lasts for ever, and
// each answer has a limit of its own), and how many redirects are followed. It notes the beginning of the last answer,
// so that a camera that talks nonsense is not taken for one that is out of reach. One guard serves one attempt.
type guard struct {
	pull *Pull

	mu        sync.Mutex
	timer     *time.Timer // runs until the stream plays
	dials     int         // since the last change of transport
	conn      net.Conn    // the latest
	late      bool        // the timer has fired
	playing   bool
	asked     string // the last request's method
	answer    []byte // the beginning of what came since
	received  int    // bytes since then
	redirects string // where the camera sent us last
}

func newGuard(p *Pull) *guard {
	g := &guard{pull: p}
	g.timer = time.AfterFunc(g.limit(), func() {
		g.mu.Lock()
		g.late = true
		g.mu.Unlock()
		g.hangUp()
	})
	return g
}

func (g *guard) limit() time.Duration { return maxConnecting * g.pull.cfg.ReadTimeout }

// hangUp closes the connection under gortsplib: its Close waits for a TLS handshake that may never end.
func (g *guard) hangUp() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// close ends the guard.
func (g *guard) close() {
	g.timer.Stop()
	g.hangUp()
}

// plays ends the limits on connecting: from here on the client's timeouts and the watchdog on video hold.
func (g *guard) plays() {
	g.timer.Stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.playing = true
}

// redial allows another series of connections: the transport changes.
func (g *guard) redial() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dials = 0
}

// dial connects to the camera, and to no other host: gortsplib follows redirects of DESCRIBE and takes the credentials
// along, but the user gave them for this host.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if own := g.pull.url.Hostname(); err == nil && g.pull.url.User != nil && !strings.EqualFold(host, own) {
		return nil, fmt.Errorf("the camera redirects to %s, which must not get the credentials for %s: if it may, set the source to that address: %w",
			address, own, ingest.ErrPermanent)
	}
	g.mu.Lock()
	g.dials++
	tooMany, to := g.dials > 1+maxRedirects, g.redirects
	g.mu.Unlock()
	if tooMany {
		return nil, fmt.Errorf("the camera redirects more than %d times, the last time to %s: set the source to the address that serves the stream: %w",
			maxRedirects, to, ingest.ErrPermanent)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
	if g.late || ctx.Err() != nil { // hangUp came while this was connecting
		_ = conn.Close()
	}
	return &guardedConn{Conn: conn, guard: g}, nil
}

// request and response are told by gortsplib.
func (g *guard) request(r *base.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.answer, g.received = string(r.Method), nil, 0
}

func (g *guard) response(r *base.Response) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer, g.received = nil, 0
	if to := r.Header["Location"]; len(to) == 1 {
		g.redirects = ingest.RedactURL(to[0])
	}
}

// guardedConn notes what the camera says until the stream plays.
type guardedConn struct {
	net.Conn
	guard *guard
}

func (c *guardedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	g := c.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.playing {
		g.received += n
		g.answer = append(g.answer, b[:min(n, maxNoted-len(g.answer))]...)
	}
	return n, err
}

// explain replaces an error of the library that says less than is known here.
func (g *guard) explain(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || g.playing || errors.Is(err, ingest.ErrPermanent) {
		return err
	}
	if g.late {
		err = fmt.Errorf("connecting took longer than %v: %w", g.limit(), context.DeadlineExceeded)
	}
	timedOut := g.late || errors.As(err, &liberrors.ErrClientRequestTimedOut{})
	encrypted := g.pull.url.Scheme == "rtsps"
	switch malformed := malformation(g.answer); {
	case timedOut && g.conn != nil && g.received == 0:
		return fmt.Errorf("it accepts the connection and does not answer %s: does the camera hang, or is this not its RTSP port? (%w)",
			g.asked, explained{err})
	case encrypted:
		return err
	case malformed != "":
		return fmt.Errorf("its answer to %s is not RTSP, %s: is this its RTSP port? (%w)", g.asked, malformed, explained{err})
	case timedOut && g.received > 0:
		return fmt.Errorf("its answer to %s did not end in time, after %d bytes: does the camera hang? (%w)", g.asked, g.received, explained{err})
	}
	var network net.Error
	if len(g.answer) > 0 && !errors.Is(err, io.EOF) && !errors.As(err, &network) {
		return fmt.Errorf("its answer to %s is not valid RTSP: %w", g.asked, err)
	}
	return err
}

// explained is an error that needs none of the usual hints.
type explained struct{ error }

func (e explained) Unwrap() error { return e.error }

// malformation says what is wrong with the beginning of an answer (RFC 2326 section 7); "" is nothing. Interleaved
// packets, which may come between answers, are not looked into.
func malformation(answer []byte) string {
	if len(answer) == 0 || answer[0] == '$' {
		return ""
	}
	const protocol = "RTSP/"
	head, _, ended := bytes.Cut(answer, []byte("\r\n\r\n"))
	lines := bytes.Split(head, []byte("\r\n"))
	if first := lines[0]; !bytes.HasPrefix(first, []byte(protocol)[:min(len(first), len(protocol))]) {
		return fmt.Sprintf("beginning with %q", clip(first))
	}
	fields := lines[1:]
	if !ended && len(fields) > 0 {
		fields = fields[:len(fields)-1] // still coming
	}
	for _, l := range fields {
		if name, _, ok := bytes.Cut(l, []byte(":")); !ok || len(name) == 0 {
			return fmt.Sprintf("with the header line %q", clip(l))
		}
	}
	return ""
}

// clip shortens what a stranger says, for an error text.
func clip(b []byte) []byte { return b[:min(len(b), 60)] }
