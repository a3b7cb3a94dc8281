package config

import (
	"errors"
	"net/netip"
	"strconv"

	"github.com/pion/stun/v4"
)

// WebRTC configures how browsers get video: WHEP and WHIP are spoken over HTTP, the media goes over these ports.
type WebRTC struct {
	Listen          string      // UDP address, host:port, of all peers
	TCPListen       string      // TCP address for those that UDP does not reach
	ICEServers      []ICEServer // STUN and TURN, for us and for browsers
	PublicAddresses []string    // IP addresses under which Listen and TCPListen are reached, beside the machine's own
	MaxViewers      int         // at once, of all streams; 0: WebRTC is off
}

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	URLs       []string
	Username   string
	Credential Secret // browsers are told it: it is no secret from those who may watch
}

func defaultWebRTC() WebRTC {
	return WebRTC{Listen: "127.0.0.1:8189", TCPListen: "127.0.0.1:8189", MaxViewers: 100}
}

func (w *WebRTC) schema() section {
	return section{
		{"listen", value(&w.Listen, parseListen("8189"), plain)},
		{"tcp_listen", value(&w.TCPListen, parseListen("8189"), plain)},
		{"ice_servers", w.iceServers()},
		{"public_addresses", list{get: func() []string { return w.PublicAddresses },
			set: func(a []string) { w.PublicAddresses = a }, check: checkAddress}},
		{"max_viewers", integer(&w.MaxViewers, parseViewers)},
	}
}

// iceServers is the list of servers; variables tell them apart by user name.
func (w *WebRTC) iceServers() records {
	return records{
		key: "username",
		add: func() section {
			w.ICEServers = append(w.ICEServers, ICEServer{})
			return w.ICEServers[len(w.ICEServers)-1].schema()
		},
		at:   func(i int) section { return w.ICEServers[i].schema() },
		size: func() int { return len(w.ICEServers) },
	}
}

func (s *ICEServer) schema() section {
	return section{
		{"urls", list{get: func() []string { return s.URLs }, set: func(urls []string) { s.URLs = urls },
			check: checkICEURL, atLeast: "name at least one, such as stun:stun.example.com:3478"}},
		{"username", value(&s.Username, parseText, plain)},
		{"credential", secret(&s.Credential)},
	}
}

func checkICEURL(text string) error {
	if _, err := stun.ParseURI(text); err != nil {
		return errors.New("is not the URL of an ICE server; use stun:HOST:PORT, turn:HOST:PORT?transport=udp or turns:HOST:PORT")
	}
	return nil
}

func checkAddress(text string) error {
	if a, err := netip.ParseAddr(text); err != nil || a.IsUnspecified() || a.Zone() != "" {
		return errors.New("is not an IP address; use one that viewers can reach, such as 203.0.113.7")
	}
	return nil
}

func parseViewers(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 10000 {
		return 0, errors.New("is not a number of viewers; use 0 for none, or 1 to 10000")
	}
	return n, nil
}

// HidesMedia reports whether viewers on other machines can open the page but get no picture.
func (c *Config) HidesMedia() bool {
	w := c.WebRTC
	return w.MaxViewers > 0 && !loopback(c.HTTP.Listen) && loopback(w.Listen) && loopback(w.TCPListen)
}

// checkWebRTC finds TURN servers that nobody can use.
func (c *Config) checkWebRTC(fail failFunc) {
	for i, s := range c.WebRTC.ICEServers {
		path := "webrtc.ice_servers[" + strconv.Itoa(i) + "]"
		if len(s.URLs) == 0 {
			fail(path+".urls", "is missing; name at least one, such as stun:stun.example.com:3478")
		}
		for _, text := range s.URLs {
			u, err := stun.ParseURI(text)
			turn := err == nil && (u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS)
			if turn && (s.Username == "" || s.Credential == "") {
				fail(path+".credential", "is missing; TURN servers want username and credential")
				break
			}
		}
	}
}
