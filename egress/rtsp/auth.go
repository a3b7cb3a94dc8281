package rtsp

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"golang.org/x/crypto/bcrypt"

	"rave/egress/limit"
)

// User may read or publish. Name and exactly one of Password and PasswordHash are set.
type User struct {
	Name         string
	Password     string   // in clear; digest and basic are offered if all users have this
	PasswordHash string   // bcrypt; then only basic is offered
	Read         bool     //
	Publish      bool     //
	Streams      []string // patterns of path.Match, matched against the path and against its first element; nil: all
}

// action is what a client wants.
type action uint8

const (
	toRead action = iota
	toPublish
)

func (a action) String() string {
	if a == toPublish {
		return "publish"
	}
	return "read"
}

// errUnauthorized asks for (other) credentials; errForbidden says that the user may not.
var (
	errUnauthorized = errors.New("credentials are missing or wrong")
	errForbidden    = errors.New("not allowed")
)

// authenticator knows the users. With none everybody may do everything. It does not change: other users are another one.
type authenticator struct {
	users   []User
	digest  bool // all passwords are in clear
	guard   *limit.Guard
	closing <-chan struct{} // the server ends: nobody waits any more
}

func newAuthenticator(users []User, guard *limit.Guard, closing <-chan struct{}) (*authenticator, error) {
	a := &authenticator{users: users, digest: true, guard: guard, closing: closing}
	for i, u := range users {
		switch {
		case u.Name == "":
			return nil, fmt.Errorf("user %d has no name", i+1)
		case (u.Password == "") == (u.PasswordHash == ""):
			return nil, fmt.Errorf("user %s needs either a password or a password hash", u.Name)
		}
		if u.PasswordHash != "" {
			if _, err := bcrypt.Cost([]byte(u.PasswordHash)); err != nil {
				return nil, fmt.Errorf("user %s: the password hash is not bcrypt: %w", u.Name, err)
			}
			a.digest = false
		}
		for _, pattern := range u.Streams {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("user %s: stream pattern %q: %w", u.Name, pattern, err)
			}
		}
	}
	return a, nil
}

// identify finds the user whose credentials a request carries; nil if there are no users. Its error is errUnauthorized or
// one of limit.Guard. It may wait.
func (a *authenticator) identify(c *gortsplib.ServerConn, req *base.Request) (*User, error) {
	if len(a.users) == 0 {
		return nil, nil
	}
	name, claimed := claimedName(req)
	if !claimed && a.digest { // this draws the nonce that the request for credentials will carry
		c.VerifyCredentials(req, a.users[0].Name, a.users[0].Password)
	}
	i := slices.IndexFunc(a.users, func(u User) bool { return claimed && u.Name == name })
	if i < 0 {
		return nil, errUnauthorized
	}
	u := &a.users[i]
	ok, err := a.matches(c, req, u)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, errUnauthorized
	}
	return u, nil
}

// matches compares a request's credentials with a user's.
func (a *authenticator) matches(c *gortsplib.ServerConn, req *base.Request, u *User) (bool, error) {
	host := limit.Host(c.NetConn().RemoteAddr())
	_, password, basic := basicCredentials(req)
	guess := limit.Credentials{Host: host, User: u.Name, Hash: u.PasswordHash + u.Password, Password: password}
	switch {
	case u.PasswordHash == "":
		return a.guard.CheckQuick(guess, func() bool {
			if basic {
				return subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
			}
			return a.digest && c.VerifyCredentials(req, u.Name, u.Password)
		})
	case !basic:
		return false, nil
	default:
		return a.guard.Check(guess, a.closing, func() bool {
			return bcrypt.CompareHashAndPassword([]byte(u.PasswordHash), []byte(password)) == nil
		})
	}
}

// claimedName is the user that a request claims to come from.
func claimedName(req *base.Request) (name string, ok bool) {
	if name, _, ok = basicCredentials(req); ok {
		return name, true
	}
	var h headers.Authorization
	err := h.Unmarshal(req.Header["Authorization"])
	return h.Username, err == nil && h.Username != ""
}

// basicCredentials reads an Authorization header (RFC 7617). gortsplib's own reader takes no colon in a password.
func basicCredentials(req *base.Request) (name, password string, ok bool) {
	h := req.Header["Authorization"]
	if len(h) != 1 {
		return "", "", false
	}
	scheme, value, _ := strings.Cut(h[0], " ")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil || !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	return strings.Cut(string(decoded), ":")
}

// grant lets the user do something with a path, or says why not: errForbidden wrapped with the reason. Nobody in
// particular, nil, may do everything.
func (u *User) grant(what action, name string) (*grant, error) {
	if u != nil && !u.may(what, name) {
		return nil, fmt.Errorf("user %s may not %s %s: %w", u.Name, what, name, errForbidden)
	}
	return &grant{user: u, what: what, path: name}, nil
}

// may reports that the user may do something with a path.
func (u *User) may(what action, name string) bool {
	allowed := u.Read
	if what == toPublish {
		allowed = u.Publish
	}
	return allowed && u.covers(name)
}

// covers reports that the user's patterns match a path.
func (u *User) covers(name string) bool {
	if u.Streams == nil {
		return true
	}
	stream, _, _ := strings.Cut(name, "/")
	for _, pattern := range u.Streams {
		for _, s := range []string{name, stream} {
			if ok, err := path.Match(pattern, s); ok && err == nil {
				return true
			}
		}
	}
	return false
}
