package config

import "testing"

func TestForLAN(t *testing.T) {
	u, own := User{Name: "rave", Password: "x", Permissions: []Permission{PermRead}, Streams: []string{AllStreams}}, TLS{"/c.pem", "/k.pem"}
	for _, c := range []struct {
		name, file      string
		http, udp, rtsp string
		tls             TLS
		users           int
		taken           bool
	}{
		{"nothing", "", ":8080", ":8189", "127.0.0.1:8554", own, 1, true},
		{"ports", "http: {listen: 'localhost:1'}\nwebrtc: {listen: '[::1]:2'}", ":1", ":2", "127.0.0.1:8554", own, 1, true},
		{"open already", "auth: none\nhttp: {listen: '192.0.2.1:80'}\nrtsp: {listen: ':1'}", "192.0.2.1:80", ":8189", ":1", own, 0, false},
		{"users", "users: [{name: a, password: b}]", ":8080", ":8189", "127.0.0.1:8554", own, 1, false},
		{"a certificate", "http: {tls: {certificate: a, key: b}}", ":8080", ":8189", "127.0.0.1:8554", TLS{"a", "b"}, 1, true},
	} {
		cfg := parse(t, c.file)
		taken := cfg.ForLAN(u, own)
		if cfg.HTTP.Listen != c.http || cfg.WebRTC.Listen != c.udp || cfg.RTSP.Listen != c.rtsp || cfg.HTTP.TLS != c.tls ||
			len(cfg.Users) != c.users || taken != c.taken || taken && !cfg.Users[0].Equal(u) {
			t.Errorf("%s: taken %v\n%s", c.name, taken, cfg)
		}
		again := parse(t, c.file)
		again.ForLAN(u, own)
		if err := cfg.CheckReload(again); err != nil {
			t.Errorf("%s: cannot be reloaded: %v", c.name, err)
		}
	}
}
