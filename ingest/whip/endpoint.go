package whip

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/problem"
	"rave/engine/signalling"
	"rave/ingest/publish"
)

// Peers makes peer connections on the server's ports.
type Peers interface {
	// NewPeer makes one with these codecs. host is the one that the publisher has sent its request to.
	NewPeer(ctx context.Context, media *pion.MediaEngine, interceptors *interceptor.Registry, host string) (*pion.PeerConnection, error)
	// Answer answers the offer that has been set, with all candidates.
	Answer(ctx context.Context, pc *pion.PeerConnection) (string, error)
	// ClosePeer ends one and waits for it.
	ClosePeer(pc *pion.PeerConnection)
}

// Config is what an Endpoint needs.
type Config struct {
	Source     *publish.Source  // of the stream
	Peers      Peers            //
	ICEServers []pion.ICEServer // publishers are told of them, with their credentials
}

// Endpoint is the WHIP endpoint of one stream, and its sessions.
type Endpoint struct {
	cfg Config
	log *slog.Logger

	mu       sync.Mutex
	closed   bool
	sessions map[string]*session // by id
	running  sync.WaitGroup
}

// New makes an endpoint. The caller closes it.
func New(cfg Config) *Endpoint {
	return &Endpoint{cfg: cfg, log: cfg.Source.Log(), sessions: map[string]*session{}}
}

// Close ends all sessions and waits for them. Requests that come later are refused.
func (e *Endpoint) Close() {
	e.mu.Lock()
	e.closed = true
	for _, s := range e.sessions {
		s.end(errClosed)
	}
	e.mu.Unlock()
	e.running.Wait()
}

// ServeHTTP answers for the endpoint, or for the session that resource names. Who may ask has been decided before; the
// session of a POST ends with granted.
func (e *Endpoint) ServeHTTP(granted context.Context, w http.ResponseWriter, r *http.Request, resource string) {
	if resource == "" {
		switch r.Method {
		case http.MethodPost:
			e.post(granted, w, r)
		case http.MethodOptions:
			w.Header().Set("Accept-Post", signalling.TypeSDP)
			signalling.Links(w.Header(), e.cfg.ICEServers)
			w.WriteHeader(http.StatusNoContent)
		default:
			signalling.NotAllowed(w, "OPTIONS, POST")
		}
		return
	}
	s := e.session(resource)
	switch {
	case s == nil:
		problem.Write(w, http.StatusNotFound, "there is no such publisher: it has left, or was cut off; publish again")
	case r.Method == http.MethodPatch:
		s.resource.Patch(w, r, s.pc)
	case r.Method == http.MethodDelete:
		s.end(errLeft)
		select {
		case <-s.done: // so that the next one finds the stream free
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusOK)
	case r.Method == http.MethodOptions:
		w.Header().Set("Accept-Patch", signalling.TypeFragment)
		w.WriteHeader(http.StatusNoContent)
	default: // reserved (RFC 9725 section 4.1)
		signalling.NotAllowed(w, "DELETE, OPTIONS, PATCH")
	}
}

func (e *Endpoint) session(id string) *session {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions[id]
}

func (e *Endpoint) post(granted context.Context, w http.ResponseWriter, r *http.Request) {
	text, ok := signalling.Read(w, r, signalling.TypeSDP, signalling.MaxSDP)
	if !ok {
		return
	}
	s, answer, err := e.open(r.Context(), granted, text, r.Host)
	if err != nil {
		e.refuse(w, err)
		return
	}
	e.log.Info("publisher joined", "from", r.RemoteAddr, "transport", "WebRTC", "sound", s.sound != nil)
	signalling.Links(w.Header(), e.cfg.ICEServers)
	s.resource.Created(w, r, answer)
}

// open makes a session of an offer, which ends with granted. Its error is a refusal, or our own fault.
func (e *Endpoint) open(ctx, granted context.Context, text, host string) (*session, string, error) {
	o, err := parseOffer(text)
	if err != nil {
		return nil, "", err
	}
	s, err := e.newSession(ctx, granted, o, host)
	if err != nil {
		return nil, "", err
	}
	answer, err := s.negotiate(ctx, o)
	if err != nil {
		s.end(err)
	}
	switch running := e.run(s, err == nil); {
	case !running && err == nil:
		err = errClosed
	case running && err != nil:
		<-s.done // whoever corrects the offer finds the stream free
	}
	return s, answer, err
}

// run runs a session, or ends it and returns false if the endpoint has been closed. Of one that has not joined nothing is
// said: it is refused.
func (e *Endpoint) run(s *session, joined bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		s.end(errClosed)
		_ = s.run()
		return false
	}
	e.sessions[s.resource.ID] = s
	e.running.Go(func() {
		if reason := s.run(); joined {
			e.log.Info("publisher gone", "reason", reason)
		}
		e.mu.Lock()
		delete(e.sessions, s.resource.ID)
		e.mu.Unlock()
		close(s.done)
	})
	return true
}

// refuse answers with what open has found.
func (e *Endpoint) refuse(w http.ResponseWriter, err error) {
	var known signalling.Refusal
	switch {
	case errors.As(err, &known):
		e.log.Warn("publisher refused", "err", known.Detail)
		known.Write(w)
	case errors.Is(err, publish.ErrBusy):
		e.log.Warn("publisher refused", "err", err)
		w.Header().Set("Retry-After", "5")
		problem.Problem{Type: "urn:rave:problem:busy", Title: "Somebody else publishes", Status: http.StatusConflict, Detail: err.Error()}.Write(w)
	case errors.Is(err, context.Canceled): // it has not waited for the answer
	case errors.Is(err, errClosed):
		problem.Write(w, http.StatusNotFound, "stream %s %v", e.cfg.Source.Name(), errClosed)
	default:
		e.log.Error("a publisher cannot be served", "err", err)
		problem.Write(w, http.StatusInternalServerError, "the publisher cannot be served; the log says why")
	}
}
