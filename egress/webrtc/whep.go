package webrtc

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	pion "github.com/pion/webrtc/v4"

	"rave/problem"
)

// Bounds of what viewers send.
const (
	maxSDP      = 64 << 10
	maxFragment = 16 << 10
)

// ServeHTTP answers WHEP (draft-ietf-wish-whep) for the path: requests to the endpoint itself if resource is empty, else to
// the viewer of that id. Who may ask has been decided before.
func (p *Path) ServeHTTP(w http.ResponseWriter, r *http.Request, resource string) {
	if resource == "" {
		switch r.Method {
		case http.MethodPost:
			p.post(w, r)
		case http.MethodOptions:
			p.options(w)
		default:
			refuseMethod(w, "OPTIONS, POST")
		}
		return
	}
	v := p.viewer(resource)
	switch {
	case r.Method == http.MethodOptions:
		p.options(w)
	case v == nil:
		problem.Write(w, http.StatusNotFound, "there is no such viewer: it has left, or was cut off; connect again")
	case r.Method == http.MethodPatch:
		v.patch(w, r)
	case r.Method == http.MethodDelete:
		v.close("it has left")
		w.WriteHeader(http.StatusOK)
	default:
		refuseMethod(w, "DELETE, OPTIONS, PATCH")
	}
}

func refuseMethod(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	problem.Write(w, http.StatusMethodNotAllowed, "allowed are %s", allow)
}

// options tells what a viewer may need before its offer.
func (p *Path) options(w http.ResponseWriter) {
	w.Header().Set("Accept-Post", "application/sdp")
	p.links(w)
	w.WriteHeader(http.StatusNoContent)
}

// links tells the ICE servers (RFC 9725 section 4.6).
func (p *Path) links(w http.ResponseWriter) {
	for _, s := range p.server.cfg.ICEServers {
		for _, url := range s.URLs {
			link := "<" + url + `>; rel="ice-server"`
			if credential, ok := s.Credential.(string); ok && s.Username != "" {
				link += "; username=" + strconv.Quote(s.Username) + "; credential=" + strconv.Quote(credential) + `; credential-type="password"`
			}
			w.Header().Add("Link", link)
		}
	}
}

func (p *Path) post(w http.ResponseWriter, r *http.Request) {
	offer, ok := read(w, r, "application/sdp", maxSDP)
	if !ok {
		return
	}
	v, answer, err := p.join(r.Context(), offer, r.Host)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.log.Info("a viewer has come", "viewer", v.id[:8])
	h := w.Header()
	p.links(w)
	h.Set("Content-Type", "application/sdp")
	h.Set("Location", path.Join(r.URL.Path, v.id))
	h.Set("ETag", v.etag)
	if name := v.rendition(); name != "" { // what is played is not the stream as it is
		h.Set("Rave-Rendition", name)
	}
	h.Set("Accept-Patch", "application/trickle-ice-sdpfrag")
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// refuse answers with what join has found.
func (p *Path) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var known refusal
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

// read takes a body of that type; false: it has answered.
func read(w http.ResponseWriter, r *http.Request, mediaType string, most int64) (string, bool) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != mediaType {
		problem.Write(w, http.StatusUnsupportedMediaType, "the body's Content-Type must be %s", mediaType)
		return "", false
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		problem.Write(w, http.StatusRequestEntityTooLarge, "the body has more than %d bytes", most)
		return "", false
	case err != nil:
		problem.Write(w, http.StatusBadRequest, "the body cannot be read")
		return "", false
	}
	return string(data), true
}

// patch takes further candidates (RFC 8840). ICE restarts are not supported: a viewer connects again instead.
func (v *viewer) patch(w http.ResponseWriter, r *http.Request) {
	switch match := r.Header.Get("If-Match"); match {
	case "":
		problem.Write(w, http.StatusPreconditionRequired, "If-Match is missing: it names the ETag of the answer")
		return
	case v.etag:
	case "*":
		problem.Write(w, http.StatusUnprocessableEntity, "ICE restarts are not supported: connect again")
		return
	default:
		problem.Write(w, http.StatusPreconditionFailed, "If-Match is not the ETag of the answer")
		return
	}
	fragment, ok := read(w, r, "application/trickle-ice-sdpfrag", maxFragment)
	if !ok {
		return
	}
	candidates, err := parseFragment(fragment)
	if err != nil {
		problem.Write(w, http.StatusBadRequest, "%s", err.Error())
		return
	}
	for _, c := range candidates {
		if err := v.pc.AddICECandidate(c); err != nil {
			problem.Write(w, http.StatusBadRequest, "a candidate cannot be used: %v", err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// parseFragment reads the candidates of an SDP fragment.
func parseFragment(text string) ([]pion.ICECandidateInit, error) {
	var all []pion.ICECandidateInit
	mid, line := "", uint16(0)
	for s := range strings.Lines(text) {
		s = strings.TrimSpace(s)
		switch value, isMid := strings.CutPrefix(s, "a=mid:"); {
		case isMid:
			mid = value
		case strings.HasPrefix(s, "a=candidate:"):
			m := mid
			all = append(all, pion.ICECandidateInit{Candidate: strings.TrimPrefix(s, "a="), SDPMid: &m, SDPMLineIndex: &line})
		}
	}
	if len(all) > maxCandidates {
		return nil, errors.New("the fragment has more than " + strconv.Itoa(maxCandidates) + " candidates")
	}
	return all, nil
}
