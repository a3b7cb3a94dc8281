package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rave/config"
	"rave/egress/rtsp"
	"rave/egress/webrtc"
	"rave/engine"
	"rave/engine/media"
	"rave/engine/stats"
	"rave/ingest"
	"rave/ingest/whip"
)

// stream is one camera: its source, the session that enhances it, and the two paths that serve it.
//
//	source ─┬─ every packet ─────────────────────────→ NAME/original
//	        ├─ video → session → enhanced video ─┬───→ NAME
//	        └─ sound ────────────────────────────┘
//
// What viewers cannot take as it is, the session makes as renditions, beside the enhanced video (renditions.go).
//
// Its configuration may change while it runs: another source is connected as the same one would be again, and another
// session takes over at a keyframe. Readers stay for both.
type stream struct {
	app      *app
	name     string
	log      *slog.Logger
	clock    *ingest.Clock // of all its sources, one after the other
	original outputs
	enhanced outputs
	stats    *stats.Stream
	demand   demand
	onScreen onScreen
	outdated atomic.Bool                   // another session must take over
	whip     atomic.Pointer[whip.Endpoint] // nil: nobody may publish by WebRTC

	hold  hold
	asked chan struct{} // capacity 1: see ask

	ctx      context.Context //nolint:containedctx // of run; media.Output has none
	sessions sync.WaitGroup

	input  sync.Mutex // held while the source's output is taken, and sessions come and go
	tracks []media.Track
	video  media.Track
	fresh  bool      // no picture has come since the connection
	recent recent    // with on_demand
	wanted time.Time // when somebody watched last, or would have been served anyway
	rest   time.Time // no session is tried before: the last try has failed

	turn    sync.Mutex // held while a session's output is passed on,
	current *running   // if it is this one's

	mu         sync.Mutex
	now        prepared
	disconnect context.CancelFunc         // ends the running source
	running    *running                   // nil: nobody watches; changed with input held as well
	woken      time.Time                  // when it was started
	shots      map[string]engine.Snapshot // with on_demand: the last of each variant
	state      ingest.State
	onlines    int           // times that it came online, from whatever source
	since      time.Time     // when it came online, or ceased to be
	sound      []media.Track // of the camera
	heard      map[int]bool  // sound tracks that the enhanced path has been opened with
	seen       time.Time     // the first enhanced packet
}

// running is a session and how to end it.
type running struct {
	session session
	sound   media.Track // that it transcodes; the zero Track: none
	cancel  context.CancelFunc
	done    chan struct{}
}

// newStream makes the stream, of which run is to be called.
func (a *app) newStream(p prepared) *stream {
	name := p.cfg.Name
	s := &stream{
		app: a, name: name, log: a.log.With("stream", name), stats: a.stats.Stream(name), clock: p.clock, now: p, asked: make(chan struct{}, 1),
		shots: map[string]engine.Snapshot{},
	}
	s.original = a.output(name+"/original", rtsp.PathConfig{KeepGOP: true}, s.browsers(webrtc.PathConfig{
		KeepGOP: true, OnKeyframe: s.refreshOriginal,
	}, ofOriginal()))
	s.enhanced = a.output(name, rtsp.PathConfig{OnReader: s.requestKeyframe, OnReaders: s.ask}, s.browsers(webrtc.PathConfig{
		KeepGOP: true, OnKeyframe: s.requestKeyframe, OnViewers: s.ask,
	}, ofEnhanced()))
	s.expect(p)
	return s
}

func (s *stream) unavailable(reason string) {
	text := reason // the camera's own errors name the stream
	if !strings.Contains(reason, "stream "+s.name) {
		text = fmt.Sprintf("stream %s is not there: %s", s.name, reason)
	}
	s.original.SetUnavailable(text)
	s.enhanced.SetUnavailable(text)
}

// run keeps a source connected until ctx ends, each time the one that is configured.
func (s *stream) run(ctx context.Context) {
	s.ctx = ctx
	defer s.sessions.Wait()
	defer s.stopSession()
	var minding sync.WaitGroup
	minding.Go(func() { s.mind(ctx) })
	defer minding.Wait()
	for ctx.Err() == nil {
		connection, p := s.connect(ctx)
		s.keep(connection, p)
	}
}

