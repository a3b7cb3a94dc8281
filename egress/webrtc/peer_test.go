package webrtc

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rave/engine/media"
)

// candidates lists the addresses in an answer, UDP and TCP apart, with their port.
func candidates(answer, protocol string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?mi)^a=candidate:\S+ 1 `+protocol+` \d+ (\S+) (\d+) typ (\w+)`).FindAllStringSubmatch(answer, -1) {
		all = append(all, fmt.Sprintf("%s:%s %s", m[1], m[2], m[3]))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// A viewer is offered where it has reached us already, and the configured addresses, beside the machine's own.
func TestCandidates(t *testing.T) {
	s := serve(t, Config{PublicAddresses: []string{"203.0.113.7", "2001:db8::7"}})
	mustOpen(t, s.Path("cam", PathConfig{}), media.Track{Kind: media.Video, Codec: media.H264, ClockRate: 90000})
	_, udp, _ := strings.Cut(s.Addr(), ":")
	_, tcp, _ := strings.Cut(s.TCPAddr(), ":")
	const own, v4, v6 = "127.0.0.1:%s host", "203.0.113.7:%s host", "2001:db8::7:%s host"
	for host, want := range map[string][]string{
		"192.0.2.5:8080":     {own, "192.0.2.5:%s host", v6, v4},
		"192.0.2.5":          {own, "192.0.2.5:%s host", v6, v4},
		"[2001:db8::5]:8080": {own, "2001:db8::5:%s host", v6, v4},
		"[2001:db8::5]":      {own, "2001:db8::5:%s host", v6, v4},
		"127.0.0.1:8080":     {own, v6, v4},
		"localhost:8080":     {own, v6, v4},
		"203.0.113.7":        {own, v6, v4}, // not twice
		"":                   {own, v6, v4},
		"no such host!":      {own, v6, v4},
	} {
		v, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), host)
		if err != nil {
			t.Fatal(err)
		}
		v.close("the test is over")
		for protocol, port := range map[string]string{"udp": udp, "tcp": tcp} {
			var all []string
			for _, w := range want {
				all = append(all, fmt.Sprintf(w, port))
			}
			slices.Sort(all)
			got := candidates(answer, protocol)
			if host == "localhost:8080" { // which may have an IPv6 address, too
				got = slices.DeleteFunc(got, func(c string) bool { return strings.HasPrefix(c, "::1:") })
			}
			if !slices.Equal(got, all) {
				t.Errorf("host %q, %s: %q, want %q", host, protocol, got, all)
			}
		}
	}
}

// Other addresses are offered beside one that pion can name: a link-local one has a zone.
func TestBase(t *testing.T) {
	for _, c := range []struct {
		local    string
		loopback bool
		want     string
	}{
		{"127.0.0.1 192.0.2.1", false, "192.0.2.1"},
		{"127.0.0.1 192.0.2.1", true, "127.0.0.1"},
		{"::1 fe80::1%eth0 192.0.2.1", false, "192.0.2.1"},
		{"fe80::1%eth0 2001:db8::1 192.0.2.1", false, "2001:db8::1"},
		{"169.254.1.2 192.0.2.1", false, "192.0.2.1"},
		{"127.0.0.1 fe80::1%eth0 fe80::2%eth1", false, "fe80::1"},
		{"fe80::1%eth0 127.0.0.1", true, "127.0.0.1"},
		{"127.0.0.1", false, ""},
		{"", true, ""},
	} {
		var local []netip.Addr
		for _, a := range strings.Fields(c.local) {
			local = append(local, netip.MustParseAddr(a))
		}
		got, found := baseOf(local, c.loopback)
		if found != (c.want != "") || found && got.String() != c.want {
			t.Errorf("of %q, loopback %v: %v, want %q", c.local, c.loopback, got, c.want)
		}
	}
}

func TestResolve(t *testing.T) {
	for host, want := range map[string]string{
		"192.0.2.5:1": "[192.0.2.5]", "[::ffff:192.0.2.5]:1": "[192.0.2.5]", "[fe80::1%eth0]:1": "[fe80::1]", "": "[]", ":80": "[]",
		"localhost:8080": "[127.0.0.1 ::1]", "cam.LOCALHOST.": "[127.0.0.1 ::1]",
	} {
		if got := fmt.Sprint(resolve(t.Context(), host)); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}

// A server on every interface offers the addresses of this machine, loopback only to who is on it.
func TestCandidatesOfEveryInterface(t *testing.T) {
	s, err := New(Config{Listen: "0.0.0.0:0", TCPListen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustOpen(t, s.Path("cam", PathConfig{}), h264())
	outside := slices.ContainsFunc(s.local(), func(a netip.Addr) bool { return !a.IsLoopback() })
	for host, loopback := range map[string]bool{"192.0.2.5": !outside, "127.0.0.1": true} {
		v, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), host)
		if err != nil {
			t.Fatal(err)
		}
		v.close("the test is over")
		all := candidates(answer, "udp")
		has := slices.ContainsFunc(all, func(c string) bool { return strings.HasPrefix(c, "127.") })
		if has != loopback || !slices.ContainsFunc(all, func(c string) bool { return strings.HasPrefix(c, host+":") }) {
			t.Errorf("host %s: %q", host, all)
		}
	}
}
