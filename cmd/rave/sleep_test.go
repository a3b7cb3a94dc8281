package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"rave/config"
	"rave/engine"
	"rave/engine/media"
	"rave/engine/software"
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

// TestSoundWhileAsleep: sound of a camera whose stream is asleep goes to the original and to nobody else.
func TestSoundWhileAsleep(t *testing.T) {
	s := onDemand(t, 0)
	err := errors.Join(
		s.Tracks([]media.Track{{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate},
			{ID: 1, Kind: media.Audio, Codec: "opus", ClockRate: 48000, RTP: media.RTPFormat{RTPMap: "opus/48000/2"}}}),
		s.Packet(media.Packet{Track: 1, Data: []byte{0xfc, 0xff, 0xfe}, Keyframe: true}),
		s.Packet(media.Packet{Data: []byte{0, 0, 0, 1, 0x65, 0x88, 0x84}, Keyframe: true}))
	if err != nil || s.running != nil {
		t.Errorf("a session %v, %v", s.running, err)
	}
	if n := s.original.Stats().Frames; n != 1 {
		t.Errorf("%d pictures of the original", n)
	}
}

// TestWakingRests: a session that cannot be started is not tried, and logged, with every look at who watches.
func TestWakingRests(t *testing.T) {
	s := onDemand(t, time.Minute)
	var log strings.Builder
	s.log = slog.New(slog.NewTextHandler(&log, nil))
	s.tracks = []media.Track{{}}
	s.app.device = software.New(software.Config{})
	s.app.cfg.Workers, s.app.plan.Reason = config.WorkersOn, strings.Repeat("x", 4<<20) // more than a worker can be told
	now := time.Now()
	s.wanted = now
	for i := range 10 {
		s.attend(now.Add(time.Duration(i) * time.Second))
	}
	if n := strings.Count(log.String(), "no session"); n != 2 || strings.Contains(log.String(), "wakes up") {
		t.Errorf("in ten looks it was tried %d times, want 2:\n%s", n, log.String())
	}
}

// TestAnotherCameraHasOtherSnapshots: what was kept of the camera before is not shown as this one's.
func TestAnotherCameraHasOtherSnapshots(t *testing.T) {
	s := onDemand(t, time.Second)
	s.shots[engine.VariantOriginal] = engine.Snapshot{JPEG: []byte("the old one's")}
	s.state.Phase = ingest.Online
	p := s.configured()
	p.cfg.Quality = []string{"live-x2"}
	s.change(p)
	if _, err := s.snapshot(t.Context(), engine.VariantOriginal, 0); err != nil {
		t.Errorf("of the same camera: %v", err)
	}
	cfg, err := config.Parse([]byte("streams: {cam: {source: publish}}"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	p.cfg.Source = cfg.Streams[0].Source
	s.change(p)
	if shot, err := s.snapshot(t.Context(), engine.VariantOriginal, 0); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("of another camera: %q, %v", shot.JPEG, err)
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
