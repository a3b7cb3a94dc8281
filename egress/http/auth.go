package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// PermissionStatus is what a visitor needs.
const PermissionStatus = "status"

// Auth knows the users. Check may be slow, as comparing with a hashed password is.
type Auth interface {
	// Check reports whether this is a user's password and the user has the permission.
	Check(user, password, permission string) bool
}

// gate asks an Auth as seldom as it can: a page that refreshes itself must not cost a bcrypt each time. It remembers
// who was let in for a while, and asks about one visitor at a time, so that guessing takes no more than one core.
type gate struct {
	auth  Auth // nil: open
	delay time.Duration
	turn  chan struct{}
	key   [32]byte // of this process: the memory holds no passwords and no plain hashes of them

	mu    sync.Mutex
	known map[[32]byte]time.Time // until when
}

// How long a visitor is remembered, how many are, and how long a wrong guess takes at least.
const (
	remember   = 5 * time.Minute
	mostKnown  = 256
	guessDelay = 250 * time.Millisecond
)

func newGate(auth Auth) *gate {
	g := &gate{auth: auth, delay: guessDelay, turn: make(chan struct{}, 1), known: map[[32]byte]time.Time{}}
	_, _ = rand.Read(g.key[:]) // never fails
	return g
}

// allows reports whether the request's user may see the status.
func (g *gate) allows(r *http.Request) bool {
	if g.auth == nil {
		return true
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return false
	}
	id := g.id(user, password)
	if g.knows(id) {
		return true
	}
	return g.ask(r.Context(), id, user, password)
}

func (g *gate) ask(ctx context.Context, id [32]byte, user, password string) bool {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	ok := g.knows(id) || g.auth.Check(user, password, PermissionStatus)
	<-g.turn
	if ok {
		g.remember(id)
		return true
	}
	select {
	case <-time.After(g.delay):
	case <-ctx.Done():
	}
	return false
}

func (g *gate) id(user, password string) [32]byte {
	mac := hmac.New(sha256.New, g.key[:])
	for _, s := range []string{user, password} {
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
