package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"rave/config"
	"rave/engine"
	"rave/engine/media"
	"rave/ingest"
)

// shooter is a session of which there are snapshots, and which notes what it is to repeat.
type shooter struct {
	session
	repeated []time.Duration
}

func (f *shooter) Repeat(pts time.Duration) { f.repeated = append(f.repeated, pts) }
func (*shooter) Snapshot(_ context.Context, variant string, width int) (engine.Snapshot, error) {
	return engine.Snapshot{JPEG: []byte(variant), Width: width}, nil
}

func onDemand(t *testing.T, linger time.Duration) *stream {
	t.Helper()
	c := config.Stream{Name: "cam", OnDemand: true, OnDemandLinger: linger, HoldLastFrame: 10 * time.Second, Quality: []string{"lanczos"}}
	a := withoutStreams(t)
	a.cfg.Workers = config.WorkersOff
	s := a.newStream(prepared{cfg: streamConfig{Stream: c}, camera: "none", clock: &ingest.Clock{}})
	s.ctx = t.Context()
	t.Cleanup(s.sessions.Wait)
	t.Cleanup(s.stopSession)
	return s
}

// TestSnapshotsWakeNothing: of a stream that is asleep there is the last snapshot from before, if it is small enough, or a
// reason.
func TestSnapshotsWakeNothing(t *testing.T) {
	s := onDemand(t, time.Second)
	shoot := func(variant string, width int, want string) {
		t.Helper()
		shot, err := s.snapshot(t.Context(), variant, width)
		if want == "" && (err != nil || string(shot.JPEG) != variant) {
			t.Errorf("%s at %d: %q, %v", variant, width, shot.JPEG, err)
		} else if want != "" && (!errors.Is(err, engine.ErrNoPicture) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s at %d: %v, want %q", variant, width, err, want)
		}
	}
	shoot(engine.VariantEnhanced, 320, "its camera has not answered yet")
	s.state.Phase = ingest.Online
	shoot(engine.VariantEnhanced, 320, "it is asleep, since nobody watches (on_demand)")
	s.setRunning(&running{session: &shooter{}})
	shoot(engine.VariantEnhanced, 320, "")
	s.setRunning(nil)
	shoot(engine.VariantEnhanced, 320, "")
	shoot(engine.VariantEnhanced, 0, "")
	shoot(engine.VariantEnhanced, 160, "asleep")
	shoot(engine.VariantCompare, 320, "asleep")
	if s.isWanted(time.Now()) {
		t.Error("a snapshot has woken the stream")
	}
}

// TestLinger: a stream is wanted while it is watched and for a while after, or always without on_demand.
func TestLinger(t *testing.T) {
	s := onDemand(t, 10*time.Second)
	now := time.Now()
	s.tracks = []media.Track{{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate}}
	s.wanted = now // somebody watched
	if s.attend(now.Add(10*time.Second - 1)); s.running == nil {
		t.Error("it does not wake for the last viewer's sake")
	}
	if s.attend(now.Add(10 * time.Second)); s.running != nil || s.current != nil {
		t.Error("it does not fall asleep")
	}
	if s.heard == nil {
		t.Error("there is nothing to read, so nobody can wake it")
	}
	s.now.cfg.OnDemand = false
	if s.attend(now.Add(time.Hour)); s.running == nil {
		t.Error("a stream that is always wanted sleeps")
	}
	s.now.cfg.OnDemand = true
	s.attend(now.Add(2 * time.Hour))
	if s.running != nil {
		t.Error("a stream that is wanted no more does not sleep")
	}
}

// TestHoldLast: a session is asked to repeat its picture while the camera is away, and the stream's clock is told how far.
func TestHoldLast(t *testing.T) {
	s := onDemand(t, time.Minute)
	f, now := &shooter{}, time.Now()
	s.setRunning(&running{session: f, cancel: func() {}, done: closed()})
	s.hold.came(media.Packet{PTS: time.Hour, Discontinuity: true}, now)
	for _, gone := range []time.Duration{time.Second, 2 * time.Second, 9 * time.Second, 10 * time.Second, time.Minute} {
		s.holdLast(now.Add(gone))
	}
	want := []time.Duration{time.Hour + 1500*time.Millisecond, time.Hour + 8500*time.Millisecond}
	if !slices.Equal(f.repeated, want) {
		t.Errorf("repeated at %v, want %v", f.repeated, want)
	}
	s.clock.Connect()
	if pts, _, ok := s.clock.Map(ingest.Stamp{Kind: media.Video, Rate: media.VideoClockRate, Arrival: now}); !ok || pts != 0 {
		t.Errorf("the clock's first time is %v", pts)
	}
	s.clock.Connect()
	if pts, _, ok := s.clock.Map(ingest.Stamp{Kind: media.Video, Rate: media.VideoClockRate, Arrival: now.Add(time.Second)}); !ok || pts < want[1]+holdEvery {
		t.Errorf("the next connection begins at %v, before the last repetition", pts)
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}
