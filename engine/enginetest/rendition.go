package enginetest

import (
	"context"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// RenditionTap is the output of a rendition under test.
type RenditionTap struct {
	Packets chan media.Packet

	mu     sync.Mutex
	tracks []media.Track
}

// NewRenditionTap returns an output that takes up to 10,000 packets.
func NewRenditionTap() *RenditionTap { return &RenditionTap{Packets: make(chan media.Packet, 10_000)} }

// Tracks implements media.Output.
func (o *RenditionTap) Tracks(tracks []media.Track) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tracks = append(o.tracks, tracks...)
	return nil
}

// Packet implements media.Output.
func (o *RenditionTap) Packet(p media.Packet) error {
	o.Packets <- p
	return nil
}

// Announced returns the tracks so far.
func (o *RenditionTap) Announced() []media.Track {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tracks
}

// renditions: of every kind of stream there is one that every browser shows, at the camera's times, and small ones of the
// camera's and of the enhanced pictures; all show what they are made of.
func (s suite) renditions(t *testing.T) {
	for name, delay := range map[string]int{ // pictures that the stream itself may hold back
		H264: 0, BFrames: largestDelay, Odd: 0, TenBit: 0, FourTwoTwo: 0, H265TenBit: 0, FullRange: 0, Interlaced: 2, H265BFrames: largestDelay, MJPEG422: 0,
	} {
		t.Run(name, func(t *testing.T) {
			track, packets := Stream(t, name)
			browser, low, originalLow := NewRenditionTap(), NewRenditionTap(), NewRenditionTap()
			made := make(chan int, 2*pictures)
			r := NewRecorder(func(n int) { made <- n })
			cfg := Config(t, s.device, track, r)
			cfg.Preset = "superfast" // whose pictures are not baseline by themselves
			cfg.Output.Scale = 5     // 800 wide: the small one is smaller
			cfg.Renditions = map[string]media.Output{
				engine.RenditionBrowser: browser, engine.RenditionLow: low, engine.RenditionOriginalLow: originalLow,
			}
			session := engine.New(cfg, r)
			for name := range cfg.Renditions {
				session.Want(name, true)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- session.Run(ctx) }()
			var small, smallOriginal, plain []media.Packet
			for i, p := range packets {
				p.Arrival = time.Now()
				session.Send(ctx, p)
				if i < delay {
					continue
				}
				<-made
				plain, small = append(plain, <-browser.Packets), append(small, <-low.Packets)
				smallOriginal = append(smallOriginal, <-originalLow.Packets)
			}
			cancel()
			if err := <-done; err != nil || session.InUse() != 0 {
				t.Errorf("%v, %d frames in use", err, session.InUse())
			}
			if _, _, drops, _ := r.Result(); len(drops) > 0 && delay == 0 { // what was held back may come at once
				t.Errorf("dropped %v", drops)
			}
			original := decode(t, s.decoder(t, track, true), packets)
			s.shows(t, "browser", browser, plain, original, original[0].Width, original[0].Height)
			s.shows(t, "original-low", originalLow, smallOriginal, original, original[0].Width, original[0].Height)
			w, h := float64(original[0].Width), float64(original[0].Height)
			fit := min(640/w, 360/h)
			s.shows(t, "low", low, small, original, int(w*fit), int(h*fit))
			if small[0].Enhancer != engine.Lanczos || plain[0].Enhancer != "" || smallOriginal[0].Enhancer != "" {
				t.Errorf("made by %q, %q and %q", plain[0].Enhancer, small[0].Enhancer, smallOriginal[0].Enhancer)
			}
		})
	}
}

// shows checks that packets show the original's pictures, one by one.
func (s suite) shows(t *testing.T, name string, out *RenditionTap, packets []media.Packet, original []picture, w, h int) {
	t.Helper()
	tracks := out.Announced()
	const spsProfile, spsConstraints, baseline, constrained = 1, 2, 66, 0x40
	switch {
	case len(tracks) != 1 || tracks[0].Codec != media.H264 || len(tracks[0].ParameterSets) != 2:
		t.Fatalf("%s: tracks %+v", name, tracks)
	case tracks[0].ParameterSets[0][spsProfile] != baseline || tracks[0].ParameterSets[0][spsConstraints]&constrained == 0:
		t.Errorf("%s: profile %x is not constrained baseline", name, tracks[0].ParameterSets[0][spsProfile:4])
	case math.Abs(float64(tracks[0].Width-w)) > 2 || math.Abs(float64(tracks[0].Height-h)) > 2:
		t.Errorf("%s: %dx%d, want %dx%d", name, tracks[0].Width, tracks[0].Height, w, h)
	}
	d := s.decoder(t, tracks[0], false)
	got := decode(t, d, packets)
	if len(got) != len(packets) || strings.Contains(d.Input(), "B-frames") {
		t.Fatalf("%s: %d pictures of %d packets, %s", name, len(got), len(packets), d.Input())
	}
	at := map[time.Duration]picture{}
	for _, p := range original {
		at[p.PTS] = p
	}
	for i, p := range got {
		of, known := at[p.PTS]
		if !known || math.Abs(p.mean-of.mean) > 3 || p.Color.FullRange != of.Color.FullRange || p.Color.Matrix != of.Color.Matrix {
			t.Errorf("%s: picture %d at %v with mean %.1f %+v; the original's at %v has %.1f %+v", name, i, p.PTS, p.mean, p.Color, of.PTS, of.mean, of.Color)
		}
	}
}

// renditionsFollow: a new size is a new description and a keyframe, of renditions as well.
func (s suite) renditionsFollow(t *testing.T) {
	track, packets := Stream(t, H264)
	_, more := Stream(t, Odd)
	for _, p := range more {
		p.PTS, p.Discontinuity = time.Duration(len(packets))*frameTime, false
		packets = append(packets, p)
	}
	browser := NewRenditionTap()
	r := NewRecorder(nil)
	cfg := Config(t, s.device, track, r)
	cfg.Renditions = map[string]media.Output{engine.RenditionBrowser: browser}
	session := engine.New(cfg, r)
	session.Want(engine.RenditionBrowser, true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	for i, p := range packets {
		p.Arrival = time.Now()
		session.Send(ctx, p)
		if got := <-browser.Packets; got.PTS != p.PTS || got.Keyframe != (i == 0 || i == pictures || i == 25 || i == 55) {
			t.Errorf("packet %d: %v, keyframe %v", i, got.PTS, got.Keyframe)
		}
	}
	cancel()
	if err := <-done; err != nil || session.InUse() != 0 {
		t.Errorf("%v, %d frames in use", err, session.InUse())
	}
	if tracks := browser.Announced(); len(tracks) != 2 || tracks[0].Width != 160 || tracks[1].Width != 162 || tracks[1].Height != 90 {
		t.Errorf("tracks %+v", tracks)
	}
}

// opusRefuses: a track that is not AAC is refused, and the error says what to do.
func (s suite) opusRefuses(t *testing.T) {
	_, err := s.device.NewOpus(media.Track{Kind: media.Audio, Codec: "g726-32"})
	if err == nil || !strings.Contains(err.Error(), "g726-32") || !strings.Contains(err.Error(), "AAC") {
		t.Errorf("the error must name the codec and the fix: %v", err)
	}
}
