package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handler is every route of the server.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", s.health)
	mux.HandleFunc("/readyz", s.ready)
	mux.Handle("/{$}", s.private(http.HandlerFunc(s.index)))
	mux.Handle("/page.css", s.private(asset("text/css; charset=utf-8", pageCSS)))
	mux.Handle("/page.js", s.private(asset("text/javascript; charset=utf-8", pageJS)))
	mux.Handle("/api/v1/status", s.private(http.HandlerFunc(s.api)))
	if s.cfg.Gatherer != nil {
		mux.Handle("/metrics", s.private(s.metrics()))
	}
	return readOnly(secure(mux))
}

// metrics serves what the registry holds; a scrape that hangs does not hold more than a few connections.
func (s *Server) metrics() http.Handler {
	return promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 8,
	})
}

// private asks for a user who may see the status.
func (s *Server) private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ok, err := s.gate.Load().allows(r); !ok {
			refuse(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readOnly refuses all methods but GET and HEAD.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secure tells browsers to load nothing from elsewhere, to run only our script, and to show us in no frame.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
			"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n"))
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ready := s.status().Ready()
	if ok, _ := s.gate.Load().allows(r); !ok {
		ready.Streams = nil
	}
	code := http.StatusOK
	if !ready.Ready {
		code = http.StatusServiceUnavailable
	}
	s.json(w, code, ready)
}

func (s *Server) api(w http.ResponseWriter, _ *http.Request) { s.json(w, http.StatusOK, s.status()) }

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	var buf bytes.Buffer
	if err := s.page.Execute(&buf, s.status()); err != nil {
		s.fail(w, "render status page", err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(buf.Bytes())
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
	http.Error(w, "Something went wrong; the log says what.", http.StatusInternalServerError)
}

func asset(contentType string, data []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(data)
	})
}
