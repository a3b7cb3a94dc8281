package web

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"rave/engine/problem"
)

// route is one path of the server.
type route struct {
	path    string // pattern of http.ServeMux, without a method
	methods map[string]endpoint
	cross   bool // pages of Config.Origins may use it
	health  bool // for probes: whatever host they ask for
	asset   bool // a file of the page, and no part of the API
}

// endpoint answers one method of a route. That of GET answers HEAD, too.
type endpoint struct {
	handle func(w http.ResponseWriter, r *http.Request, v visitor)
	needs  []string // one of these permissions; for a path with {name}, for that stream. None: everybody
	body   int64    // the most bytes of a request's body, which handle gets whole; 0: there is none to read
	own    bool     // for pages of this server alone, even if cross
}

// Bodies of requests: an offer of a browser has 2 to 8 KiB, and what the API takes less than one.
const (
	maxSDP  = 64 << 10
	maxJSON = 16 << 10
)

// watchers may see that there are streams: all of them, or those that they may read.
func watchers() []string { return []string{PermissionStatus, PermissionRead} }

// show is a route that only shows.
func show(path string, needs []string, handle func(w http.ResponseWriter, r *http.Request, v visitor)) route {
	return route{path: path, methods: map[string]endpoint{http.MethodGet: {handle: handle, needs: needs}}}
}

// routes are all paths of the server. The first step of each, but for {name}, is no name of a stream: package config
// refuses them (see Names).
func (s *Server) routes() []route {
	status := []string{PermissionStatus}
	all := []route{
		{path: "/healthz", health: true, methods: map[string]endpoint{http.MethodGet: {handle: s.health}}},
		{path: "/readyz", health: true, methods: map[string]endpoint{http.MethodGet: {handle: s.ready}}},
	}
	all = append(all, s.uiRoutes()...)
	if s.cfg.Gatherer != nil {
		all = append(all, show("/metrics", status, plain(s.metrics())))
	}
	for _, r := range s.apiRoutes() {
		r.cross = true
		all = append(all, r)
	}
	return append(all, s.mediaRoutes()...)
}

func (s *Server) apiRoutes() []route {
	list := show("/api/v1/streams", watchers(), s.streams)
	all := []route{
		show("/api/v1/openapi.json", nil, openAPI),
		show("/api/v1/status", []string{PermissionStatus}, s.api),
		show("/api/v1/events", watchers(), s.events),
		show("/api/v1/streams/{name}", watchers(), s.stream),
	}
	if s.cfg.Cameras != nil {
		admin := []string{PermissionAdmin}
		list.methods[http.MethodPost] = endpoint{handle: s.addCamera, needs: admin, body: maxJSON, own: true}
		all = append(all, route{path: "/api/v1/probe", methods: map[string]endpoint{
			http.MethodPost: {handle: s.probe, needs: admin, body: maxJSON, own: true}}})
	}
	all = append(all, list)
	if s.cfg.Snapshot != nil {
		all = append(all, show("/api/v1/streams/{name}/snapshot.jpg", []string{PermissionRead}, s.snapshot))
	}
	return all
}

// Names returns the first steps of the server's paths. A stream of such a name could not be reached.
func (s *Server) Names() []string {
	var names []string
	for _, r := range s.routes() {
		if step, _, _ := strings.Cut(r.path[1:], "/"); !strings.HasPrefix(step, "{") {
			names = append(names, step)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// handler is everything that the server answers.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.path, s.enter(r))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			notAllowed(w, "GET, HEAD")
			return
		}
		problem.Write(w, http.StatusNotFound, "there is nothing at this path; the API is described at /api/v1/openapi.json")
	})
	return secure(mux)
}

// enter lets a request through to a route's endpoint, or says why not.
func (s *Server) enter(rt route) http.Handler {
	allow := rt.allow()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !rt.health && !s.knownHost(r) {
			s.refuseHost(w, r)
			return
		}
		if rt.cross && s.cors(w, r, allow) {
			return
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		e, ok := rt.methods[method]
		if !ok {
			notAllowed(w, allow)
			return
		}
		if err := s.crossOrigin(r, rt.cross && !e.own); err != nil {
			problem.WriteKey(w, http.StatusForbidden, "http.origins", "%v", err)
			return
		}
		v, err := s.admit(r, e.needs)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if e.body > 0 && !readBody(w, r, e.body) {
			return
		}
		e.handle(w, r, v)
	})
}

// allow is the header Allow (RFC 9110 section 10.2.1).
func (rt route) allow() string {
	var methods []string
	for m := range rt.methods {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

func notAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	problem.Write(w, http.StatusMethodNotAllowed, "this path takes %s", allow)
}

// readBody puts the whole body in memory, so that no handler waits for a visitor; false: it was answered why not.
func readBody(w http.ResponseWriter, r *http.Request, most int64) bool {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		problem.Write(w, http.StatusRequestEntityTooLarge, "the body has more than the %d bytes that are read", most)
		return false
	case err != nil:
		problem.Write(w, http.StatusBadRequest, "the body ends early or too slowly")
		return false
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return true
}

func plain(h http.Handler) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, _ visitor) { h.ServeHTTP(w, r) }
}
