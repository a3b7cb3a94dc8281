package main

import (
	"fmt"
	"slices"
	"testing"

	"rave/egress/webrtc"
	"rave/engine"
	"rave/engine/media"
)

// told is a session that writes down what it is told.
type told struct {
	session
	list []string
}

func (s *told) Want(rendition string, on bool) { s.list = append(s.list, fmt.Sprint(rendition, on)) }
func (s *told) Refresh(rendition string)       { s.list = append(s.list, rendition) }

// TestDemand: a rendition is made while any path wants it, by whatever session.
func TestDemand(t *testing.T) {
	var d demand
	d.refresh(engine.RenditionBrowser) // nobody is there
	d.want(engine.RenditionOpus, true)
	first, second := &told{}, &told{}
	d.follow(first)
	d.want(engine.RenditionOpus, true) // another path
	d.want(engine.RenditionOpus, false)
	d.refresh(engine.RenditionBrowser)
	d.follow(second)
	if d.want(engine.RenditionOpus, false); d.some() {
		t.Error("something is wanted")
	}
	d.leave()
	if d.want(engine.RenditionBrowser, true); !d.some() {
		t.Error("nothing is wanted")
	}
	if want := []string{"opustrue", "opustrue", "opustrue", "browser"}; !slices.Equal(first.list, want) {
		t.Errorf("the first session was told %v", first.list)
	}
	if want := []string{"opustrue", "opusfalse"}; !slices.Equal(second.list, want) {
		t.Errorf("the second session was told %v", second.list)
	}
}

// TestRenditionsOfPaths: viewers of both paths get small pictures, each of their own, and nothing is made for nobody.
func TestRenditionsOfPaths(t *testing.T) {
	s, session := &stream{asked: make(chan struct{}, 1)}, &told{}
	s.demand.follow(session)
	for _, made := range []map[string]string{ofOriginal(), ofEnhanced()} {
		c := s.browsers(webrtc.PathConfig{}, made)
		slices.Sort(c.Renditions)
		for _, name := range c.Renditions {
			c.OnDemand(name, true)
		}
	}
	if want := []string{"browsertrue", "original-lowtrue", "opustrue", "lowtrue", "opustrue"}; !slices.Equal(session.list, want) {
		t.Errorf("the session was told %v, want %v", session.list, want)
	}
	for _, name := range engine.Renditions() {
		if !slices.Contains(session.list, name+"true") {
			t.Errorf("%s is for nobody", name)
		}
	}
	session.list = nil
	s.refreshOriginal()
	if want := []string{engine.RenditionBrowser, engine.RenditionOriginalLow}; !slices.Equal(session.list, want) {
		t.Errorf("of the original keyframes are asked for of %v", session.list)
	}
}

// TestSoundToTranscode: the first AAC of a camera, if it has any.
func TestSoundToTranscode(t *testing.T) {
	list := []media.Track{{ID: 1, Kind: media.Audio, Codec: "pcma"}, {ID: 2, Kind: media.Audio, Codec: engine.AAC}}
	if got := aac(list); got.ID != 2 {
		t.Errorf("took %+v", got)
	}
	if got := aac(list[:1]); got.Kind != 0 {
		t.Errorf("took %+v", got)
	}
}
