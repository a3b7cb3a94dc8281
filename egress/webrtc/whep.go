package webrtc

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"rave/engine/problem"
	"rave/engine/signalling"
)

// ServeHTTP answers WHEP (draft-ietf-wish-whep) for the path: requests to the endpoint itself if resource is empty, else to
// the viewer of that id. Who may ask has been decided before; the viewer of a POST ends with granted.
func (p *Path) ServeHTTP(granted context.Context, w http.ResponseWriter, r *http.Request, resource string) {
	if resource == "" {
		switch r.Method {
		case http.MethodPost:
			p.post(granted, w, r)
		case http.MethodOptions:
			p.options(w)
		default:
			signalling.NotAllowed(w, "OPTIONS, POST")
		}
		return
	}
	v := p.viewer(resource)
	switch {
	case r.Method == http.MethodOptions:
		if v != nil {
			v.tell(w.Header())
		}
		p.options(w)
	case v == nil:
		problem.Write(w, http.StatusNotFound, "there is no such viewer: it has left, or was cut off; connect again")
	case r.Method == http.MethodPatch:
		v.resource.Patch(w, r, v.pc)
	case r.Method == http.MethodDelete:
		v.close("it has left")
		w.WriteHeader(http.StatusOK)
	default:
		signalling.NotAllowed(w, "DELETE, OPTIONS, PATCH")
	}
}

// options tells what a viewer may need before its offer.
func (p *Path) options(w http.ResponseWriter) {
	w.Header().Set("Accept-Post", signalling.TypeSDP)
	signalling.Links(w.Header(), p.server.cfg.ICEServers)
	w.WriteHeader(http.StatusNoContent)
}

func (p *Path) post(granted context.Context, w http.ResponseWriter, r *http.Request) {
	offer, ok := signalling.Read(w, r, signalling.TypeSDP, signalling.MaxSDP)
	if !ok {
		return
	}
	v, answer, err := p.join(r.Context(), offer, r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.log.Info("a viewer has come", "viewer", v.resource.ID[:8], "from", r.RemoteAddr)
	v.endWith(granted)
	signalling.Links(w.Header(), p.server.cfg.ICEServers)
	v.tell(w.Header())
	v.resource.Created(w, r, answer)
}

// tell says what is played that is not the stream as it is. It may change while the viewer watches, so OPTIONS tells it too:
// GET is reserved for what WHEP may come to be (draft-ietf-wish-whep).
func (v *viewer) tell(h http.Header) {
	v.path.mu.Lock()
	names := v.renditions()
	v.path.mu.Unlock()
	if len(names) > 0 {
		h.Set("Rave-Rendition", strings.Join(names, ", "))
	}
}

// refuse answers with what join has found.
func (p *Path) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var known signalling.Refusal
	switch {
	case errors.As(err, &known):
	case r.Context().Err() != nil: // nobody waits for the answer
		return
	default:
		p.log.Error("a viewer cannot be served", "error", err)
		problem.Write(w, http.StatusInternalServerError, "the viewer cannot be served; the log says why")
		return
	}
	if known.Status == http.StatusServiceUnavailable || known.Status == http.StatusConflict {
		w.Header().Set("Retry-After", "2")
	}
	known.Write(w)
}
