package worker

import (
	"errors"
	"slices"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// TestQuestions: each is sent once and answered once, few at once; the end of a worker answers all.
func TestQuestions(t *testing.T) {
	var q questions
	if _, err := q.ask(engine.VariantOriginal, 0); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("asked without a worker: %v", err)
	}
	q.begin()
	if err := q.answered(1, answer{}); !errors.Is(err, errMalformed) {
		t.Errorf("an answer to no question: %v", err)
	}
	var come []<-chan answer
	for range maxQuestions {
		c, err := q.ask(engine.VariantCompare, 320)
		if err != nil {
			t.Fatal(err)
		}
		come = append(come, c)
	}
	if _, err := q.ask(engine.VariantOriginal, 0); err == nil || errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("one too many: %v", err)
	}
	sent := q.take()
	if len(sent) != maxQuestions || sent[0].variant != engine.VariantCompare || sent[0].width != 320 || len(q.take()) != 0 {
		t.Errorf("sent %v", sent)
	}
	if err := q.answered(sent[3].id, answer{shot: engine.Snapshot{Width: 7}}); err != nil {
		t.Error(err)
	}
	if a := <-come[3]; a.shot.Width != 7 || a.err != nil {
		t.Errorf("answered %+v", a)
	}
	if err := q.answered(sent[3].id, answer{}); !errors.Is(err, errMalformed) {
		t.Errorf("answered twice: %v", err)
	}
	q.end()
	for _, c := range slices.Delete(come, 3, 4) {
		if a := <-c; !errors.Is(a.err, engine.ErrNoPicture) {
			t.Errorf("answered by the end: %+v", a)
		}
	}
	if _, err := q.ask(engine.VariantOriginal, 0); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("asked after the end: %v", err)
	}
}

// TestDropsOfRenditions: they are told, and are no access units of the camera's.
func TestDropsOfRenditions(t *testing.T) {
	var h heard
	c := &Client{obs: &h, window: newWindow(func(string, int) {}, func() {})}
	for i := range 3 {
		c.window.put(media.Packet{Keyframe: i == 0, PTS: time.Duration(i)})
		c.window.take()
	}
	credits := map[string]int{engine.StageEnhance: 2}
	for _, name := range engine.Renditions() {
		credits[name] = 0
	}
	for stage, credit := range credits {
		h.calls, c.window.account.credit = nil, 0
		e := newEvents(func(bool) {})
		e.Dropped(stage, engine.DropOverload, 2)
		l := &life{c: c}
		if err := l.events(e.take()); err != nil {
			t.Fatal(err)
		}
		if len(h.calls) != 1 || h.calls[0] != (drop{stage, engine.DropOverload, 2}) || c.window.account.credit != credit {
			t.Errorf("%s: told %v, %d access units are counted as dropped", stage, h.calls, c.window.account.credit)
		}
	}
}
