package web

import (
	"context"
	"errors"
	"sync"
)

// grant is what a visitor was let in for, and as whom.
type grant struct {
	user       string // empty: nobody needed to log in
	token      bool   // logged in with the token, not with the password
	secret     string // that it was compared with
	permission string
	stream     string
}

// stands reports that a visitor who was let in would still be: the same user with the same password or token. Nobody has the
// empty name.
func (g grant) stands(auth Auth) bool {
	return auth == nil || auth.Secret(g.user, g.token) == g.secret && auth.May(g.user, g.permission, g.stream)
}

// grants are those that stand. There is one for each user, permission and stream, however many sessions were made with it.
type grants struct {
	mu   sync.Mutex
	open map[grant]life
}

// life lasts as long as a grant stands.
type life struct {
	ctx context.Context //nolint:containedctx // it is what sessions are given
	end context.CancelCauseFunc
}

// errRevoked is why a life ends.
var errRevoked = errors.New("the users have changed, and it is not allowed any more")

// grant returns a context that ends, with a cause, when the visitor may not do that any more. It has ended already if the
// users have changed since the visitor was let in.
func (s *Server) grant(v visitor, permission, stream string) context.Context {
	g := grant{user: v.user, token: v.token, permission: permission, stream: stream}
	if v.gate.auth != nil {
		g.secret = v.gate.auth.Secret(v.user, v.token)
	}
	s.grants.mu.Lock()
	defer s.grants.mu.Unlock()
	l, ok := s.grants.open[g]
	if ok {
		return l.ctx
	}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	if !g.stands(s.gate.Load().auth) {
		l.end(errRevoked)
		return l.ctx
	}
	s.grants.open[g] = l
	return l.ctx
}

// setGate makes another gate the one to pass, and ends what was granted at the one before and would not be at this one.
func (s *Server) setGate(next *gate) {
	s.grants.mu.Lock()
	defer s.grants.mu.Unlock()
	s.gate.Store(next)
	for g, l := range s.grants.open {
		if !g.stands(next.auth) {
			delete(s.grants.open, g)
			l.end(errRevoked)
		}
	}
}
