package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rave/config"
	web "rave/egress/http"
	"rave/egress/rtsp"
	"rave/engine"
	"rave/engine/stats"
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

// Why an enhancer does not serve is said in words and in one word, from what the engine tells.
func TestEnhancersSayWhyTheyDoNotServe(t *testing.T) {
	st := stats.New(prometheus.NewRegistry()).Stream("cam")
	quality := []string{"large", "small", "lanczos"}
	check := func(what string, on bool, want ...string) {
		t.Helper()
		var codes []string
		for i, e := range qualityStatus(quality, st.Snapshot(), on) {
			codes = append(codes, e.ReasonCode)
			if e.Name != quality[i] || (e.Reason != "") != (e.ReasonCode == "slow" || e.ReasonCode == "failed") {
				t.Errorf("%s: %+v", what, e)
			}
		}
		if !slices.Equal(codes, want) {
			t.Errorf("%s: %q, %q is wanted", what, codes, want)
		}
	}
	check("no picture yet", true, "loading", "", "")
	check("the camera is away", false, "", "", "")
	st.RungLoaded("lanczos", nil)
	st.RungChanged("", "lanczos", engine.ChangeLoaded)
	st.Made("lanczos", 1)
	check("the last resort is there at once", true, "loading", "loading", "")
	st.RungLoaded("large", errors.New("no such file"))
	st.RungLoaded("small", nil)
	check("one is missing, the next may serve", true, "failed", "", "")
	st.RungLoaded("large", nil)
	st.RungChanged("lanczos", "large", engine.ChangeLoaded)
	st.Made("large", 1)
	check("the best serves", true, "", "", "")
	st.RungChanged("large", "small", engine.ChangeSlow)
	st.RungChanged("small", "lanczos", engine.ChangeFailed)
	st.Made("lanczos", 1)
	check("too slow, and broken", true, "slow", "failed", "")
	st.RungLoaded("small", nil)
	st.WorkerRestarted("killed")
	check("another worker", true, "slow", "loading", "")
	st.SessionStarted()
	check("another session", true, "loading", "loading", "")
}
