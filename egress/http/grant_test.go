package web

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"testing"
)

// grantee keeps what a POST was granted, until something changes.
type grantee struct {
	granted chan context.Context
}

func (g grantee) ServeHTTP(granted context.Context, w http.ResponseWriter, _ *http.Request, _ string) {
	g.granted <- granted
	w.WriteHeader(http.StatusCreated)
}

// sessions is a server whose streams can be watched and published to.
func sessions(t *testing.T, auth Auth, g grantee) *Server {
	find := func(string) MediaHandler { return g }
	return newServer(t, Config{Auth: auth, WHEP: find, WHIP: find})
}

// Who may not do any more what was granted loses it as the users change, and nobody else does.
func TestGrantsFollowTheUsers(t *testing.T) {
	before := map[string][]string{"ann:pw": {"read:cam", "publish:cam"}, "bob:pw": {"read"}}
	with := func(change func(map[string][]string)) *users {
		next := maps.Clone(before)
		change(next)
		return &users{list: next}
	}
	const ann, token, bob = "Authorization: Basic YW5uOnB3", "Authorization: Bearer token-ann", "Authorization: Basic Ym9iOnB3"
	type who struct{ path, login string }
	reads, byToken, sends := who{"/cam/whep", ann}, who{"/cam/original/whep", token}, who{"/cam/whip", ann}
	for _, c := range []struct {
		what string
		next Auth
		gone []who
	}{
		{"the same users", with(func(map[string][]string) {}), nil},
		{"everybody may", nil, nil},
		{"ann has gone", with(func(u map[string][]string) { delete(u, "ann:pw") }), []who{reads, byToken, sends}},
		{"another password", with(func(u map[string][]string) { u["ann:other"] = u["ann:pw"]; delete(u, "ann:pw") }), []who{reads, sends}},
		{"another token", renamed{with(func(map[string][]string) {})}, []who{byToken}},
		{"no permission", with(func(u map[string][]string) { u["ann:pw"] = []string{"read:cam"} }), []who{sends}},
		{"another stream", with(func(u map[string][]string) { u["ann:pw"] = []string{"read:yard", "publish:cam"} }), []who{reads, byToken}},
		{"nobody at all", &users{}, []who{reads, byToken, sends, {"/cam/whep", bob}}},
	} {
		t.Run(c.what, func(t *testing.T) {
			g := grantee{granted: make(chan context.Context, 1)}
			s := sessions(t, &users{list: before}, g)
			all := map[who]context.Context{}
			for _, w := range []who{reads, byToken, sends, {"/cam/whep", bob}} {
				if a := send(s, request("POST", w.path, "", w.login)); a.Code != http.StatusCreated {
					t.Fatalf("%v: %d %s", w, a.Code, a.Body)
				}
				if all[w] = <-g.granted; all[w].Err() != nil {
					t.Errorf("%v: it has ended before", w)
				}
			}
			s.SetAuth(c.next)
			for _, w := range c.gone {
				if !errors.Is(context.Cause(all[w]), errRevoked) {
					t.Errorf("%v: %v", w, context.Cause(all[w]))
				}
				delete(all, w)
			}
			for w, granted := range all {
				if granted.Err() != nil {
					t.Errorf("%v has lost it", w)
				}
			}
			if n := len(s.grants.open); n != len(all) {
				t.Errorf("%d grants are kept, %d stand", n, len(all))
			}
		})
	}
}

// renamed are users whose tokens are compared with something else now.
type renamed struct{ *users }

func (r renamed) Secret(user string, token bool) string {
	if token {
		return "other"
	}
	return r.users.Secret(user, token)
}

// Who came while nobody needed to log in stays as long as that is so, and who has logged in is judged by what comes after.
func TestGrantsOfStrangers(t *testing.T) {
	g := grantee{granted: make(chan context.Context, 1)}
	s := sessions(t, nil, g)
	post := func(login ...string) context.Context {
		t.Helper()
		if a := send(s, request("POST", "/cam/whep", "", login...)); a.Code != http.StatusCreated {
			t.Fatalf("%d %s", a.Code, a.Body)
		}
		return <-g.granted
	}
	stranger := post()
	if again := post(); again != stranger || len(s.grants.open) != 1 {
		t.Error("what is granted twice is kept twice")
	}
	s.SetAuth(nil)
	if stranger.Err() != nil {
		t.Error("a stranger has to go though nobody needs to log in")
	}
	s.SetAuth(&users{list: map[string][]string{"ann:pw": {"read"}}})
	if !errors.Is(context.Cause(stranger), errRevoked) {
		t.Errorf("a stranger stays though one has to log in: %v", context.Cause(stranger))
	}
	ann := post("Authorization: Basic YW5uOnB3")
	s.SetAuth(nil)
	s.SetAuth(&users{list: map[string][]string{"ann:pw": {"read"}}})
	if ann.Err() != nil {
		t.Error("a user has to go though everything is as it was")
	}
	s.SetAuth(&users{list: map[string][]string{"ann:other": {"read"}}})
	if ann.Err() == nil {
		t.Error("a user with the old password stays")
	}
}

// The users may change while a request is answered.
func TestGrantsAreNotLate(t *testing.T) {
	g := grantee{granted: make(chan context.Context, 1)}
	var s *Server
	find := func(string) MediaHandler { // after the visitor was let in
		s.SetAuth(&users{list: map[string][]string{"ann:other": {"read"}}})
		return g
	}
	s = newServer(t, Config{Auth: &users{list: map[string][]string{"ann:pw": {"read"}}}, WHEP: find})
	send(s, request("POST", "/cam/whep", "", "Authorization: Basic YW5uOnB3"))
	if granted := <-g.granted; !errors.Is(context.Cause(granted), errRevoked) || len(s.grants.open) != 0 {
		t.Errorf("it stands: %v, %d are kept", context.Cause(granted), len(s.grants.open))
	}
}
