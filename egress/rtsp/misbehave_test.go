package rtsp

import (
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"rave/bench/rawrtsp"
	"rave/egress/limit"
)

func dialRaw(t *testing.T, s *Server, from string) *rawrtsp.Client {
	t.Helper()
	c, err := rawrtsp.Dial(s.Addr(), from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// witness is a well-behaved reader: whatever others do, it sees every picture.
type witness struct {
	t    *testing.T
	path *Path
	pl   *player
	n    int
}

func newWitness(t *testing.T, s *Server, path *Path) *witness {
	t.Helper()
	mustOpen(t, path, videoTrack())
	w := &witness{t: t, path: path, pl: newPlayer(gortsplib.TransportTCP), n: -1}
	w.pl.play(t, pathURL(s, path.name))
	w.sees(true, 10)
	return w
}

// sees writes the next picture and waits for it.
func (w *witness) sees(keyframe bool, size int) {
	w.t.Helper()
	w.n++
	mustWrite(w.t, w.path, picture(w.n, size, keyframe))
	if got := receive(w.t, w.pl.units, "picture of the witness"); got != w.n {
		w.t.Fatalf("the witness saw picture %d, not %d", got, w.n)
	}
}

// A client that sends its request byte by byte, for ever, is cut like one that says nothing, wherever it is in it.
func TestSlowRequestsAreCut(t *testing.T) {
	const most = 300 * time.Millisecond
	s := startServer(t, Config{IdleTimeout: most})
	w := newWitness(t, s, s.Path("cam1", PathConfig{}))
	began := time.Now()
	cut := map[string]chan error{}
	for where, start := range map[string]string{
		"request line": "DESCRIBE rtsp://x/",
		"header":       "OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\nX: ",
		"body":         "SET_PARAMETER rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 100000\r\n\r\n",
		"frame":        "$\x00\xff\xff",
		"garbage":      "\x00",
	} {
		c := dialRaw(t, s, "")
		if err := c.Send(start); err != nil {
			t.Fatal(err)
		}
		done, ended := make(chan struct{}), make(chan error, 1)
		cut[where] = ended
		go func() { ended <- c.HungUp(waitLimit); close(done) }()
		go func() { // a byte now and then
			tick := time.NewTicker(most / 10)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
					_ = c.Send("a")
				}
			}
		}()
	}
	for where, ended := range cut {
		if err := receive(t, ended, "end of "+where); err != nil {
			t.Errorf("%s: %v", where, err)
		}
		w.sees(false, 10)
	}
	if d := time.Since(began); d < most {
		t.Errorf("cut after %v", d)
	}
}

// Readers over TCP that stop reading cost a bounded amount of memory, and go when they have taken nothing for a while.
func TestStalledReadersAreCut(t *testing.T) {
	const stalled, queue, size = 16, 1 << 20, 100_000
	s := startServer(t, Config{QueueBytes: queue, WriteTimeout: time.Second})
	p := s.Path("cam1", PathConfig{})
	w := newWitness(t, s, p)
	before := liveHeap()
	for range stalled {
		c := dialRaw(t, s, "")
		if err := c.Conn.SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		if err := c.PlayTCP("cam1"); err != nil {
			t.Fatal(err)
		}
	}
	for range 400 { // 40 MB, a keyframe in ten
		w.sees(w.n%10 == 0, size)
	}
	// Shared units, and for each reader what gortsplib queues: 256 packets.
	if grown, most := liveHeap()-before, int64(4*queue+stalled*(1<<20)); grown > most {
		t.Errorf("memory has grown by %d bytes, more than %d", grown, most)
	}
	if n := p.Stats().Dropped["slow_reader"]; n == 0 {
		t.Error("nothing is counted as dropped for slow readers")
	}
	eventually(t, "the stalled readers are gone", func() bool { return p.Stats().Readers == 1 })
	w.sees(false, 10)
}

// liveHeap is what is left after garbage collection.
func liveHeap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A reader over UDP that gives no sign of life is dropped in time, whether its connection lives or not; one that sends
// requests or reports stays, and so does one over TCP, from which nothing need come.
func TestSilentUDPReadersAreDropped(t *testing.T) {
	const most = time.Second
	var logs logBuffer
	s := startServer(t, Config{SessionTimeout: most, Log: slog.New(slog.NewTextHandler(&logs, nil))})
	p := s.Path("cam1", PathConfig{})
	w := newWitness(t, s, p)
	join := func(udp bool) *rawrtsp.Client {
		t.Helper()
		c := dialRaw(t, s, "")
		play := c.PlayTCP
		if udp {
			play = c.PlayUDP
		}
		if err := play("cam1"); err != nil {
			t.Fatal(err)
		}
		return c
	}
	requests, reports := join(true), join(true)
	if _, timeout, _ := strings.Cut(requests.Session, ";timeout="); timeout != "1" {
		t.Errorf("clients are told %q", requests.Session)
	}
	join(false)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- signsOfLife(stop, most/5, requests, reports) }()
	for _, orderly := range []bool{false, true} {
		began := time.Now()
		silent := join(true)
		w.sees(true, 10)
		if _, err := silent.Packet(); err != nil {
			t.Fatal(err)
		}
		if orderly {
			if err := silent.HungUp(waitLimit); err != nil {
				t.Error(err)
			}
		} else {
			silent.Close() // killed: neither its connection nor its ports are there
		}
		eventually(t, "the silent reader is dropped", func() bool { return p.Stats().Readers == 4 })
		if d := time.Since(began); d < most || d > 3*most {
			t.Errorf("dropped after %v", d)
		}
	}
	close(stop)
	if err := receive(t, stopped, "end of the signs of life"); err != nil {
		t.Errorf("a reader that lives: %v", err)
	}
	eventually(t, "those that fall silent are dropped, not the one over TCP", func() bool { return p.Stats().Readers == 2 })
	if n := strings.Count(logs.String(), "no sign of life"); n != 4 {
		t.Errorf("%d readers are said to be dropped: %s", n, logs.String())
	}
}

