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

// guard bounds what the camera may do until the stream plays: how long each answer and all of it take, and how many
// redirects are followed. gortsplib's own limits are not enough: a silent TLS handshake lasts for ever. Nor are they
// used, since they take a process that was stopped for a while for a camera that was. It notes the beginning of the
// last answer, so that a camera that talks nonsense is not taken for one that is out of reach. One guard serves one
// attempt.
type guard struct {
	pull *Pull
	all  *time.Timer // runs until the stream plays
	one  *time.Timer // runs until the answer is there

	mu        sync.Mutex
	dials     int      // since the last change of transport
	conn      net.Conn // the latest
	expired   string   // what took too long; "": nothing
	playing   bool
	asked     base.Method // the last request
	answer    []byte      // the beginning of what came since
	received  int         // bytes since then
	redirects string      // where the camera sent us last
}

func newGuard(p *Pull) *guard {
	g := &guard{pull: p}
	limit := maxConnecting * p.cfg.ReadTimeout
	g.all = time.AfterFunc(limit, func() { g.expire(fmt.Sprintf("connecting took longer than %v", limit)) })
	g.one = time.AfterFunc(limit, func() { g.expire("request timed out") })
	g.one.Stop()
	return g
}

// expire ends the connection because something took too long.
func (g *guard) expire(what string) {
	g.mu.Lock()
	late := !g.playing
	if late {
		g.expired = what
	}
	g.mu.Unlock()
	if late {
		g.hangUp()
	}
}

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
	g.all.Stop()
	g.one.Stop()
	g.hangUp()
}

// redial begins anew: the transport changes.
func (g *guard) redial() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dials, g.playing = 0, false
	g.all.Reset(maxConnecting * g.pull.cfg.ReadTimeout)
}

// plays says whether the camera has answered PLAY, and the transport has not changed since.
func (g *guard) plays() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.playing
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
	conn, err := (&net.Dialer{Timeout: g.pull.cfg.ReadTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conn = conn
	if g.expired != "" || ctx.Err() != nil { // hangUp came while this was connecting
		_ = conn.Close()
	}
	return &guardedConn{Conn: conn, guard: g}, nil
}

// request and response are told by gortsplib. Cameras may leave keep-alives, which come while playing, unanswered.
func (g *guard) request(r *base.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked, g.answer, g.received = r.Method, nil, 0
	if !g.playing && r.Method != base.Teardown {
		g.one.Reset(g.pull.cfg.ReadTimeout)
	}
}

func (g *guard) response(r *base.Response) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer, g.received = nil, 0
	g.one.Stop()
	if to := r.Header["Location"]; len(to) == 1 {
		g.redirects = ingest.RedactURL(to[0])
	}
	if g.asked == base.Play && r.StatusCode == base.StatusOK {
		g.playing = true
		g.all.Stop()
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

// camera is the address at the other end.
func (g *guard) camera() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.conn.RemoteAddr()
}

// explain replaces an error of the library that says less than is known here.
func (g *guard) explain(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || g.playing || errors.Is(err, ingest.ErrPermanent) {
		return err
	}
	var network net.Error
	encrypted, malformed := g.pull.url.Scheme == "rtsps", malformation(g.answer)
	switch {
	case g.expired != "" && g.conn != nil && g.received == 0:
		return explained{fmt.Errorf("it accepts the connection and does not answer %s: does the camera hang, or is this not its RTSP port? (%s)",
			g.asked, g.expired)}
	case g.expired != "" && (encrypted || malformed == ""):
		return explained{fmt.Errorf("its answer to %s did not end in time, after %d bytes: does the camera hang? (%s)",
			g.asked, g.received, g.expired)}
	case malformed != "" && !encrypted:
		return explained{fmt.Errorf("its answer to %s is not RTSP, %s: is this its RTSP port?", g.asked, malformed)}
	case len(g.answer) > 0 && !encrypted && !errors.Is(err, io.EOF) && !errors.As(err, &network):
		return fmt.Errorf("its answer to %s is not valid RTSP: %w", g.asked, err)
	}
	return err
}

// explained is an error that needs none of the usual hints.
type explained struct{ error }

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
