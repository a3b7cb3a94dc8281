package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"rave/engine/problem"
)

// Cameras finds out what cameras send and adds them to the configuration, from several goroutines. Errors that the visitor
// can do something about are of type Refusal.
type Cameras interface {
	// Probe connects to a camera and says what it sends, until ctx ends.
	Probe(ctx context.Context, c Camera) (Found, error)
	// Add adds a stream to the configuration file and makes it run.
	Add(ctx context.Context, s NewStream) error
}

// Refusal says why a camera cannot be looked at or added. The reason has no credentials.
type Refusal struct {
	Status int // of HTTP
	Reason string
}

func (r Refusal) Error() string { return r.Reason }

// Camera is one to look at.
type Camera struct {
	URL       string `json:"url"` // as source in the configuration
	Username  string `json:"username,omitempty"`
	Password  string `json:"password,omitempty"`
	Transport string `json:"transport,omitempty"` // auto, udp or tcp
}

// Found is what a camera sends.
type Found struct {
	Video   FoundVideo   `json:"video"`
	Audio   []FoundAudio `json:"audio"`
	Preview []byte       `json:"preview,omitempty"` // a JPEG, in base64; absent if no picture could be decoded in time
}

// FoundVideo is a camera's video. What is not known yet is absent.
type FoundVideo struct {
	Codec   string  `json:"codec"`
	Size    string  `json:"size,omitempty"` // "640x360"
	FPS     float64 `json:"fps,omitempty"`
	Bitrate float64 `json:"bitrate,omitempty"` // bits per second
}

// FoundAudio is one track of a camera's sound.
type FoundAudio struct {
	Codec string `json:"codec"` // as in SDP, in lower case: "pcma", "mpeg4-generic", "opus"
}

// NewStream is a stream to add: keys of the configuration, of which name and source must be there.
type NewStream struct {
	Name      string    `json:"name"`
	Source    string    `json:"source"`
	Username  string    `json:"username,omitempty"`
	Password  string    `json:"password,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Quality   []string  `json:"quality,omitempty"`
	Output    NewOutput `json:"output,omitzero"`
}

// NewOutput is the size of the enhanced picture.
type NewOutput struct {
	Scale float64 `json:"scale,omitempty"` // 0: that of the model
}

// Bounds of probes: each connects to a camera and decodes a picture.
const (
	mostProbes   = 2 // at once
	probeTimeout = 20 * time.Second
)

func (s *Server) probe(w http.ResponseWriter, r *http.Request, _ visitor) {
	var c Camera
	if !readJSON(w, r, &c) {
		return
	}
	select {
	case s.probes <- struct{}{}:
		defer func() { <-s.probes }()
	default:
		w.Header().Set("Retry-After", "10")
		problem.Write(w, http.StatusServiceUnavailable, "%d cameras are being looked at: try again in some seconds", mostProbes)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	found, err := s.cfg.Cameras.Probe(ctx, c)
	if err != nil {
		s.refuseCamera(w, "look at a camera", err)
		return
	}
	found.Audio = some(found.Audio)
	s.json(w, http.StatusOK, found)
}

func (s *Server) addCamera(w http.ResponseWriter, r *http.Request, v visitor) {
	var n NewStream
	if !readJSON(w, r, &n) {
		return
	}
	if err := s.cfg.Cameras.Add(r.Context(), n); err != nil {
		s.refuseCamera(w, "add a camera", err)
		return
	}
	s.cfg.Log.Info("a stream was added to the configuration by HTTP", "stream", n.Name, "user", v.user, "from", r.RemoteAddr)
	w.Header().Set("Location", "/api/v1/streams/"+url.PathEscape(n.Name))
	s.json(w, http.StatusCreated, Added{Name: n.Name})
}

// Added is the stream that was added.
type Added struct {
	Name string `json:"name"`
}

func (s *Server) refuseCamera(w http.ResponseWriter, what string, err error) {
	var refusal Refusal
	if errors.As(err, &refusal) {
		problem.Write(w, refusal.Status, "%s", refusal.Reason)
		return
	}
	s.fail(w, what, err)
}

// readJSON reads a body that is JSON and says so: no form of another site's page can. false: it was answered why not.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		problem.Write(w, http.StatusUnsupportedMediaType, "send JSON, with Content-Type: application/json")
		return false
	}
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something stands behind the object")
		}
	}
	if err != nil {
		problem.Write(w, http.StatusBadRequest, "the body is not what is expected: %v; see /api/v1/openapi.json", err)
		return false
	}
	return true
}
