package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"rave/egress/limit"
	"rave/engine/problem"
)

// What a visitor may do.
const (
	PermissionStatus  = "status"  // see the status of everything
	PermissionRead    = "read"    // watch a stream
	PermissionPublish = "publish" // send a stream
	PermissionAdmin   = "admin"   // add cameras
)

// Auth knows the users. Check may be slow, as comparing with a hashed password is.
type Auth interface {
	// Check reports whether this is a user's password.
	Check(user, password string) bool
	// Knows reports whether there is a user of that name.
	Knows(user string) bool
	// Bearer returns the name of the user whose token this is; empty if it is nobody's.
	Bearer(token string) string
	// Secret is what a user's password, or token, is compared with; empty if there is none. It tells whether that has changed.
	Secret(user string, token bool) string
	// May reports whether a user has the permission for a stream; for an empty stream, whether for any.
	May(user, permission, stream string) bool
}

// guessDelay is how long a wrong guess takes at least.
const guessDelay = 250 * time.Millisecond

// gate asks an Auth as seldom as it can: a page that refreshes itself must not cost a bcrypt each time (see limit.Guard).
type gate struct {
	auth     Auth // nil: open
	local    bool // only this machine reaches the server, or a proxy on it
	guard    *limit.Guard
	refusals *limit.Refusals
	delay    time.Duration
}

func newGate(auth Auth, local bool, refusals *limit.Refusals) *gate {
	return &gate{auth: auth, local: local, guard: limit.NewGuard(), refusals: refusals, delay: guessDelay}
}

// visitor is who sends a request.
type visitor struct {
	gate    *gate
	user    string // empty: a stranger, or nobody needs to log in
	token   bool   // has logged in with a token, not with a password
	proxied bool   // the request comes through a proxy, from who knows where
}

// may reports whether the visitor has a permission for a stream; for an empty stream, whether for any. While nobody needs
// to log in everybody has all, but for adding cameras from other machines and through proxies.
func (v visitor) may(permission, stream string) bool {
	if v.gate.auth == nil {
		return permission != PermissionAdmin || v.gate.local && !v.proxied
	}
	return v.gate.auth.May(v.user, permission, stream)
}

// settingUsers is the key of the configuration that says who may do what.
const settingUsers = "users"

// Why a visitor is not let in, beside the errors of limit.Guard.
var (
	errStranger = errors.New("log in, as a user of the configuration or with a bearer token")
	errOpen     = errors.New("from other machines and through a proxy only a user with the permission admin may do this, and there are no users: add one in the configuration")
)

// forbidden says which permission a user lacks.
type forbidden struct{ user, permission, stream string }

func (f forbidden) Error() string {
	if f.stream != "" {
		return fmt.Sprintf("user %s lacks the permission %s for stream %s; log in as another user", f.user, f.permission, f.stream)
	}
	return fmt.Sprintf("user %s lacks the permission %s; log in as another user", f.user, f.permission)
}

// admit finds out who sends a request and that one of the permissions is the visitor's, for the stream that the path
// names if it names one. Its error is one of the above, or of limit.Guard.
func (s *Server) admit(r *http.Request, needs []string) (visitor, error) {
	g := s.gate.Load()
	v := visitor{gate: g, proxied: proxied(r)}
	if len(needs) == 0 {
		return v, nil
	}
	stream := r.PathValue("name")
	may := func(permission string) bool { return v.may(permission, stream) }
	if g.auth == nil {
		if !slices.ContainsFunc(needs, may) {
			return v, errOpen
		}
		return v, nil
	}
	var err error
	if v.user, v.token, err = g.identify(r); err != nil {
		return v, err
	}
	if !slices.ContainsFunc(needs, may) {
		return v, forbidden{v.user, strings.Join(needs, " or "), stream}
	}
	return v, nil
}

