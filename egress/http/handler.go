package web

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"rave/engine/problem"
)

// metrics serves what the registry holds; a scrape that hangs does not hold more than a few connections.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 8,
	})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request, _ visitor) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request, _ visitor) {
	ready := s.status().Ready()
	if _, err := s.admit(r, []string{PermissionStatus}); err != nil || !s.knownHost(r) {
		ready.Streams = nil
	}
	code := http.StatusOK
	if !ready.Ready {
		code = http.StatusServiceUnavailable
	}
	s.json(w, code, ready)
}

func (s *Server) api(w http.ResponseWriter, _ *http.Request, _ visitor) {
	s.json(w, http.StatusOK, s.status())
}

// status asks for the status and completes it.
func (s *Server) status() Status {
	st := s.cfg.Status()
	st.SchemaVersion = SchemaVersion
	if st.Time.IsZero() {
		st.Time = time.Now()
	}
	return st.normal()
}

func (s *Server) json(w http.ResponseWriter, code int, v any) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		s.fail(w, "write JSON", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(data, '\n'))
}

func (s *Server) fail(w http.ResponseWriter, what string, err error) {
	s.cfg.Log.Error(what, "error", err)
	problem.Write(w, http.StatusInternalServerError, "something went wrong; the log says what")
}
