package web

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"rave/egress/limit"
	"rave/engine/problem"
)

// secure tells browsers to load nothing from elsewhere, to run only our script, and to show us in no frame.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
			"img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// knownHost guards against DNS rebinding, by which a page from elsewhere makes a browser take this server for its own:
// the name that the browser asks for is then one of the Internet. Where visitors log in that is enough: a browser does
// not send the credentials to another name.
func (s *Server) knownHost(r *http.Request) bool {
	return s.gate.Load().auth != nil || s.hosts.allow(r.Host)
}

func (s *Server) refuseHost(w http.ResponseWriter, r *http.Request) {
	s.refusals.Add(limit.UnknownHost, "a request for a host that this server does not know was refused; add it to http.hosts if it is this machine",
		"host", r.Host, "from", r.RemoteAddr)
	problem.WriteKey(w, http.StatusMisdirectedRequest, "http.hosts", "this server does not know itself as %q, and nobody needs to log in: if that is its name, "+
		"add it to http.hosts in the configuration", r.Host)
}

// hosts are names under which the server may be asked for, beside those that nobody on the Internet can have.
type hosts []string

func newHosts(configured []string) hosts {
	all := hosts{}
	for _, h := range configured {
		all = append(all, strings.ToLower(h))
	}
	if own, err := os.Hostname(); err == nil {
		all = append(all, strings.ToLower(own))
	}
	return all
}

// allow reports whether the header Host is this server's: an address, a name without a dot, or one of a domain that the
// public DNS does not have (RFC 6761, 6762 and 8375; internal is reserved by ICANN).
func (h hosts) allow(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	for _, domain := range []string{".localhost", ".local", ".internal", ".home.arpa"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return slices.Contains(h, host)
}

// errCrossOrigin is for requests that change something and come from another page.
var errCrossOrigin = errors.New("this request comes from a page of another origin; add that to http.origins in the configuration if it may do this " +
	"(adding cameras is for this server's own page alone)")

// crossOrigin refuses requests that change something and that a page from elsewhere has made a browser send: it adds the
// credentials that it knows. cross: the pages of Config.Origins may.
func (s *Server) crossOrigin(r *http.Request, cross bool) error {
	if s.ownPages.Check(r) == nil || cross && s.origins.allow(r.Header.Get("Origin")) {
		return nil
	}
	return errCrossOrigin
}

// origins are those of other pages that may use the API; "*" is every one.
type origins []string

func (o origins) allow(origin string) bool {
	return origin != "" && (slices.Contains(o, "*") || slices.Contains(o, strings.ToLower(origin)))
}

// cors tells browsers that a page from elsewhere may read the answer; true: it was asked for no more (Fetch standard,
// CORS protocol). Such a page does not get the browser's own credentials: it sends its own in Authorization.
func (s *Server) cors(w http.ResponseWriter, r *http.Request, allow string) bool {
	origin, h := r.Header.Get("Origin"), w.Header()
	if len(s.origins) == 0 {
		return false
	}
	h.Add("Vary", "Origin")
	if !s.origins.allow(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link, Allow, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate, "+
		"Rave-Rendition, "+frameAgeHeader+", "+enhancerHeader+", "+timeHeader)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", allow)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
