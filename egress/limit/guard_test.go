package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// guarded is a Guard with a comparison that takes a second of fake time and counts itself.
type guarded struct {
	*Guard
	asked, now, most atomic.Int32
}

func (g *guarded) check(from, user, password string, stop <-chan struct{}) (bool, error) {
	c := Credentials{Host: netip.MustParsePrefix(from + "/32"), User: user, Hash: "hash", Password: password}
	return g.Check(c, stop, func() bool {
		g.asked.Add(1)
		if n := g.now.Add(1); n > g.most.Load() {
			g.most.Store(n)
		}
		time.Sleep(time.Second)
		g.now.Add(-1)
		return password == "right"
	})
}

const goodHost, badHost = "10.0.0.1", "10.0.0.2"

func TestGuardComparesOnceAndOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{Guard: NewGuard()}
		g.Patience = time.Minute // here everybody gets a turn
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				if ok, err := g.check(goodHost, "viewer", "right", nil); !ok || err != nil {
					t.Errorf("refused: %v", err)
				}
			})
			wg.Go(func() {
				if ok, err := g.check(badHost, "viewer", fmt.Sprint("wrong", i), nil); ok || err != nil {
					t.Errorf("let in, or %v", err)
				}
			})
		}
		wg.Wait()
		if g.most.Load() != 1 || g.asked.Load() != 5 {
			t.Errorf("%d comparisons, %d at once", g.asked.Load(), g.most.Load())
		}
		time.Sleep(remember)
		if ok, _ := g.check(goodHost, "viewer", "right", nil); !ok || g.asked.Load() != 6 {
			t.Error("remembered for too long")
		}
		ok, _ := g.Check(Credentials{User: "viewer", Hash: "new hash", Password: "right"}, nil, func() bool { return false })
		if ok {
			t.Error("remembered in spite of a new hash")
		}
	})
}

func TestGuardBarsWhoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{Guard: NewGuard()}
		if ok, _ := g.check(badHost, "viewer", "right", nil); !ok { // one who has logged in from there
			t.Fatal("refused")
		}
		g.asked.Store(0)
		var refused atomic.Int32
		var wg sync.WaitGroup
		for i := range 300 { // at once, but they get their turns one by one
			wg.Go(func() {
				if _, err := g.check(badHost, "viewer", fmt.Sprint("wrong", i), nil); errors.Is(err, ErrGuessing) {
					refused.Add(1)
				}
			})
			time.Sleep(100 * time.Millisecond)
		}
		began := time.Now()
		if ok, err := g.check(goodHost, "viewer", "right too", nil); ok || err != nil || time.Since(began) > time.Second {
			t.Errorf("another host, another password: %v, %v after %v", ok, err, time.Since(began))
		}
		wg.Wait()
		if g.asked.Load() != mostWrong+1 || refused.Load() == 0 {
			t.Errorf("%d comparisons, want %d; %d refused", g.asked.Load(), mostWrong+1, refused.Load())
		}
		if ok, _ := g.check(badHost, "viewer", "right", nil); !ok || g.asked.Load() != mostWrong+1 {
			t.Error("who has logged in before must not be barred")
		}
		if ok, _ := g.check(badHost, "other", "right", nil); !ok {
			t.Error("another user of that host is barred")
		}
		time.Sleep(wrongWindow)
		g.asked.Store(0)
		if _, _ = g.check(badHost, "viewer", "wrong again", nil); g.asked.Load() != 1 {
			t.Error("barred for ever")
		}
	})
}

// A client with a wrong password in its settings tries it again and again: that bars nobody.
func TestGuardBearsWithAMistake(t *testing.T) {
	for kind, check := range map[string]func(g *guarded, password string) (bool, error){
		"slow": func(g *guarded, password string) (bool, error) { return g.check(badHost, "viewer", password, nil) },
		"quick": func(g *guarded, password string) (bool, error) {
			c := Credentials{Host: netip.MustParsePrefix(badHost + "/32"), User: "viewer", Password: password}
			return g.CheckQuick(c, func() bool { g.asked.Add(1); return password == "right" })
		},
	} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &guarded{Guard: NewGuard()}
				for range 5 * mostWrong {
					if ok, err := check(g, "old"); ok || err != nil {
						t.Fatalf("%v, %v", ok, err)
					}
					time.Sleep(2 * time.Second)
				}
				if ok, err := check(g, "right"); !ok {
					t.Errorf("a neighbour is refused: %v", err)
				}
				if n := g.asked.Load(); n > 4 {
					t.Errorf("%d comparisons", n)
				}
			})
		})
	}
}

