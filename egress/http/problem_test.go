package web

import (
	"encoding/json"
	"net/http"
	"testing"

	"rave/engine/problem"
)

// A refusal that a setting changes names it, for the page to show.
func TestProblemsNameTheSetting(t *testing.T) {
	cfg := everything()
	cfg.Status = func() Status { return Status{Streams: []Stream{{Name: "cam"}}} }
	open := newServer(t, cfg)
	cfg.Auth = &users{list: map[string][]string{"viewer:pw": {"read"}}}
	closed := newServer(t, cfg)
	for _, c := range []struct {
		s            *Server
		method, path string
		header       string
		code         int
		key          string
	}{
		{open, "GET", "/", "Host: evil.example", http.StatusMisdirectedRequest, "http.hosts"},
		{open, "POST", "/cam/whep", "Origin: https://evil.example", http.StatusForbidden, "http.origins"},
		{open, "POST", "/api/v1/probe", "Via: 1.1 proxy", http.StatusForbidden, "users"},
		{open, "GET", "/cam/publish", "", http.StatusForbidden, "streams.cam.source"},
		{closed, "GET", "/api/v1/status", "Authorization: Bearer token-viewer", http.StatusForbidden, "users"},
		{closed, "GET", "/api/v1/status", "", http.StatusUnauthorized, ""}, // no setting, but a password
		{open, "GET", "/api/v1/streams/none", "", http.StatusNotFound, ""},
	} {
		w := send(c.s, request(c.method, c.path, "", c.header))
		var p problem.Problem
		if _ = json.Unmarshal(w.Body.Bytes(), &p); w.Code != c.code || p.Key != c.key {
			t.Errorf("%s %s with %q: %d, %q is the setting; want %d, %q", c.method, c.path, c.header, w.Code, p.Key, c.code, c.key)
		}
	}
}
