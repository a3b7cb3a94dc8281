package rtsp

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
)

// guest is a client that reads or publishes.
type guest struct {
	*player // of a reader
	done    chan error
}

func guestOf(t *testing.T, c *gortsplib.Client) guest {
	g := guest{done: make(chan error, 1)}
	go func() { g.done <- c.Wait() }()
	t.Cleanup(c.Close)
	return g
}

func reads(t *testing.T, s *Server, path string, user *url.Userinfo) guest {
	t.Helper()
	p := newPlayer(gortsplib.TransportTCP)
	u := url.URL{Scheme: "rtsp", User: user, Host: s.Addr(), Path: "/" + path}
	if err := p.tryPlay(u.String()); err != nil {
		t.Fatalf("%v reads %s: %v", user, path, err)
	}
	g := guestOf(t, p.c)
	g.player = p
	return g
}

func publishes(t *testing.T, s *Server, path string, user *url.Userinfo) guest {
	t.Helper()
	c, err := publishTo(s, path, user)
	if err != nil {
		t.Fatalf("%v publishes to %s: %v", user, path, err)
	}
	return guestOf(t, c)
}

// describe asks without credentials and returns the head of the answer.
func describe(t *testing.T, s *Server, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(waitLimit))
	fmt.Fprintf(conn, "DESCRIBE %s RTSP/1.0\r\nCSeq: 1\r\n\r\n", pathURL(s, path))
	var head strings.Builder
	for lines := bufio.NewScanner(conn); lines.Scan() && lines.Text() != ""; {
		head.WriteString(lines.Text() + "\n")
	}
	return head.String()
}

// TestUsersChange: those whose permission has gone are disconnected, whatever the way it went, and nobody else.
func TestUsersChange(t *testing.T) {
	alice := User{Name: "alice", Password: "a", Read: true}
	bob := User{Name: "bob", Password: "b", Read: true, Publish: true}
	with := func(change func(*User)) []User {
		u := bob
		change(&u)
		return []User{alice, u}
	}
	for name, c := range map[string]struct {
		next           []User
		reads, records bool // bob still does
	}{
		"the same":            {[]User{bob, alice}, true, true},
		"gone":                {[]User{alice}, false, false},
		"another password":    {with(func(u *User) { u.Password = "c" }), false, false},
		"hashed":              {with(func(u *User) { u.Password, u.PasswordHash = "", hash(t, "b") }), false, false},
		"no more reading":     {with(func(u *User) { u.Read = false }), false, true},
		"no more publishing":  {with(func(u *User) { u.Publish = false }), true, false},
		"other streams":       {with(func(u *User) { u.Streams = []string{"in"} }), false, true},
		"everybody may again": {nil, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, Config{Users: []User{alice, bob}})
			path := s.Path("cam", PathConfig{})
			mustOpen(t, path, videoTrack())
			s.AcceptPublish("in", newPublisher())
			login := url.UserPassword("bob", "b")
			guests := map[bool][]guest{true: {reads(t, s, "cam", url.UserPassword("alice", "a"))}}
			guests[c.reads] = append(guests[c.reads], reads(t, s, "cam", login))
			guests[c.records] = append(guests[c.records], publishes(t, s, "in", login))
			if err := s.SetUsers(c.next); err != nil {
				t.Fatal(err)
			}
			for _, g := range guests[false] {
				receive(t, g.done, "end of somebody who may no more")
			}
			mustWrite(t, path, picture(7, 10, true))
			for _, g := range guests[true] {
				if g.player != nil {
					receive(t, g.units, "picture for somebody who may still")
				}
				select {
				case err := <-g.done:
					t.Errorf("somebody who may still was disconnected: %v", err)
				default:
				}
			}
		})
	}
}

// TestUsersAppear: who came while everybody might is disconnected, and passwords are asked for from then on: as digests
// only if none of them is known by its hash alone.
func TestUsersAppear(t *testing.T) {
	s := startServer(t, Config{})
	mustOpen(t, s.Path("cam", PathConfig{}), videoTrack())
	nobody := reads(t, s, "cam", nil)
	for _, c := range []struct {
		user   User
		digest bool
	}{
		{User{Name: "alice", Password: "a", Read: true}, true},
		{User{Name: "alice", PasswordHash: hash(t, "b"), Read: true}, false},
		{User{Name: "alice", Password: "c", Read: true}, true},
	} {
		if err := s.SetUsers([]User{c.user}); err != nil {
			t.Fatal(err)
		}
		answer := describe(t, s, "cam")
		if got := strings.Contains(answer, "Digest "); got != c.digest || !strings.Contains(answer, "Basic ") {
			t.Errorf("digest %v is not what is offered: %s", c.digest, answer)
		}
	}
	receive(t, nobody.done, "end of a reader without a user")
	reads(t, s, "cam", url.UserPassword("alice", "c"))
	if err := s.SetUsers([]User{{Name: "nobody"}}); err == nil {
		t.Error("a user without a password was taken")
	}
	reads(t, s, "cam", url.UserPassword("alice", "c")) // the refused ones changed nothing
}

// TestRemove: a path that is removed loses its readers and its publisher, and nobody else loses theirs; the name can be
// used again.
func TestRemove(t *testing.T) {
	s := startServer(t, Config{})
	other := s.Path("other", PathConfig{})
	mustOpen(t, other, videoTrack())
	stays := reads(t, s, "other", nil)
	for range 2 {
		mustOpen(t, s.Path("cam", PathConfig{}), videoTrack())
		pub := newPublisher()
		s.AcceptPublish("cam", pub)
		reader, publisher := reads(t, s, "cam", nil), publishes(t, s, "cam", nil)
		s.Remove("cam")
		receive(t, reader.done, "end of the reader")
		receive(t, publisher.done, "end of the publisher")
		receive(t, pub.left, "Leave")
		if answer := describe(t, s, "cam"); !strings.HasPrefix(answer, "RTSP/1.0 404 ") {
			t.Errorf("the path is still there: %s", answer)
		}
		if _, err := publishTo(s, "cam", nil); err == nil {
			t.Error("somebody publishes to a path that was removed")
		}
	}
	mustWrite(t, other, picture(7, 10, true))
	receive(t, stays.units, "picture of the other path")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.paths) != 1 || len(s.publishers) != 0 {
		t.Errorf("left behind: %v, %v", s.paths, s.publishers)
	}
}

// TestAnotherPublisher: the client of a former Publisher goes, and the next one is the new Publisher's.
func TestAnotherPublisher(t *testing.T) {
	s := startServer(t, Config{})
	first, second := newPublisher(), newPublisher()
	s.AcceptPublish("cam", first)
	old := publishes(t, s, "cam", nil)
	s.AcceptPublish("cam", second)
	receive(t, old.done, "end of the former publisher")
	receive(t, first.left, "Leave")
	publishes(t, s, "cam", nil)
	receive(t, second.announced, "Announce")
	if s.record(nil, "cam", first) {
		t.Error("a client that announced to the former Publisher may record")
	}
}
