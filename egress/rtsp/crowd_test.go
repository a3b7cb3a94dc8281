package rtsp

import (
	"strings"
	"testing"
	"time"

	"rave/bench/rawrtsp"
	"rave/egress/limit"
)

// A crowd of connections that come to nothing is refused beyond the limit, clearly; others get in at once and see every
// picture; and what the crowd took comes back.
func TestCrowdOfHalfOpenConnections(t *testing.T) {
	const most, crowd = 64, 200
	s := startServer(t, Config{MaxConnections: most, IdleTimeout: time.Hour}) // the first stay, however slow the machine is
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	refused := 0
	var held []*rawrtsp.Client
	for i := range crowd {
		c := dialRaw(t, s, "127.0.0.1")
		var err error
		var a rawrtsp.Answer
		if i%2 == 0 {
			a, err = c.Do("OPTIONS", "")
		} else {
			a, err = c.Do("SETUP", "cam1/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		}
		switch {
		case err == nil && a.Code == 503 && strings.Contains(a.Status, "too many of one host"):
			refused++
			if err := c.HungUp(waitLimit); err != nil {
				t.Errorf("refused: %v", err)
			}
		case err == nil:
			held = append(held, c)
		default:
			t.Errorf("neither served nor refused clearly: %q, %v", a.Status, err)
		}
	}
	if len(held) != most || refused != crowd-most {
		t.Errorf("%d of the crowd are held and %d refused", len(held), refused)
	}
	if n := s.Refused()[limit.ManyOfHost]; n != crowd-most {
		t.Errorf("%d are counted", n)
	}
	mustOpen(t, p, videoTrack())
	good := dialRaw(t, s, "127.0.0.2")
	if err := good.PlayTCP("cam1"); err != nil {
		t.Fatalf("a reader from elsewhere: %v", err)
	}
	mustWrite(t, p, picture(0, 10, true))
	if _, err := good.Frame(); err != nil {
		t.Error(err)
	}
	for _, c := range held {
		c.Close()
	}
	servedAgain(t, s)
}

// A crowd that stays is cut after the idle timeout, each of it, and what it took comes back.
func TestCrowdIsCut(t *testing.T) {
	const most = 64
	s := startServer(t, Config{MaxConnections: most, IdleTimeout: 300 * time.Millisecond})
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	var crowd []*rawrtsp.Client
	for i := range most {
		c := dialRaw(t, s, "127.0.0.1")
		if i%2 == 0 {
			_ = c.Request("OPTIONS", "") // that of a slow machine may be cut before
		} else {
			_ = c.Request("SETUP", "cam1/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		}
		crowd = append(crowd, c)
	}
	for i, c := range crowd {
		if err := c.HungUp(waitLimit); err != nil {
			t.Fatalf("the %d. of the crowd: %v", i, err)
		}
	}
	if n := s.Refused()[limit.ManyOfHost]; n > 0 {
		t.Errorf("%d were refused, although the places sufficed", n)
	}
	servedAgain(t, s)
}

// servedAgain waits until connections of 127.0.0.1 are let in.
func servedAgain(t *testing.T, s *Server) {
	t.Helper()
	eventually(t, "the crowd's host is served again", func() bool {
		c, err := rawrtsp.Dial(s.Addr(), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		a, err := c.Do("OPTIONS", "")
		return err == nil && a.Code == 200
	})
}
