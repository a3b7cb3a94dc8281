package rtsp

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bluenviron/gortsplib/v4"
)

// What may change while the server runs: who publishes where, paths, and users.

// AcceptPublish lets clients publish on the path of that name. The session that a former Publisher had accepted there is
// closed.
func (s *Server) AcceptPublish(name string, p Publisher) { s.setPublisher(strings.Trim(name, "/"), p) }

// RefusePublish lets nobody publish on the path of that name any more. The session that its Publisher had accepted is
// closed.
func (s *Server) RefusePublish(name string) { s.setPublisher(strings.Trim(name, "/"), nil) }

func (s *Server) setPublisher(name string, p Publisher) {
	s.mu.Lock()
	former := s.publishers[name]
	if p == nil {
		delete(s.publishers, name)
	} else {
		s.publishers[name] = p
	}
	var gone []*gortsplib.ServerSession
	for ss, of := range s.recorders {
		if former != nil && of == former {
			gone = append(gone, ss)
		}
	}
	s.mu.Unlock()
	for _, ss := range gone {
		ss.Close()
	}
}

// record notes whom a session publishes to. False: that has changed since the session was accepted.
func (s *Server) record(ss *gortsplib.ServerSession, name string, p Publisher) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publishers[name] != p {
		return false
	}
	s.recorders[ss] = p
	return true
}

// Remove ends a path: its readers and its publisher are disconnected, and the next Path of that name is another one.
// Nobody may write to it any more.
func (s *Server) Remove(name string) {
	name = strings.Trim(name, "/")
	s.RefusePublish(name)
	s.mu.Lock()
	p := s.paths[name]
	delete(s.paths, name)
	s.mu.Unlock()
	if p != nil {
		_ = p.Close() // which never fails
	}
}

// grant is what a session was allowed to do, and to whom.
type grant struct {
	user *User // nil: there were no users
	what action
	path string
}

// stands reports that what was granted still is: to the same user, with the same password.
func (a *authenticator) stands(g *grant) bool {
	if len(a.users) == 0 {
		return true
	}
	for i := range a.users {
		u := &a.users[i]
		if g.user != nil && u.Name == g.user.Name && u.Password == g.user.Password && u.PasswordHash == g.user.PasswordHash {
			return u.may(g.what, g.path)
		}
	}
	return false
}

// SetUsers takes the place of Config.Users. Sessions of users who are gone, whose password is another one, or who may no
// longer do what they do, are closed.
func (s *Server) SetUsers(users []User) error {
	s.mu.Lock()
	a, err := newAuthenticator(users, s.guard, s.closing)
	if err != nil {
		s.mu.Unlock()
		return fmt.Errorf("rtsp server: %w", err)
	}
	s.auth = a
	gone := map[*gortsplib.ServerSession]*grant{}
	for ss, g := range s.grants {
		if !a.stands(g) {
			gone[ss] = g
		}
	}
	s.mu.Unlock()
	for ss, g := range gone {
		s.log.Info("disconnected: the users have changed", "stream", streamOf(g.path), "path", g.path, "to", g.what.String())
		ss.Close()
	}
	return nil
}

// errRevoked is what a session gets that was let in while the users changed.
var errRevoked = errors.New("the users have changed: connect again")

// keep notes what a session was granted. False: the users have changed meanwhile, and it is not any more.
func (s *Server) keep(ss *gortsplib.ServerSession, g *grant) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.auth.stands(g) {
		return false
	}
	s.grants[ss] = g
	return true
}

func (s *Server) authenticator() *authenticator {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.auth
}
