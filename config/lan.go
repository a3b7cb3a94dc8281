package config

import "net"

// ForLAN opens HTTP and WebRTC to the network: addresses that only this machine reaches become those of every interface,
// with the same ports. A certificate or users that are configured stay; else t and u are taken. It reports whether u was.
// RTSP stays as it is.
func (c *Config) ForLAN(u User, t TLS) bool {
	for _, listen := range []*string{&c.HTTP.Listen, &c.WebRTC.Listen, &c.WebRTC.TCPListen} {
		if _, port, err := net.SplitHostPort(*listen); err == nil && loopback(*listen) {
			*listen = net.JoinHostPort("", port)
		}
	}
	if c.HTTP.TLS == (TLS{}) {
		c.HTTP.TLS = t
	}
	if !c.Open() || c.Auth == AuthNone {
		return false
	}
	c.Users = []User{u}
	return true
}
