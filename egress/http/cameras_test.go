package web

import (
	"testing"
	"time"
)

// Adding cameras is for users with the permission, or without users for this machine; and for no page of another site.
func TestWhoMayAddCameras(t *testing.T) {
	const body, isJSON = `{"name":"yard","source":"rtsp://cam"}`, "Content-Type: application/json"
	serve := func(listen string, auth Auth, origins ...string) *Server {
		cfg := everything()
		cfg.Listen, cfg.Auth, cfg.Origins, cfg.Status = listen, auth, origins, func() Status { return Status{} }
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		s.gate.Load().delay = time.Millisecond
		return s
	}
	people := &users{list: map[string][]string{"boss:pw": {"admin"}, "viewer:pw": {"status", "read", "publish"}}}
	local, wide, closed := serve("127.0.0.1:0", nil, "*"), serve("0.0.0.0:0", nil), serve("0.0.0.0:0", people, "*")
	for _, c := range []struct {
		what    string
		s       *Server
		headers []string
		code    int
	}{
		{"on this machine", local, nil, 201},
		{"on this machine, by the page", local, []string{"Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:8080"}, 201},
		{"on this machine, by a page of an allowed origin", local, []string{"Sec-Fetch-Site: cross-site", "Origin: https://friend.example"}, 403},
		{"from everywhere", wide, nil, 403},
		{"a stranger", closed, nil, 401},
		{"a viewer", closed, []string{"Authorization: Bearer token-viewer"}, 403},
		{"through nginx", local, []string{"X-Forwarded-For: 203.0.113.9"}, 403},
		{"through a proxy that gives the address", local, []string{"X-Real-IP: 203.0.113.9"}, 403},
		{"through a proxy that is named", local, []string{"Via: 1.1 caddy"}, 403},
		{"through a proxy of RFC 7239", local, []string{"Forwarded: for=203.0.113.9"}, 403},
		{"the boss, through a proxy", closed, []string{"Authorization: Bearer token-boss", "X-Forwarded-For: 203.0.113.9"}, 201},
		{"the boss", closed, []string{"Authorization: Bearer token-boss"}, 201},
		{"the boss, by a page of an allowed origin", closed, []string{"Authorization: Bearer token-boss", "Origin: https://friend.example"}, 403},
	} {
		for path, code := range map[string]int{"/api/v1/streams": c.code, "/api/v1/probe": c.code} {
			text := body
			if path == "/api/v1/probe" {
				text = `{"url":"rtsp://cam"}`
				if code == 201 {
					code = 200
				}
			}
			w := send(c.s, request("POST", path, text, append(c.headers, isJSON)...))
			if w.Code != code {
				t.Errorf("%s, %s: %d %s", path, c.what, w.Code, w.Body)
			}
			if code >= 400 {
				checkProblem(t, c.what, w)
			}
		}
	}
	old := request("POST", "/api/v1/streams", body, isJSON) // as nginx, which adds no header by itself
	old.Proto, old.ProtoMinor = "HTTP/1.0", 0
	w := send(local, old)
	if w.Code != 403 {
		t.Errorf("by HTTP/1.0: %d %s", w.Code, w.Body)
	}
	checkProblem(t, "by HTTP/1.0", w, "proxy", "admin")
	w = send(local, request("POST", "/api/v1/streams", body, isJSON))
	if w.Header().Get("Location") != "/api/v1/streams/yard" {
		t.Errorf("Location: %v", w.Header())
	}
}
