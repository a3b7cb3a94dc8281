package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rave/config"
	web "rave/egress/http"
	"rave/egress/rtsp"
)

// A stream of the name of a page could not be reached, or would hide the page: the configuration refuses every one.
func TestNamesOfPagesAreNoStreams(t *testing.T) {
	none := func(string) web.MediaHandler { return nil }
	s, err := web.New(web.Config{
		Listen: "127.0.0.1:0", Status: func() web.Status { return web.Status{} }, Gatherer: prometheus.NewRegistry(), WHEP: none, WHIP: none,
		Snapshot: func(context.Context, string, string, int) (web.Snapshot, error) { return web.Snapshot{}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(s.Names()) < 5 {
		t.Errorf("names: %q", s.Names())
	}
	for _, name := range s.Names() {
		_, err := config.Parse(fmt.Appendf(nil, "streams: {%q: {source: publish}}", name), "rave.yaml", nil)
		if err == nil {
			t.Errorf("a stream may be called %q", name)
		}
	}
}

// Who has a token only cannot log in to RTSP, which knows none, and that does not open it to everybody.
func TestTokensDoNotOpenRTSP(t *testing.T) {
	cfg, err := config.Parse([]byte("users: [{name: obs, permissions: [read, publish], token_hash: '"+config.HashToken("x")+"'}]"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	users := rtspUsers(cfg)
	if len(users) != 1 || users[0].Read || users[0].Publish || users[0].Password == "" {
		t.Errorf("users of RTSP: %+v", users)
	}
	srv, err := rtsp.New(rtsp.Config{Listen: "127.0.0.1:0", UDPPort: -1, Users: users})
	if err != nil {
		t.Fatal(err)
	}
	_ = srv.Close()
	who := visitors(cfg)
	if name := who.Bearer("x"); name != "obs" || who.Bearer("y") != "" || who.Check("obs", "x") || who.Check("obs", "") {
		t.Errorf("the token is that of %q", name)
	}
	if who.Secret("obs", true) != config.HashToken("x") || who.Secret("obs", false) != "" || who.Secret("nobody", true) != "" {
		t.Errorf("what is compared: %q, %q", who.Secret("obs", true), who.Secret("obs", false))
	}
	for permission, want := range map[string]bool{"read": true, "publish": true, "status": false, "admin": false} {
		if who.May("obs", permission, "cam") != want || who.May("nobody", permission, "") {
			t.Errorf("%s: %v", permission, !want)
		}
	}
	if err := fmt.Sprint(who); strings.Contains(err, config.HashToken("x")) {
		t.Errorf("printed: %s", err)
	}
}
