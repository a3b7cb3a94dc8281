package signalling

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"path"
	"sync/atomic"

	pion "github.com/pion/webrtc/v4"

	"rave/engine/problem"
)

// Resource is what a POST makes: a peer, as HTTP sees it.
type Resource struct {
	ID   string // last step of its path, and a secret: who knows it may end the peer
	ETag string // of its ICE session

	candidates atomic.Int32 // that have come later
}

// NewResource returns one with 128 random bits of name.
func NewResource() *Resource { return &Resource{ID: random(), ETag: `"` + random() + `"`} }

func random() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// Created answers the POST (RFC 9725 section 4.2).
func (x *Resource) Created(w http.ResponseWriter, r *http.Request, answer string) {
	h := w.Header()
	h.Set("Content-Type", TypeSDP)
	h.Set("Location", path.Join(r.URL.Path, x.ID))
	h.Set("ETag", x.ETag)
	h.Set("Accept-Patch", TypeFragment)
	w.WriteHeader(http.StatusCreated)
	_, _ = io.WriteString(w, answer)
}

// Patch takes further candidates of the peer. ICE restarts are not supported (RFC 9725 section 4.3.2): who needs one connects
// again instead.
func (x *Resource) Patch(w http.ResponseWriter, r *http.Request, pc *pion.PeerConnection) {
	switch r.Header.Get("If-Match") {
	case "":
		problem.Write(w, http.StatusPreconditionRequired, "If-Match is missing: it names the ETag of the answer")
		return
	case x.ETag:
	case "*":
		problem.Write(w, http.StatusUnprocessableEntity, "ICE restarts are not supported: connect again")
		return
	default:
		problem.Write(w, http.StatusPreconditionFailed, "If-Match is not the ETag of the answer")
		return
	}
	fragment, ok := Read(w, r, TypeFragment, MaxFragment)
	if !ok {
		return
	}
	candidates := parseFragment(fragment)
	n := int32(len(candidates))
	if x.candidates.Add(n) > MaxCandidates {
		x.candidates.Add(-n)
		problem.Write(w, http.StatusBadRequest, "more than %d candidates have come: connect again", MaxCandidates)
		return
	}
	for _, c := range candidates {
		if err := pc.AddICECandidate(c); err != nil {
			problem.Write(w, http.StatusBadRequest, "a candidate cannot be used: %v", err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