// keep keeps one source connected until ctx ends. What cannot be passed on, such as video that RTSP cannot describe, ends
// this stream's connection and nothing else.
func (s *stream) keep(ctx context.Context, p prepared) {
	for {
		err := ingest.Keep(ctx, p.source, ingest.Policy{
			Name: s.name, Camera: p.camera, Min: p.cfg.Reconnect.Min, Max: p.cfg.Reconnect.Max, VideoTimeout: p.cfg.VideoTimeout,
			OnState: s.onState, Log: s.app.log,
		}, s)
		if ctx.Err() != nil {
			return
		}
		pause := p.cfg.Reconnect.Max
		if p.cfg.Source.Publish() {
			pause = 0 // a publisher that comes meanwhile must find somebody
		}
		s.log.Error("what the camera sends cannot be served; connecting again", "camera", p.camera, "err", err, "in", pause)
		s.onState(ingest.State{Phase: ingest.Waiting, Err: err, Next: pause, Since: time.Now()})
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (s *stream) onState(st ingest.State) {
	s.mu.Lock()
	changed := (st.Phase == ingest.Online) != (s.state.Phase == ingest.Online)
	if s.since.IsZero() || changed {
		s.since = st.Since
	}
	s.state = st
	cameOnline := changed && st.Phase == ingest.Online
	if cameOnline {
		s.onlines++
	}
	again := cameOnline && s.onlines > 1
	s.mu.Unlock()
	s.stats.Online(st.Phase == ingest.Online)
	if st.Phase != ingest.Online {
		s.hold.left()
	}
	if again {
		s.stats.Reconnected()
	}
	if st.Err != nil {
		s.unavailable(st.Err.Error())
	}
}

// Tracks implements media.Output: the source has (re)connected.
func (s *stream) Tracks(tracks []media.Track) error {
	i := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == media.Video })
	if i < 0 {
		return fmt.Errorf("stream %s: %s sends no video", s.name, s.configured().camera)
	}
	s.input.Lock()
	defer s.input.Unlock()
	if err := s.original.Open(tracks); err != nil {
		return err
	}
	same := media.SameTracks(tracks, s.tracks)
	if !same {
		s.stopSession()
		s.mu.Lock()
		s.sound = slices.DeleteFunc(slices.Clone(tracks), func(t media.Track) bool { return t.Kind == media.Video })
		s.heard = nil
		s.mu.Unlock()
	}
	s.tracks, s.video, s.fresh, s.recent = tracks, tracks[i], true, recent{}
	s.stats.Camera(string(s.video.Codec))
	switch {
	case s.running != nil:
		return nil
	case s.isWanted(time.Now()):
		return s.startSession(s.video)
	default:
		return s.invite()
	}
}

// Packet implements media.Output.
func (s *stream) Packet(p media.Packet) error {
	s.input.Lock()
	defer s.input.Unlock()
	if err := s.original.Write(p); err != nil {
		return err
	}
	if p.Track != s.video.ID {
		if r := s.running; r != nil && r.sound.Kind == media.Audio && p.Track == r.sound.ID {
			r.session.Send(s.ctx, p)
		}
		return s.passSound(p)
	}
	s.stats.Received(len(p.Data))
	s.hold.came(p, time.Now())
	// A jump of the camera's clock within a connection breaks no reference: decoding goes on.
	p.Discontinuity, s.fresh = p.Discontinuity && s.fresh, false
	if s.configured().cfg.OnDemand {
		s.recent.add(p)
	}
	if s.running == nil {
		return nil
	}
	if p.Keyframe && s.outdated.Load() {
		if err := s.renewSession(); err != nil {
			return err
		}
	}
	s.running.session.Send(s.ctx, p)
	return nil
}

// passSound sends sound beside the enhanced picture, once there is one.
func (s *stream) passSound(p media.Packet) error {
	s.mu.Lock()
	heard := s.heard[p.Track]
	s.mu.Unlock()
	if !heard {
		return nil
	}
	return s.enhanced.Write(p)
}

// startSession starts a session and gives it the word.
func (s *stream) startSession(video media.Track) error {
	s.outdated.Store(false)
	c := s.configured().cfg
	s.mu.Lock()
	r := &running{sound: aac(s.sound), done: make(chan struct{})}
	s.mu.Unlock()
	session, err := s.app.newSession(engine.Config{
		Stream: c.Name, Track: video, Quality: c.Quality, Strict: c.Strict,
		Output:      engine.OutputRule{Scale: float64(c.Output.Scale), MaxWidth: c.Output.Max.Width, MaxHeight: c.Output.Max.Height},
		MaxPixels:   c.MaxPixels,
		Preset:      c.Encode.Preset,
		Bitrate:     int(c.Encode.Bitrate),
		GOP:         c.Encode.GOP,
		Deinterlace: c.Deinterlace == config.DeinterlaceAuto,
		SteadySize:  steadyFor(c),
		Threads:     s.app.threads(),
		Renditions:  s.renditions(r),
		Sound:       r.sound,
		Observer:    observer{s.stats, s, r},
		Log:         s.log,
	}, c.models, sessionOutput{s, r}, s.stats.WorkerRestarted)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r.session, r.cancel = session, cancel
	s.turn.Lock()
	s.current = r
	s.turn.Unlock()
	s.demand.follow(session)
	s.stats.SessionStarted()
	s.setRunning(r)
	s.sessions.Go(func() {
		defer close(r.done)
		if err := session.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error("session ended", "err", err)
		}
	})
	return nil
}

// renewSession lets another session take over. It does not wait for the end of the one before, which says nothing any
// more: packets of the original go on meanwhile.
func (s *stream) renewSession() error {
	old := s.running
	if err := s.startSession(s.video); err != nil {
		return err
	}
	old.cancel()
	return nil
}

func (s *stream) stopSession() {
	if s.running != nil {
		s.running.cancel()
		<-s.running.done
		s.setRunning(nil)
	}
}

// setRunning needs input.
func (s *stream) setRunning(r *running) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = r
	if r != nil {
		s.woken = time.Now()
	}
}

func (s *stream) requestKeyframe() {
	s.mu.Lock()
	r := s.running
	s.mu.Unlock()
	if r != nil {
		r.session.RequestKeyframe()
	}
}
