package rtsp

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/auth"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"golang.org/x/crypto/bcrypt"
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

// authenticator knows the users. With none everybody may do everything.
type authenticator struct {
	users   []User
	methods []auth.VerifyMethod
}

func newAuthenticator(users []User) (*authenticator, error) {
	a := &authenticator{users: users, methods: []auth.VerifyMethod{auth.VerifyMethodDigestMD5, auth.VerifyMethodBasic}}
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
			a.methods = []auth.VerifyMethod{auth.VerifyMethodBasic}
		}
		for _, pattern := range u.Streams {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("user %s: stream pattern %q: %w", u.Name, pattern, err)
			}
		}
	}
	return a, nil
}

// authorize returns nil, errUnauthorized, or errForbidden wrapped with the reason.
func (a *authenticator) authorize(c *gortsplib.ServerConn, req *base.Request, name string, what action) error {
	if len(a.users) == 0 {
		return nil
	}
	u := a.identify(c, req)
	if u == nil {
		return errUnauthorized
	}
	allowed := u.Read
	if what == toPublish {
		allowed = u.Publish
	}
	if !allowed || !u.covers(name) {
		return fmt.Errorf("user %s may not %s %s: %w", u.Name, what, name, errForbidden)
	}
	return nil
}

// identify finds the user whose credentials a request carries.
func (a *authenticator) identify(c *gortsplib.ServerConn, req *base.Request) *User {
	for i := range a.users {
		u := &a.users[i]
		if u.PasswordHash == "" && c.VerifyCredentials(req, u.Name, u.Password) || u.PasswordHash != "" && u.matchesHash(c, req) {
			return u
		}
	}
	return nil
}

// proven is kept with a connection: the digest of the Authorization header's content that bcrypt has accepted, so that
// later requests are cheap. gortsplib handles one request of a connection at a time.
type proven [sha256.Size]byte

func (u *User) matchesHash(c *gortsplib.ServerConn, req *base.Request) bool {
	var h headers.Authorization
	if err := h.Unmarshal(req.Header["Authorization"]); err != nil || h.Method != headers.AuthMethodBasic || h.Username != u.Name {
		return false
	}
	// bcrypt looks at 72 bytes at most; Go refuses to hash more, so a longer password never matches.
	digest := proven(sha256.Sum256([]byte(u.Name + "\x00" + u.PasswordHash + "\x00" + h.BasicPass)))
	if known, ok := c.UserData().(proven); ok && subtle.ConstantTimeCompare(known[:], digest[:]) == 1 {
		return true
	}
	if bcrypt.CompareHashAndPassword([]byte(u.PasswordHash), []byte(h.BasicPass)) != nil {
		return false
	}
	c.SetUserData(digest)
	return true
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
