package rtsp

import (
	"errors"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortsplib/v4"
)

var (
	goodHost = netip.MustParsePrefix("10.0.0.1/32")
	badHost  = netip.MustParsePrefix("10.0.0.2/32")
	hashUser = &User{Name: "viewer", PasswordHash: "hash"}
)

// slowGate has a comparison that takes a second of fake time and counts itself.
func slowGate(asked, most *atomic.Int32) *gate {
	var now atomic.Int32
	g := newGate()
	g.compare = func(_, password []byte) error {
		asked.Add(1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		time.Sleep(time.Second)
		now.Add(-1)
		if string(password) != "right" {
			return errors.New("wrong")
		}
		return nil
	}
	return g
}

func TestGateAsksOnceAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, most atomic.Int32
		g := slowGate(&asked, &most)
		g.limit = time.Minute // here everybody gets a turn
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if ok, err := g.check(goodHost, hashUser, "right", nil); !ok || err != nil {
					t.Errorf("refused: %v", err)
				}
			})
			wg.Go(func() {
				if ok, err := g.check(badHost, hashUser, "wrong", nil); ok || err != nil && !errors.Is(err, errBusy) {
					t.Errorf("let in, or %v", err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 1 || asked.Load() > 5 {
			t.Errorf("%d comparisons, %d at once", asked.Load(), most.Load())
		}
		time.Sleep(remember)
		before := asked.Load()
		if ok, _ := g.check(goodHost, hashUser, "right", nil); !ok || asked.Load() != before+1 {
			t.Error("remembered for too long")
		}
		if ok, _ := g.check(goodHost, &User{Name: "viewer", PasswordHash: "new hash"}, "right", nil); !ok || asked.Load() != before+2 {
			t.Error("remembered in spite of a new hash")
		}
	})
}

func TestGateBarsWhoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked, most atomic.Int32
		g := slowGate(&asked, &most)
		if ok, _ := g.check(badHost, hashUser, "right", nil); !ok { // one who has logged in from there
			t.Fatal("refused")
		}
		asked.Store(0)
		var wg sync.WaitGroup
		for range 3 * mostWrong { // at once, but they get their turns one by one
			wg.Go(func() { _, _ = g.check(badHost, hashUser, "wrong", nil) })
			time.Sleep(time.Second)
		}
		wg.Wait()
		if asked.Load() != mostWrong {
			t.Errorf("%d comparisons for one host, want %d", asked.Load(), mostWrong)
		}
		if ok, _ := g.check(badHost, hashUser, "right", nil); !ok || asked.Load() != mostWrong {
			t.Error("who has logged in before must not be barred")
		}
		if ok, _ := g.check(goodHost, &User{Name: "other", PasswordHash: "hash"}, "right", nil); !ok {
			t.Error("another host is barred")
		}
		time.Sleep(wrongWindow)
		asked.Store(0)
		if _, _ = g.check(badHost, hashUser, "wrong", nil); asked.Load() != 1 {
			t.Error("barred for ever")
		}
	})
}

func TestGateWaitsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		g.turn <- struct{}{} // somebody's comparison hangs
		began := time.Now()
		if _, err := g.check(goodHost, hashUser, "right", nil); !errors.Is(err, errBusy) || time.Since(began) != turnLimit {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		stop := make(chan struct{})
		close(stop)
		began = time.Now()
		if _, err := g.check(goodHost, hashUser, "right", stop); !errors.Is(err, errBusy) || time.Since(began) != 0 {
			t.Errorf("%v after %v, though the server ends", err, time.Since(began))
		}
	})
}

// While guesses keep the gate busy, who has logged in joins again on a new connection, and others are told.
func TestKnownReaderPassesABusyGate(t *testing.T) {
	s := startServer(t, Config{Users: []User{
		{Name: "viewer", PasswordHash: hash(t, "pass"), Read: true}, {Name: "other", PasswordHash: hash(t, "pass"), Read: true},
	}})
	s.auth.gate.limit = 20 * time.Millisecond
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
	s.auth.gate.turn <- struct{}{}
	checkStatus(t, "again", join("viewer"), "")
	checkStatus(t, "another", join("other"), "503")
	<-s.auth.gate.turn
	checkStatus(t, "another, later", join("other"), "")
}