// However many fail, who is barred stays barred, and others may fail as often as anybody. More guessers than a Guard can
// tell apart count together.
func TestGuardKeepsBarsInAFlood(t *testing.T) {
	host := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	for name, flood := range map[string]struct{ hosts, each int }{
		"many fail once": {3 * mostHosts, 1},
		"many guess":     {mostHosts - 1, mostWrong},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGuard()
			try := func(host netip.Prefix, user string, n int) error {
				c := Credentials{Host: host, User: user, Password: fmt.Sprint(n)}
				_, err := g.Check(c, nil, func() bool { return false })
				return err
			}
			bad, good := host(1<<20), host(1<<20+1)
			for i := range mostWrong {
				if err := try(bad, "viewer", i); err != nil {
					t.Fatal(err)
				}
			}
			for i := range flood.hosts {
				for n := range flood.each {
					_ = try(host(i), "viewer", mostWrong+i*flood.each+n)
				}
			}
			for i := range mostWrong + 1 {
				err := try(good, "viewer", -2-i)
				if barred := errors.Is(err, ErrGuessing); i == 0 && barred || i == mostWrong && !barred {
					t.Errorf("guess %d of another host: %v", i, err)
				}
			}
			if err := try(bad, "viewer", -1); !errors.Is(err, ErrGuessing) {
				t.Errorf("a guesser is not barred any more: %v", err)
			}
			if len(g.failures) > mostHosts {
				t.Errorf("%d are remembered", len(g.failures))
			}
		})
	}
}

func TestGuardOfQuickComparisons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGuard()
		bad, good := netip.MustParsePrefix(badHost+"/32"), netip.MustParsePrefix(goodHost+"/32")
		asked := 0
		try := func(host netip.Prefix, user string, right bool) (bool, error) {
			return g.CheckQuick(Credentials{Host: host, User: user}, func() bool { asked++; return right })
		}
		for range 3 * mostWrong {
			_, _ = try(bad, "viewer", false)
		}
		if asked != mostWrong {
			t.Errorf("%d guesses, want %d", asked, mostWrong)
		}
		if ok, err := try(bad, "viewer", true); ok || !errors.Is(err, ErrGuessing) {
			t.Errorf("%v, %v: the guess that is right must not show", ok, err)
		}
		for _, c := range []struct {
			host netip.Prefix
			user string
		}{{good, "viewer"}, {bad, "other"}} {
			if ok, err := try(c.host, c.user, true); !ok {
				t.Errorf("%v: %v", c, err)
			}
		}
		time.Sleep(wrongWindow + 1)
		if ok, err := try(bad, "viewer", true); !ok {
			t.Errorf("barred for ever: %v", err)
		}
	})
}

func TestGuardWaitsNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{Guard: NewGuard()}
		g.turn <- struct{}{} // somebody's comparison hangs
		began := time.Now()
		if _, err := g.check(goodHost, "viewer", "right", nil); !errors.Is(err, ErrBusy) || time.Since(began) != patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		stop := make(chan struct{})
		close(stop)
		began = time.Now()
		if _, err := g.check(goodHost, "viewer", "right", stop); !errors.Is(err, ErrBusy) || time.Since(began) != 0 {
			t.Errorf("%v after %v, though the server ends", err, time.Since(began))
		}
	})
}

// What is remembered is bounded, and tells nobody a password.
func TestGuardForgets(t *testing.T) {
	g := NewGuard()
	for i := range 3 * mostKnown {
		ok := i%2 == 0
		host := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 32)
		_, _ = g.Check(Credentials{Host: host, User: "u", Password: fmt.Sprint(i)}, nil, func() bool { return ok })
	}
	for range 3 * mostHosts {
		_, _ = g.CheckQuick(Credentials{User: fmt.Sprint(len(g.failures))}, func() bool { return false })
	}
	if len(g.right) > mostKnown || len(g.wrong) > mostKnown || len(g.failures) > mostHosts {
		t.Errorf("%d right, %d wrong, %d hosts are remembered", len(g.right), len(g.wrong), len(g.failures))
	}
	c := Credentials{User: "a", Password: "b"}
	same := c
	if g.id(c) != g.id(same) || g.id(Credentials{User: "ab"}) == g.id(c) || NewGuard().id(c) == g.id(c) {
		t.Error("identities are wrong")
	}
}