// identify returns the user whose credentials a request carries, and whether they are a token. Its error is errStranger, or
// of limit.Guard.
func (g *gate) identify(r *http.Request) (user string, token bool, err error) {
	user, guess, compare := g.credentials(r)
	if compare == nil {
		return "", false, errStranger
	}
	ok, err := g.guard.Check(guess, r.Context().Done(), func() bool { return compare() })
	if ok {
		return user, guess.User == bearerAccount, nil
	}
	reason := limit.WrongPassword
	switch {
	case errors.Is(err, limit.ErrBusy):
		reason = limit.Busy
	case errors.Is(err, limit.ErrGuessing):
		reason = limit.Guessing
	default:
		err = errStranger
	}
	g.refusals.Add(reason, "credentials refused", "path", r.URL.Path, "from", r.RemoteAddr)
	select {
	case <-time.After(g.delay):
	case <-r.Context().Done():
	}
	return "", false, err
}

// bearerAccount is what guesses at tokens count against. No user has this name.
const bearerAccount = ":bearer"

// credentials returns whom a request claims to come from, and how to compare; nil for nobody.
func (g *gate) credentials(r *http.Request) (user string, guess limit.Credentials, compare func() bool) {
	host := limit.Host(remote(r))
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(token)
		user = g.auth.Bearer(token)
		return user, limit.Credentials{Host: host, User: bearerAccount, Password: token}, func() bool { return user != "" }
	}
	user, password, ok := r.BasicAuth()
	if !ok {
		return "", guess, nil
	}
	guess = limit.Credentials{Host: host, Password: password}
	if g.auth.Knows(user) {
		guess.User = user
	}
	return user, guess, func() bool { return g.auth.Check(user, password) }
}

// proxied reports whether a proxy has passed the request on, as far as that shows: by the headers that proxies add
// (RFC 9110 section 7.6.3, RFC 7239, and the customary ones), or by HTTP/1.0, which no browser speaks and nginx long
// has spoken unless told otherwise.
func proxied(r *http.Request) bool {
	for _, header := range []string{"Via", "Forwarded", "X-Forwarded-For", "X-Real-IP"} {
		if len(r.Header.Values(header)) > 0 {
			return true
		}
	}
	return !r.ProtoAtLeast(1, 1)
}

// navigates reports whether a page is being opened, rather than something that a page asks for. Browsers tell it only where
// nobody listens in (Fetch Metadata); elsewhere what they accept says it.
func navigates(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// remote is where a request comes from; nil if it is no address.
func remote(r *http.Request) net.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return net.TCPAddrFromAddrPort(from)
}

// refuse answers who is not let in. A known user who opens a page without the permission may log in as another one, which
// browsers offer for status 401 only. They offer it for what a page asks for, too, again and again: so that is answered 403.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var lacks forbidden
	switch {
	case errors.As(err, &lacks):
		s.refusals.Add(limit.NoPermission, "a user lacks a permission", "user", lacks.user, "permission", lacks.permission, "path", r.URL.Path)
		if !navigates(r) {
			problem.WriteKey(w, http.StatusForbidden, settingUsers, "%v", err)
			return
		}
		askToLogIn(w, err)
	case errors.Is(err, errStranger):
		askToLogIn(w, err)
	case errors.Is(err, errOpen):
		problem.WriteKey(w, http.StatusForbidden, settingUsers, "%v", err)
	case errors.Is(err, limit.ErrGuessing):
		w.Header().Set("Retry-After", "60")
		problem.Write(w, http.StatusTooManyRequests, "%v", err)
	default:
		w.Header().Set("Retry-After", "5")
		problem.Write(w, http.StatusServiceUnavailable, "%v", err)
	}
}

func askToLogIn(w http.ResponseWriter, why error) {
	w.Header().Set("WWW-Authenticate", `Basic realm="RAVE", charset="UTF-8"`)
	w.Header().Add("WWW-Authenticate", `Bearer realm="RAVE"`)
	problem.Write(w, http.StatusUnauthorized, "%v", why)
}
