package enginetest

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Recorder is the output and the observer of a session under test.
type Recorder struct {
	mu       sync.Mutex
	tracks   []media.Track
	packets  []media.Packet
	drops    map[string]int
	made     map[string]int
	decoded  int
	onPacket func(n int)
}

// NewRecorder returns an empty Recorder; onPacket, if not nil, is told the number of packets so far.
func NewRecorder(onPacket func(n int)) *Recorder {
	return &Recorder{drops: map[string]int{}, made: map[string]int{}, onPacket: onPacket}
}

// Tracks implements media.Output.
func (r *Recorder) Tracks(tracks []media.Track) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tracks = append(r.tracks, tracks...)
	return nil
}

// Packet implements media.Output.
func (r *Recorder) Packet(p media.Packet) error {
	r.mu.Lock()
	r.packets = append(r.packets, p)
	n := len(r.packets)
	r.mu.Unlock()
	if r.onPacket != nil {
		r.onPacket(n)
	}
	return nil
}

// Result returns what was recorded so far.
func (r *Recorder) Result() (tracks []media.Track, packets []media.Packet, drops, made map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.tracks), slices.Clone(r.packets), maps.Clone(r.drops), maps.Clone(r.made)
}

// Counted returns how many pictures and drops were counted so far, by enhancer or by stage and reason.
func (r *Recorder) Counted() (sum int, by map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	by = maps.Clone(r.drops)
	maps.Copy(by, r.made)
	for _, n := range by {
		sum += n
	}
	return sum, by
}

// StageDone implements engine.Observer.
func (r *Recorder) StageDone(string, time.Duration, time.Duration) {}

// Dropped implements engine.Observer.
func (r *Recorder) Dropped(stage, reason string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		r.drops[stage+"/"+reason] += n
	}
}

// Decoded implements engine.Observer.
func (r *Recorder) Decoded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.decoded++
}

// Made implements engine.Observer.
func (r *Recorder) Made(enhancer string, _ int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made[enhancer]++
}

// Planned implements engine.Observer.
func (r *Recorder) Planned(string, string, string) {}

// RungLoaded implements engine.Observer.
func (r *Recorder) RungLoaded(string, error) {}

// RungChanged implements engine.Observer.
func (r *Recorder) RungChanged(string, string, string) {}

// Waiting implements engine.Observer.
func (r *Recorder) Waiting(string, int) {}

// Config returns a configuration for a session under test.
func Config(t testing.TB, device engine.Device, track media.Track, r *Recorder) engine.Config {
	return engine.Config{
		Stream: t.Name(), Track: track, Plan: engine.Plan{Decode: device, Enhance: device, Encode: device},
		Quality: []string{engine.Lanczos}, Output: engine.OutputRule{Scale: 2}, Preset: "ultrafast", Bitrate: 400_000,
		GOP: time.Second, Deinterlace: true, Threads: 2, Observer: r, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnMisuse: func() { panic("frame released twice") },
	}
}

// Replay sends packets through a session in replay mode and waits for its end.
func Replay(t testing.TB, cfg engine.Config, r *Recorder, packets []media.Packet) *engine.Session {
	t.Helper()
	cfg.Replay = true
	s := engine.New(cfg, r)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	for _, p := range packets {
		s.Send(t.Context(), p)
	}
	s.CloseInput()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := s.InUse(); n != 0 {
		t.Fatalf("%d frames were not released", n)
	}
	return s
}

// sessions: every kind of stream goes through a whole session, frame by frame, in order, at twice its size.
func (s suite) sessions(t *testing.T) {
	for _, name := range []string{
		H264, BFrames, Odd, TenBit, FourTwoTwo, Gray, FullRange, BT709, Interlaced, H265, H265BFrames, H265TenBit, MJPEG422,
	} {
		t.Run(name, func(t *testing.T) {
			track, packets := Stream(t, name)
			r := NewRecorder(nil)
			Replay(t, Config(t, s.device, track, r), r, packets)
			tracks, made, drops, _ := r.Result()
			if len(made) != pictures || len(drops) != 0 {
				t.Fatalf("%d packets of %d pictures, drops %v", len(made), pictures, drops)
			}
			if len(tracks) != 1 || len(tracks[0].ParameterSets) != 2 {
				t.Fatalf("tracks %+v", tracks)
			}
			for i, p := range made {
				if p.PTS != time.Duration(i)*frameTime {
					t.Errorf("packet %d at %v", i, p.PTS)
				}
			}
			got := decode(t, s.decoder(t, tracks[0], false), made)
			if want := 2 * width160; name != Odd && (len(got) != pictures || got[0].Width != want || got[0].Height != 2*height96) {
				t.Errorf("%d pictures of %s", len(got), got[0].Size())
			}
		})
	}
}
