package web

import (
	"context"
	"net/http"

	"rave/engine/problem"
)

// MediaHandler answers WHIP (RFC 9725) or WHEP (draft-ietf-wish-whep) for one stream. Before it is called, the server has
// answered preflights (CORS), let the visitor in, checked the method and read the body.
type MediaHandler interface {
	// ServeHTTP answers POST and OPTIONS of the endpoint, for which resource is empty, and PATCH, DELETE and OPTIONS of what
	// a POST has made: resource is then the last step of the path, behind that of the endpoint. It is a secret that only who
	// sent the POST was told, so whoever knows it, and may do such things to the stream at all, may end what was made.
	//
	// What a POST makes ends with granted, at the latest: as soon as the users change so that the visitor would not be let in
	// any more. Its cause says so.
	ServeHTTP(granted context.Context, w http.ResponseWriter, r *http.Request, resource string)
}

// mediaRoutes are the ways in and out for browsers.
func (s *Server) mediaRoutes() []route {
	var all []route
	add := func(path string, find func(path string) MediaHandler, suffix, permission string) {
		if find == nil {
			return
		}
		e := endpoint{handle: s.media(find, suffix, permission), needs: []string{permission}, body: maxSDP}
		all = append(all,
			route{path: path, cross: true, methods: map[string]endpoint{http.MethodPost: e, http.MethodOptions: e}},
			route{path: path + "/{id}", cross: true, methods: map[string]endpoint{
				http.MethodPatch: e, http.MethodDelete: e, http.MethodOptions: e}})
	}
	add("/{name}/whep", s.cfg.WHEP, "", PermissionRead)
	add("/{name}/original/whep", s.cfg.WHEP, "/original", PermissionRead)
	add("/{name}/whip", s.cfg.WHIP, "", PermissionPublish)
	return all
}

// media hands a request to the handler of its stream.
func (s *Server) media(find func(path string) MediaHandler, suffix, permission string) func(http.ResponseWriter, *http.Request, visitor) {
	return func(w http.ResponseWriter, r *http.Request, v visitor) {
		name := r.PathValue("name")
		h := find(name + suffix)
		if h == nil {
			noStream(w, name)
			return
		}
		h.ServeHTTP(s.grant(v, permission, name), w, r, r.PathValue("id"))
	}
}

func noStream(w http.ResponseWriter, name string) {
	problem.Write(w, http.StatusNotFound, "there is no stream %q that can do this; /api/v1/streams lists all", name)
}
