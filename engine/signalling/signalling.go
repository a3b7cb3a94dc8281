// Package signalling has what publishing with WHIP (RFC 9725) and watching with WHEP (draft-ietf-wish-whep) have in common:
// bodies of requests, trickled candidates, links to ICE servers, the codecs of an offer, and the log of pion. It is for both directions and
// knows neither.
package signalling

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	pion "github.com/pion/webrtc/v4"

	"rave/engine/problem"
)

// Media types of bodies.
const (
	TypeSDP      = "application/sdp"
	TypeFragment = "application/trickle-ice-sdpfrag" // RFC 8840
)

// Bounds of what a peer may send. Each candidate is tried, at an address that the peer names.
const (
	MaxSDP        = 64 << 10
	MaxFragment   = 16 << 10
	MaxCandidates = 64 // in an offer, and as many later
)

// Read takes a body of that type; false: it has answered.
func Read(w http.ResponseWriter, r *http.Request, mediaType string, most int64) (string, bool) {
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

// NotAllowed answers a method that a resource does not have.
func NotAllowed(w http.ResponseWriter, allow string) {
	w.Header().Set("Allow", allow)
	problem.Write(w, http.StatusMethodNotAllowed, "allowed are %s", allow)
}

// Links tells the ICE servers (RFC 9725 section 4.6).
func Links(h http.Header, servers []pion.ICEServer) {
	for _, s := range servers {
		for _, url := range s.URLs {
			link := "<" + url + `>; rel="ice-server"`
			if credential, ok := s.Credential.(string); ok && s.Username != "" {
				link += "; username=" + strconv.Quote(s.Username) + "; credential=" + strconv.Quote(credential) + `; credential-type="password"`
			}
			h.Add("Link", link)
		}
	}
}

// parseFragment reads the candidates of an SDP fragment (RFC 8840 section 4.4).
func parseFragment(text string) []pion.ICECandidateInit {
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
	return all
}
