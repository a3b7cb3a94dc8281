package rtsp

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// gate compares passwords with bcrypt hashes for all connections of a server, as seldom as it can: one at a time, so
// that guessing takes no more than one core; never again for credentials that were right a while ago, so that those who
// have logged in wait for nobody; and not for a host that has guessed wrong often.
type gate struct {
	compare func(hash, password []byte) error
	limit   time.Duration // longest wait for one's turn
	turn    chan struct{}
	key     [32]byte // of this process: the memory holds no passwords and no plain hashes of them

	mu       sync.Mutex
	known    map[[32]byte]time.Time // until when
	failures map[netip.Prefix]int   // wrong guesses by host
	since    time.Time              // when counting them began
}

// Bounds of a gate.
const (
	turnLimit   = 5 * time.Second
	remember    = 5 * time.Minute
	mostKnown   = 1024
	mostWrong   = 10 // guesses of one host in wrongWindow
	wrongWindow = time.Minute
	mostHosts   = 4096
)

// errBusy says that too many wait for a check of their password.
var errBusy = errors.New("too many log in at once: try again in some seconds")

func newGate() *gate {
	g := &gate{
		compare: bcrypt.CompareHashAndPassword, limit: turnLimit, turn: make(chan struct{}, 1),
		known: map[[32]byte]time.Time{}, failures: map[netip.Prefix]int{},
	}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

// check reports whether this is the password of a user with a hash. Its error is errBusy. It returns early when stop is
// closed.
func (g *gate) check(host netip.Prefix, u *User, password string, stop <-chan struct{}) (bool, error) {
	id := g.id(u, password)
	switch {
	case g.knows(id):
		return true, nil
	case g.barred(host):
		return false, nil
	}
	wait := time.NewTimer(g.limit)
	defer wait.Stop()
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-wait.C:
		return false, errBusy
	case <-stop:
		return false, errBusy
	}
	// Others of the same host, or with the same credentials, have had their turn meanwhile.
	switch {
	case g.knows(id):
		return true, nil
	case g.barred(host):
		return false, nil
	case g.compare([]byte(u.PasswordHash), []byte(password)) != nil:
		g.failed(host)
		return false, nil
	}
	g.remember(id)
	return true, nil
}

func (g *gate) id(u *User, password string) [32]byte {
	mac := hmac.New(sha256.New, g.key[:])
	for _, s := range []string{u.Name, u.PasswordHash, password} {
		sum := sha256.Sum256([]byte(s))
		_, _ = mac.Write(sum[:])
	}
	return [32]byte(mac.Sum(nil))
}

func (g *gate) knows(id [32]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(g.known[id])
}

func (g *gate) remember(id [32]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= mostKnown {
		clear(g.known)
	}
	g.known[id] = time.Now().Add(remember)
}

// barred reports whether a host has guessed wrong too often of late.
func (g *gate) barred(host netip.Prefix) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.since) > wrongWindow {
		clear(g.failures)
		g.since = time.Now()
	}
	return g.failures[host] >= mostWrong
}

func (g *gate) failed(host netip.Prefix) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.failures) >= mostHosts {
		clear(g.failures)
	}
	g.failures[host]++
}
