package rtsp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
)

// silentPatience is how long a reader over UDP is kept that gives no sign of life while it is sent nothing.
const silentPatience = 10 * time.Minute

// SetSilent says that the path's source is away, so that nothing may be written for a while, or that it is back. Some
// readers over UDP, FFmpeg's among them, give signs of life only when they are given packets: they are not dropped for
// the want of them meanwhile.
func (p *Path) SetSilent(silent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !silent:
		p.silent = time.Time{}
	case p.silent.IsZero():
		p.silent = time.Now()
	}
}

// excuses reports that no sign of life can be expected of a reader.
func (p *Path) excuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.silent.IsZero() && time.Since(p.silent) < silentPatience
}

// pulse keeps a session alive whose reader says nothing. gortsplib ends one over UDP after a minute without a request or a
// report, which cannot be told otherwise than by a request: it counts wherever it comes from, even if it is refused.
func (s *Server) pulse(ss *gortsplib.ServerSession) error {
	s.mu.Lock()
	id := s.ids[ss]
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return fmt.Errorf("keep session alive: %w", err)
	}
	defer conn.Close()
	own := conn.LocalAddr().String()
	s.setOwn(own, true)
	defer s.setOwn(own, false)
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(conn, "GET_PARAMETER rtsp://%s/ RTSP/1.0\r\nCSeq: 1\r\nSession: %s\r\n\r\n", s.Addr(), id); err != nil {
		return fmt.Errorf("keep session alive: %w", err)
	}
	status := make([]byte, len("RTSP/1.0 200"))
	if _, err := io.ReadFull(conn, status); err != nil {
		return fmt.Errorf("keep session alive: %w", err)
	}
	if code := string(status[9:]); code == strconv.Itoa(int(base.StatusSessionNotFound)) {
		return errors.New("keep session alive: it is not known")
	}
	return nil
}

// setID notes what clients call a session; nil is none.
func (s *Server) setID(ss *gortsplib.ServerSession, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.grants[ss]; known {
		s.ids[ss] = id
	}
}

func (s *Server) setOwn(address string, own bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own {
		s.own[address] = true
	} else {
		delete(s.own, address)
	}
}

// isOwn reports that a connection is one of pulse's.
func (s *Server) isOwn(c *gortsplib.ServerConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.own[c.NetConn().RemoteAddr().String()]
}
