package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

func testClient(t *testing.T, onRestart func(string), quality ...string) *Client {
	t.Helper()
	c, err := New(Config{OnRestart: onRestart, Session: engine.Config{Quality: quality, Observer: &heard{}, Log: slog.New(slog.DiscardHandler)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestStages: a stage stands still when it was given something and finishes nothing; idling is not standing still.
func TestStages(t *testing.T) {
	var p progress
	beat := func() string { return fmt.Sprint(p.decode.beat(), p.enhance.beat()) }
	want := func(what, state string) {
		t.Helper()
		if got := beat(); got != state {
			t.Errorf("%s: %s, want %s", what, got, state)
		}
	}
	want("idle", "0 0")
	p.decode.pending.Add(1)
	want("a packet", "1 0")
	want("and nothing", "2 0")
	p.follow(&batch{stages: []stageDone{{stage: engine.StageDecode}}, decoded: 1})
	want("a picture", "0 1")
	p.follow(&batch{decoded: 3, drops: []drop{{engine.StageEnhance, engine.DropOverload, 3}}})
	want("overrun is not getting on", "0 2")
	p.follow(&batch{drops: []drop{{engine.StageEnhance, engine.DropNoEnhancer, 1}}})
	want("refused is", "0 0")
	p.follow(&batch{decoded: 1})
	want("one more", "0 1")
	p.follow(&batch{stages: []stageDone{{stage: engine.StageEncode}}})
	want("the encoder gets on", "0 0")
}

// sink is an output that fails when it is told to.
type sink struct {
	tracks, packets int
	last            media.Packet
	err             error
}

func (s *sink) Tracks([]media.Track) error { s.tracks++; return s.err }
func (s *sink) Packet(p media.Packet) error {
	if s.err == nil {
		s.packets++
		s.last = p
	}
	return s.err
}

// TestOutput: each worker's packets begin with a keyframe, after the description, and times ascend across workers.
func TestOutput(t *testing.T) {
	s := &sink{}
	dropped, asked := 0, 0
	o := output{out: s, log: slog.New(slog.DiscardHandler), dropped: func(string) { dropped++ }, keyframe: func() { asked++ }}
	key, other := media.Packet{Keyframe: true}, media.Packet{}
	at := func(p media.Packet, ms int) media.Packet {
		p.PTS = time.Duration(ms) * time.Millisecond
		return p
	}
	begin := func() {
		o.renew()
		o.describe([]media.Track{{}})
	}
	begin()
	o.packet(at(other, 0))
	if s.packets != 0 || dropped != 1 || asked != 1 {
		t.Error("a packet before the keyframe is passed on")
	}
	o.packet(at(key, 40))
	o.packet(at(other, 80))
	begin()
	o.packet(at(other, 120))
	o.packet(at(key, 60))
	if s.packets != 3 || s.tracks != 2 || s.last.PTS <= 80*time.Millisecond {
		t.Errorf("%d packets, %d descriptions, the last at %v", s.packets, s.tracks, s.last.PTS)
	}
	s.err = errors.New("closed")
	o.packet(at(other, 200))
	s.err = nil
	o.packet(at(other, 240))
	o.packet(at(key, 280))
	if s.packets != 4 || dropped != 4 {
		t.Errorf("%d packets, %d dropped", s.packets, dropped)
	}
}

// TestLines: what a worker writes is cut into lines of bounded length and number, and the sign of a crash is kept.
func TestLines(t *testing.T) {
	var out strings.Builder
	l := &lines{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))} // what follows a crash as well
	fmt.Fprint(l, "one\r\n\nhalf ")
	fmt.Fprint(l, "a line\n", strings.Repeat("x", 5*maxLine), "\nbad \xff\n")
	if got := out.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, `line="half a line"`) || len(got) > 2*maxLine {
		t.Errorf("logged %s", got)
	}
	fmt.Fprint(l, "fatal error: unexpected signal\n[signal SIGSEGV: segmentation violation code=1]\npanic: other\n")
	if w := l.words(); !strings.Contains(w, "SIGSEGV") {
		t.Errorf("last words %q", w)
	}
	fmt.Fprint(l, strings.Repeat("again\n", 1000), "the end")
	l.close()
	if n := strings.Count(out.String(), "again"); n > linesAtOnce+10 || !strings.Contains(out.String(), "more than is logged") {
		t.Errorf("%d lines of 1000", n)
	}
}
