package rtsp

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"golang.org/x/crypto/bcrypt"
)

func hash(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

// publisher is a Publisher that takes everybody.
type publisher struct {
	refuse    error
	announced chan *description.Session
	recorded  chan struct{}
	left      chan error
}

func newPublisher() *publisher {
	return &publisher{announced: make(chan *description.Session, 8), recorded: make(chan struct{}, 8), left: make(chan error, 8)}
}

func (p *publisher) Announce(_ *gortsplib.ServerSession, d *description.Session) error {
	p.announced <- d
	return p.refuse
}
func (p *publisher) Record(*gortsplib.ServerSession) error          { p.recorded <- struct{}{}; return nil }
func (p *publisher) Leave(_ *gortsplib.ServerSession, reason error) { p.left <- reason }

func publishTo(s *Server, name string, user *url.Userinfo) (*gortsplib.Client, error) {
	tr := gortsplib.TransportTCP
	c := &gortsplib.Client{Transport: &tr}
	u := url.URL{Scheme: "rtsp", User: user, Host: s.Addr(), Path: "/" + name}
	v, err := newOutTrack(videoTrack())
	if err != nil {
		return nil, err
	}
	return c, c.StartRecording(u.String(), &description.Session{Medias: []*description.Media{v.media}})
}

func TestAuth(t *testing.T) {
	const hard = `p@s:s#w!o%rd "x`
	clear := []User{
		{Name: "viewer", Password: hard, Read: true},
		{Name: "camera", Password: "cam-pass", Publish: true},
		{Name: "guest", Password: "guest-pass", Read: true, Publish: true, Streams: []string{"lobby*", "cam1/original"}},
	}
	hashed := []User{
		{Name: "viewer", PasswordHash: hash(t, hard), Read: true},
		{Name: "camera", PasswordHash: hash(t, "cam-pass"), Publish: true},
		{Name: "guest", Password: "guest-pass", Read: true, Publish: true, Streams: []string{"lobby*", "cam1/original"}},
	}
	login := url.UserPassword
	for name, users := range map[string][]User{"digest": clear, "basic": hashed} {
		t.Run(name, func(t *testing.T) {
			var logs logBuffer
			s := startServer(t, Config{Users: users, Log: slog.New(slog.NewTextHandler(&logs, nil))})
			for _, path := range []string{"cam1", "cam1/original", "lobby1", "lobby1/original"} {
				mustOpen(t, s.Path(path, PathConfig{}), videoTrack())
				s.AcceptPublish(path, newPublisher())
			}
			for _, c := range []struct {
				user          *url.Userinfo
				path          string
				read, publish string // expected status; "" is success
			}{
				{nil, "cam1", "401", "401"},
				{login("viewer", hard), "cam1", "", "403"},
				{login("viewer", "wrong-pass"), "cam1", "401", "401"},
				{login("nobody", hard), "cam1", "401", "401"},
				{login("camera", "cam-pass"), "cam1", "403", ""},
				{login("guest", "guest-pass"), "cam1", "403", "403"},
				{login("guest", "guest-pass"), "cam1/original", "", ""},
				{login("guest", "guest-pass"), "lobby1", "", ""},
				{login("guest", "guest-pass"), "lobby1/original", "", ""},
			} {
				u := url.URL{Scheme: "rtsp", User: c.user, Host: s.Addr(), Path: "/" + c.path}
				p := newPlayer(gortsplib.TransportTCP)
				err := p.tryPlay(u.String())
				checkStatus(t, fmt.Sprintf("%v reads %s", c.user, c.path), err, c.read)
				if err == nil {
					p.c.Close()
				}
				pub, err := publishTo(s, c.path, c.user)
				checkStatus(t, fmt.Sprintf("%v publishes %s", c.user, c.path), err, c.publish)
				if err == nil {
					pub.Close()
				}
			}
			for _, secret := range []string{hard, "wrong-pass", "cam-pass", "guest-pass"} {
				if strings.Contains(logs.String(), secret) {
					t.Errorf("the log shows %q", secret)
				}
			}
			if !strings.Contains(logs.String(), "credentials refused") {
				t.Errorf("refused credentials are not logged: %s", logs.String())
			}
		})
	}
}

func checkStatus(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// SETUP without DESCRIBE must not slip past.
func TestAuthOfSetup(t *testing.T) {
	s := startServer(t, Config{Users: []User{{Name: "viewer", Password: "pass", Read: true}}})
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	u, err := base.ParseURL("rtsp://" + s.Addr() + "/cam1")
	if err != nil {
		t.Fatal(err)
	}
	c := &gortsplib.Client{Scheme: u.Scheme, Host: u.Host}
	if err := c.Start2(); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v, err := newOutTrack(videoTrack())
	if err != nil {
		t.Fatal(err)
	}
	v.media.Control = "trackID=0"
	_, err = c.Setup(u, v.media, 0, 0)
	checkStatus(t, "SETUP", err, "401")
}

// A client that has an old password and does not give up keeps nobody at its address out, if it uses basic authentication.
func TestRepeatedMistakeBarsNobody(t *testing.T) {
	const times = 12
	for kind, user := range map[string]User{"clear": {Password: "right"}, "hashed": {PasswordHash: hash(t, "right")}} {
		t.Run(kind, func(t *testing.T) {
			user.Name, user.Read = "viewer", true
			s := startServer(t, Config{Users: []User{user}})
			mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
			codes := make(chan int, times)
			for range times {
				go func() { codes <- guess(s, "127.0.0.1", "old") }()
			}
			for range times {
				if code := receive(t, codes, "answer"); code != 401 {
					t.Errorf("the old password: %d", code)
				}
			}
			if code := guess(s, "127.0.0.1", "right"); code != 200 {
				t.Errorf("the right password: %d", code)
			}
		})
	}
}

func TestUserErrors(t *testing.T) {
	for _, c := range []struct {
		user User
		want string
	}{
		{User{Password: "x"}, "user 1 has no name"},
		{User{Name: "a"}, "either a password or a password hash"},
		{User{Name: "a", Password: "x", PasswordHash: "y"}, "either a password or a password hash"},
		{User{Name: "a", PasswordHash: "plain-text"}, "not bcrypt"},
		{User{Name: "a", Password: "x", Streams: []string{"[a"}}, `stream pattern "[a"`},
	} {
		_, err := New(Config{Listen: "127.0.0.1:0", Users: []User{c.user}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.user, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "plain-text") {
			t.Errorf("%v shows the value", err)
		}
	}
}

func TestAnnounce(t *testing.T) {
	s := startServer(t, Config{})
	pub, busy := newPublisher(), newPublisher()
	busy.refuse = fmt.Errorf("stream busy has a publisher already")
	s.AcceptPublish("cam1", pub)
	s.AcceptPublish("busy", busy)
	s.Path("pulled", PathConfig{})
	for _, c := range []struct{ path, status, reason string }{
		{"unknown", "404", `configure it with "source: publish"`},
		{"pulled", "403", "has a source of its own"},
		{"busy", "406", "has a publisher already"},
	} {
		_, err := publishTo(s, c.path, nil)
		checkStatus(t, c.path, err, c.status)
		checkStatus(t, c.path, err, c.reason)
	}
	c, err := publishTo(s, "cam1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := receive(t, pub.announced, "ANNOUNCE"); len(d.Medias) != 1 {
		t.Errorf("announced %+v", d)
	}
	receive(t, pub.recorded, "RECORD")
	if _, err := c.Pause(); err == nil {
		t.Error("a publisher must not pause")
	}
	c.Close()
	if err := receive(t, pub.left, "leaving"); err == nil {
		t.Error("no reason")
	}
	select {
	case <-busy.left:
		t.Error("a refused publisher left")
	default:
	}
}

func basicAuth(name, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}
