package rtsp

import (
	"net"
	"testing"
	"time"

	"rave/egress/limit"
)

// What makes one client wait, wrong credentials or a turn at comparing them, or a workaround for its kind, holds up
// nobody else: neither who asks for the same session, nor who comes from elsewhere. A SETUP that nobody can serve gives
// a session without a password.
func TestWaitingHoldsUpNobody(t *testing.T) {
	const long = 4 * time.Second
	for name, c := range map[string]struct {
		user    User
		headers []string // of the SETUP that waits
		reason  string   // counted before it waits; empty: nothing is
		busy    bool     // somebody else's password is being compared
	}{
		"wrong password": {User{Password: "right"}, []string{"Authorization: " + basicAuth("viewer", "wrong")}, limit.WrongPassword, false},
		"turn":           {User{PasswordHash: hash(t, "right")}, []string{"Authorization: " + basicAuth("viewer", "right")}, "", true},
		"GStreamer":      {User{Password: "right"}, []string{"User-Agent: GStreamer/1.22"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			c.user.Name, c.user.Read = "viewer", true
			s := startServer(t, Config{Users: []User{c.user}})
			s.auth.guard.Patience, s.refusePause = long, long
			mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
			if c.busy {
				defer hold(t, s.auth.guard)()
			}
			waits := dialRaw(t, s, "127.0.0.1")
			if a, err := waits.Do("SETUP", "cam1/trackID=0", "Transport: RTP/AVP;multicast"); err != nil || a.Code != 461 || waits.Session == "" {
				t.Fatalf("no session without a password: %q, %v", a.Status, err)
			}
			if err := waits.Request("SETUP", "cam1/trackID=0", append(c.headers, setupTCP)...); err != nil {
				t.Fatal(err)
			}
			if c.reason != "" {
				eventually(t, "it is refused", func() bool { return s.Refused()[c.reason] == 1 })
			}
			checkNobodyWaits(t, s, waits.Session)
		})
	}
}

// gortsplib itself waits when a reader that takes nothing sends PAUSE: until the writing gives up.
func TestPauseOfStalledReaderHoldsUpNobody(t *testing.T) {
	s := startServer(t, Config{WriteTimeout: 4 * time.Second})
	p := s.Path("cam1", PathConfig{})
	mustOpen(t, p, videoTrack())
	stalled := dialRaw(t, s, "127.0.0.1")
	if err := stalled.Conn.SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if err := stalled.PlayTCP("cam1"); err != nil {
		t.Fatal(err)
	}
	for n := 0; p.Stats().Dropped["slow_reader"] == 0; n++ {
		mustWrite(t, p, picture(n, 100_000, n%10 == 0))
	}
	if err := stalled.Request("PAUSE", "cam1"); err != nil {
		t.Fatal(err)
	}
	checkNobodyWaits(t, s, stalled.Session)
}

// checkNobodyWaits has others ask for a session, and somebody else come meanwhile.
func checkNobodyWaits(t *testing.T, s *Server, session string) {
	t.Helper()
	for range 5 {
		began := time.Now()
		other := dialRaw(t, s, "127.0.0.1")
		other.Session = session
		if err := other.Request("GET_PARAMETER", "cam1"); err != nil {
			t.Fatal(err)
		}
		if a, err := dialRaw(t, s, "127.0.0.9").Do("OPTIONS", ""); err != nil || a.Code != 200 {
			t.Fatalf("somebody else: %q, %v", a.Status, err)
		}
		if _, err := other.Answer(); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > time.Second {
			t.Fatalf("others waited for %v", d)
		}
	}
}

// hold keeps a guard busy with one comparison until the function that it returns is called.
func hold(t *testing.T, g *limit.Guard) (release func()) {
	t.Helper()
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		_, _ = g.Check(limit.Credentials{Host: limit.Host(&net.TCPAddr{})}, nil, func() bool { close(entered); <-leave; return false })
	}()
	<-entered
	return func() { close(leave); <-left }
}