// signsOfLife sends a request of one client and a report of another at every tick.
func signsOfLife(stop chan struct{}, every time.Duration, requests, reports *rawrtsp.Client) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if a, err := requests.Do("GET_PARAMETER", "cam1"); err != nil || a.Code != 200 {
			return fmt.Errorf("keep-alive: %q, %w", a.Status, err)
		}
		if err := reports.Report(); err != nil {
			return err
		}
	}
}

// Who pauses keeps a session as long as it asks for it.
func TestPausedReaders(t *testing.T) {
	const most = 500 * time.Millisecond
	s := startServer(t, Config{SessionTimeout: most, IdleTimeout: most})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	newWitness(t, s, p)
	paused := func(play func(c *rawrtsp.Client) error) *rawrtsp.Client {
		t.Helper()
		c := dialRaw(t, s, "")
		if err := play(c); err != nil {
			t.Fatal(err)
		}
		if a, err := c.Do("PAUSE", "cam1"); err != nil || a.Code != 200 {
			t.Fatalf("PAUSE: %q, %v", a.Status, err)
		}
		return c
	}
	tcp := func(c *rawrtsp.Client) error { return c.PlayTCP("cam1") }
	asks := paused(tcp)
	for _, c := range []*rawrtsp.Client{paused(tcp), paused(func(c *rawrtsp.Client) error { return c.PlayUDP("cam1") })} {
		ended := make(chan error, 1)
		go func() { ended <- c.HungUp(waitLimit) }()
		for waiting := true; waiting; {
			select {
			case err := <-ended:
				waiting = false
				if err != nil {
					t.Errorf("paused in silence: %v", err)
				}
			case <-time.After(most / 5):
				if a, err := asks.Do("GET_PARAMETER", "cam1"); err != nil || a.Code != 200 {
					t.Fatalf("paused, but alive: %q, %v", a.Status, err)
				}
			}
		}
	}
	if a, err := asks.Do("PLAY", "cam1"); err != nil || a.Code != 200 {
		t.Fatalf("PLAY after PAUSE: %q, %v", a.Status, err)
	}
	if _, err := asks.Frame(); err != nil {
		t.Errorf("nothing comes after PAUSE and PLAY: %v", err)
	}
}

// Wrong passwords by the hundred: a few are compared, the rest refused; elsewhere the right one works meanwhile; the log
// has a line for each kind of refusal, and no password.
func TestGuessesAreLimited(t *testing.T) {
	const guesses = 150
	for kind, user := range map[string]User{
		"clear": {Name: "viewer", Password: "secret-right", Read: true}, "hashed": {Name: "viewer", PasswordHash: hash(t, "secret-right"), Read: true},
	} {
		t.Run(kind, func(t *testing.T) {
			var logs logBuffer
			s := startServer(t, Config{Users: []User{user}, Log: slog.New(slog.NewTextHandler(&logs, nil))})
			mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
			codes := make(chan int, guesses)
			for i := range guesses {
				go func() { codes <- guess(s, "127.0.0.1", fmt.Sprintf("secret-%d", i)) }()
			}
			got := map[int]int{receive(t, codes, "answer"): 1}
			began := time.Now()
			if code := guess(s, "127.0.0.2", "secret-right"); code != 200 || time.Since(began) > s.refusePause {
				t.Errorf("the right password from elsewhere: %d after %v", code, time.Since(began))
			}
			if code := guess(s, "127.0.0.1", "secret-right"); code != 503 && kind == "clear" {
				t.Errorf("the guesser is told whether it is right: %d", code)
			}
			for range guesses - 1 {
				got[receive(t, codes, "answer")]++
			}
			if got[401] != 10 || got[503] != guesses-10 {
				t.Errorf("answers: %v", got)
			}
			if n := s.Refused(); n[limit.WrongPassword] != 10 || n[limit.Guessing] < guesses-10 {
				t.Errorf("counted: %v", n)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if text := logs.String(); strings.Contains(text, "secret") || strings.Count(text, "credentials refused") != 2 {
				t.Errorf("the log: %s", text)
			}
		})
	}
}

// guess describes with a password and returns the code; 0 is no answer.
func guess(s *Server, from, password string) int {
	c, err := rawrtsp.Dial(s.Addr(), from)
	if err != nil {
		return 0
	}
	defer c.Close()
	a, _ := c.Do("DESCRIBE", "cam1", "Authorization: "+basicAuth("viewer", password))
	return a.Code
}

// While guesses keep the guard busy, who has logged in joins again on a new connection, and others are told.
func TestKnownReaderPassesABusyGuard(t *testing.T) {
	s := startServer(t, Config{Users: []User{
		{Name: "viewer", PasswordHash: hash(t, "pass"), Read: true}, {Name: "other", PasswordHash: hash(t, "pass"), Read: true},
	}})
	s.auth.guard.Patience = 20 * time.Millisecond
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	join := func(name string) error {
		u := url.URL{Scheme: "rtsp", User: url.UserPassword(name, "pass"), Host: s.Addr(), Path: "/cam1"}
		p := newPlayer(gortsplib.TransportTCP)
		err := p.tryPlay(u.String())
		if err == nil {
			p.c.Close()
		}
		return err
	}
	checkStatus(t, "first", join("viewer"), "")
	release := hold(t, s.auth.guard)
	checkStatus(t, "again", join("viewer"), "")
	checkStatus(t, "another", join("other"), "503")
	release()
	s.auth.guard.Patience = waitLimit
	checkStatus(t, "another, later", join("other"), "")
}
