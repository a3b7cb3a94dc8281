package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rave/engine/problem"
)

// Snapshot is the latest decoded frame of a stream as a JPEG.
type Snapshot struct {
	JPEG     []byte
	Age      time.Duration // since the frame arrived
	Enhancer string        // that made it; empty for the original
}

// ErrNoStream is what Config.Snapshot says, wrapped or not, when there is no such stream.
var ErrNoStream = errors.New("there is no such stream")

// What a snapshot shows: the enhanced picture, the camera's, or the left half of that beside the right half of the
// enhanced one.
const (
	VariantEnhanced = "enhanced"
	VariantOriginal = "original"
	VariantCompare  = "compare"
)

// Headers of a snapshot.
const (
	frameAgeHeader = "Rave-Frame-Age-Ms"
	enhancerHeader = "Rave-Enhancer"
)

// Bounds of snapshots: a stream makes them beside its pictures.
const (
	leastWidth      = 16
	mostWidth       = 7680
	mostSnapshots   = 4 // at once
	snapshotTimeout = 5 * time.Second
)

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request, _ visitor) {
	name, variant, width, ok := snapshotQuery(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), snapshotTimeout)
	defer cancel()
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
	case <-ctx.Done():
		w.Header().Set("Retry-After", "1")
		problem.Write(w, http.StatusServiceUnavailable, "too many ask for pictures at once: try again in some seconds")
		return
	}
	shot, err := s.cfg.Snapshot(ctx, name, variant, width)
	switch {
	case errors.Is(err, ErrNoStream):
		noStream(w, name)
		return
	case err != nil:
		w.Header().Set("Retry-After", "1")
		problem.Write(w, http.StatusServiceUnavailable, "%v", err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/jpeg")
	h.Set("Content-Length", strconv.Itoa(len(shot.JPEG)))
	h.Set(frameAgeHeader, strconv.FormatFloat(float64(shot.Age.Microseconds())/1000, 'f', 1, 64))
	if shot.Enhancer != "" {
		h.Set(enhancerHeader, shot.Enhancer)
	}
	_, _ = w.Write(shot.JPEG)
}

// snapshotQuery reads what is asked for; false: it was answered what is wrong with it.
func snapshotQuery(w http.ResponseWriter, r *http.Request) (name, variant string, width int, ok bool) {
	query := r.URL.Query()
	if variant = query.Get("variant"); variant == "" {
		variant = VariantEnhanced
	}
	if !slices.Contains([]string{VariantEnhanced, VariantOriginal, VariantCompare}, variant) {
		problem.Write(w, http.StatusBadRequest, "variant %q is not one of enhanced, original and compare", variant)
		return "", "", 0, false
	}
	if text := query.Get("width"); text != "" {
		var err error
		if width, err = strconv.Atoi(text); err != nil || width < leastWidth || width > mostWidth {
			problem.Write(w, http.StatusBadRequest, "width %q is not a number of pixels from %d to %d; leave it out for the picture's own",
				text, leastWidth, mostWidth)
			return "", "", 0, false
		}
	}
	return r.PathValue("name"), variant, width, true
}
