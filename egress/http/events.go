package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"rave/engine/problem"
)

// Bounds of those who follow the streams: each takes a connection for as long as a page is open.
const (
	eventPeriod  = time.Second
	eventTimeout = 5 * time.Second // for a visitor to take one; who does not is cut
	mostFollow   = MaxConnections / 2
)

// live is the state of all streams for those who follow it, made once however many they are.
type live struct {
	status func() Status

	mu      sync.Mutex
	at      time.Time
	streams []Stream
	text    []byte // streams as JSON
	err     error
}

// now returns the streams as they were half a period ago at most. Nobody may change them.
func (l *live) now() (streams []Stream, text []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) >= eventPeriod/2 {
		l.streams, l.at = l.status().Streams, time.Now()
		l.text, l.err = json.Marshal(l.streams)
	}
	return l.streams, l.text, l.err
}

// events sends the streams each second, as server-sent events (HTML standard, section 9.2). Nothing is queued: who takes
// them slowly gets fewer. It ends with the server, and when the users change: a browser then asks again by itself.
func (s *Server) events(w http.ResponseWriter, r *http.Request, v visitor) {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		w.Header().Set("Retry-After", "10")
		problem.Write(w, http.StatusServiceUnavailable, "%d pages follow the streams already; close some", mostFollow)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // a proxy that gathers answers would hold events back
	if r.Method == http.MethodHead {
		return
	}
	tick := time.NewTicker(eventPeriod)
	defer tick.Stop()
	for s.gate.Load() == v.gate {
		if err := s.event(w, v); err != nil {
			s.cfg.Log.Debug("a page does not follow the streams any more", "from", r.RemoteAddr, "err", err)
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-s.closing:
			return
		}
	}
}

// event sends one. It waits no longer than eventTimeout.
func (s *Server) event(w http.ResponseWriter, v visitor) error {
	streams, text, err := s.live.now()
	if err == nil && !v.may(PermissionStatus, "") {
		text, err = json.Marshal(visible(streams, v))
	}
	if err != nil {
		return err
	}
	c := http.NewResponseController(w)
	if err := c.SetWriteDeadline(time.Now().Add(eventTimeout)); err != nil {
		return err
	}
	var event bytes.Buffer
	event.WriteString("event: streams\ndata: ")
	event.Write(text) // one line, as JSON has no raw line ends
	event.WriteString("\n\n")
	if _, err := w.Write(event.Bytes()); err != nil {
		return err
	}
	return c.Flush()
}
