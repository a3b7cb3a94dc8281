package web

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"rave/egress/limit"
)

// PermissionStatus is what a visitor needs.
const PermissionStatus = "status"

// Auth knows the users. Check may be slow, as comparing with a hashed password is.
type Auth interface {
	// Check reports whether this is a user's password and the user has the permission.
	Check(user, password, permission string) bool
	// Knows reports whether there is a user of that name.
	Knows(user string) bool
}

// guessDelay is how long a wrong guess takes at least.
const guessDelay = 250 * time.Millisecond

// gate asks an Auth as seldom as it can: a page that refreshes itself must not cost a bcrypt each time (see limit.Guard).
type gate struct {
	auth     Auth // nil: open
	guard    *limit.Guard
	refusals *limit.Refusals
	delay    time.Duration
}

func newGate(auth Auth, refusals *limit.Refusals) *gate {
	return &gate{auth: auth, guard: limit.NewGuard(), refusals: refusals, delay: guessDelay}
}

// allows reports whether the request's user may see the status. An error says why nobody has looked.
func (g *gate) allows(r *http.Request) (bool, error) {
	if g.auth == nil {
		return true, nil
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return false, nil
	}
	guess := limit.Credentials{Host: limit.Host(remote(r)), Password: password}
	if g.auth.Knows(user) {
		guess.User = user
	}
	ok, err := g.guard.Check(guess, r.Context().Done(), func() bool {
		return g.auth.Check(user, password, PermissionStatus)
	})
	if ok {
		return true, nil
	}
	reason := limit.WrongPassword
	switch {
	case errors.Is(err, limit.ErrBusy):
		reason = limit.Busy
	case errors.Is(err, limit.ErrGuessing):
		reason = limit.Guessing
	}
	g.refusals.Add(reason, "credentials refused", "path", r.URL.Path, "from", r.RemoteAddr)
	select {
	case <-time.After(g.delay):
	case <-r.Context().Done():
	}
	return false, err
}

// remote is where a request comes from; nil if it is no address.
func remote(r *http.Request) net.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(from)
}

// refuse answers who may not see the status. err is that of allows.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.Header().Set("WWW-Authenticate", `Basic realm="RAVE", charset="UTF-8"`)
		http.Error(w, "Log in as a user with the permission status.", http.StatusUnauthorized)
	case errors.Is(err, limit.ErrGuessing):
		w.Header().Set("Retry-After", "60")
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	default:
		w.Header().Set("Retry-After", "5")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
