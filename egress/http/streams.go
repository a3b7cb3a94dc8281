package web

import (
	"net/http"
	"time"
)

// timeHeader has the server's time, by which everything in the answer is dated: readers may not see the status, which has it.
const timeHeader = "Rave-Time"

// visible returns the streams that a visitor may know of: all with the permission status, else those to read.
func visible(all []Stream, v visitor) []Stream {
	if v.may(PermissionStatus, "") {
		return all
	}
	some := []Stream{}
	for _, st := range all {
		if v.may(PermissionRead, st.Name) {
			some = append(some, st)
		}
	}
	return some
}

func (s *Server) streams(w http.ResponseWriter, _ *http.Request, v visitor) {
	list := visible(s.status().Streams, v)
	w.Header().Set(timeHeader, time.Now().UTC().Format(time.RFC3339Nano))
	s.json(w, http.StatusOK, list)
}

func (s *Server) stream(w http.ResponseWriter, r *http.Request, v visitor) {
	name := r.PathValue("name")
	for _, st := range visible(s.status().Streams, v) {
		if st.Name == name {
			s.json(w, http.StatusOK, st)
			return
		}
	}
	noStream(w, name)
}
