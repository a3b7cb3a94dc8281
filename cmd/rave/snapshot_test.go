package main

import (
	"errors"
	"strings"
	"testing"

	"rave/config"
	"rave/engine"
)

// TestNoSnapshotYet: before the camera has answered there is no picture, and the error says so.
func TestNoSnapshotYet(t *testing.T) {
	s := withoutStreams(t).newStream(prepared{cfg: streamConfig{Stream: config.Stream{Name: "cam"}}, camera: "none"})
	_, err := s.snapshot(t.Context(), engine.VariantEnhanced, 0)
	if !errors.Is(err, engine.ErrNoPicture) || !strings.Contains(err.Error(), "stream cam") {
		t.Errorf("%v", err)
	}
}
