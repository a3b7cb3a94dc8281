package config

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// User may log in at the RTSP and HTTP servers.
type User struct {
	Name         string
	Password     Secret // in clear: RTSP digest works; empty if PasswordHash is set
	PasswordHash Secret // bcrypt: basic authentication only
	TokenHash    Secret // of a bearer token for HTTP, as HashToken writes it; beside a password or instead
	Permissions  []Permission
	Streams      []string // names of streams, or "*" for all; for read and publish
}

// Permission is something that a user may do.
type Permission string

// The permissions.
const (
	PermRead    Permission = "read"    // play streams
	PermPublish Permission = "publish" // send streams whose source is "publish"
	PermStatus  Permission = "status"  // see all streams, the API and the metrics
	PermAdmin   Permission = "admin"   // add cameras to the configuration
)

// AllStreams in User.Streams stands for every stream.
const AllStreams = "*"

// Equal reports whether two users are configured alike.
func (u User) Equal(o User) bool { return reflect.DeepEqual(u, o) }

// May reports whether the user may do p to the stream, or, for an empty one, to any; the stream does not matter for
// PermStatus and PermAdmin.
func (u User) May(p Permission, stream string) bool {
	if !slices.Contains(u.Permissions, p) {
		return false
	}
	return p == PermStatus || p == PermAdmin || stream == "" || slices.Contains(u.Streams, AllStreams) || slices.Contains(u.Streams, stream)
}

// Verify reports whether password is the user's. With a hash it takes tens of milliseconds of CPU time, on purpose;
// callers that ask often should remember the answer.
func (u User) Verify(password string) bool {
	if u.PasswordHash != "" {
		return bcrypt.CompareHashAndPassword([]byte(u.PasswordHash), []byte(password)) == nil
	}
	return u.Password != "" && subtle.ConstantTimeCompare([]byte(u.Password), []byte(password)) == 1
}

// HashPassword returns what to write behind password_hash.
func HashPassword(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > 72:
		return "", errors.New("the password is longer than the 72 bytes that bcrypt can hash")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(hash), nil
}

// tokenHashPrefix begins what HashToken returns: the way of hashing. A token is long and random, so a quick one does.
const tokenHashPrefix = "sha256:"

// NewToken makes a bearer token.
func NewToken() string {
	return rand.Text() + rand.Text()[:6] // 160 bits
}

// HashToken returns what to write behind token_hash.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return tokenHashPrefix + hex.EncodeToString(sum[:])
}

// Bearer returns the user whose token it is.
func (c *Config) Bearer(token string) (User, bool) {
	hash, found := HashToken(token), -1
	for i, u := range c.Users { // all of them, so that the time says nothing
		if subtle.ConstantTimeCompare([]byte(u.TokenHash), []byte(hash)) == 1 {
			found = i
		}
	}
	if found < 0 {
		return User{}, false
	}
	return c.Users[found], true
}

func defaultUser() User {
	return User{Permissions: []Permission{PermRead}, Streams: []string{AllStreams}}
}

func (u *User) schema() section {
	return section{
		{"name", value(&u.Name, parseUserName, plain)},
		{"password", secret(&u.Password)},
		{"password_hash", scalar{set: u.setHash, get: func() string { return string(u.PasswordHash) },
			show: hide, redact: hide}},
		{"token_hash", scalar{set: u.setTokenHash, get: func() string { return string(u.TokenHash) },
			show: hide, redact: hide}},
		{"permissions", list{get: u.permissions, set: u.setPermissions, check: checkPermission,
			atLeast: "give at least one of read, publish, status and admin"}},
		{"streams", list{get: func() []string { return u.Streams }, set: func(s []string) { u.Streams = s },
			atLeast: `name at least one stream, or "*" for all`}},
	}
}

func (u *User) setHash(text string) error {
	if _, err := bcrypt.Cost([]byte(text)); err != nil {
		return errors.New("is not a bcrypt hash; make one with rave password")
	}
	u.PasswordHash = Secret(text)
	return nil
}

func (u *User) setTokenHash(text string) error {
	sum, ok := strings.CutPrefix(text, tokenHashPrefix)
	if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size || sum != strings.ToLower(sum) {
		return errors.New("is not the hash of a token; make both with rave token")
	}
	u.TokenHash = Secret(text)
	return nil
}

func (u *User) permissions() []string {
	var names []string
	for _, p := range u.Permissions {
		names = append(names, string(p))
	}
	return names
}

func (u *User) setPermissions(names []string) {
	u.Permissions = nil
	for _, n := range names {
		u.Permissions = append(u.Permissions, Permission(n))
	}
}

func checkPermission(text string) error {
	_, err := oneOf("a permission", text, PermRead, PermPublish, PermStatus, PermAdmin)
	return err
}

func parseUserName(text string) (string, error) {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }) {
		return "", errors.New("is not a user name; it is at least one character, without colons and control characters")
	}
	return text, nil
}
