package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"rave/config"
	"rave/egress/rtsp"
	"rave/engine"
	"rave/engine/media"
	"rave/engine/stats"
	"rave/ingest"
	ingestrtsp "rave/ingest/rtsp"
)

// stream is one camera: its source, the session that enhances it, and the two paths that serve it.
//
//	source ─┬─ every packet ─────────────────────────→ NAME/original
//	        ├─ video → session → enhanced video ─┬───→ NAME
//	        └─ sound ────────────────────────────┘
type stream struct {
	app      *app
	cfg      config.Stream
	log      *slog.Logger
	source   media.Source
	camera   string // its URL without credentials, or "a publisher"
	original *rtsp.Path
	enhanced *rtsp.Path
	stats    *stats.Stream

	// Of the goroutine that runs the source:
	ctx     context.Context //nolint:containedctx // of run; media.Output has none
	tracks  []media.Track
	video   media.Track
	fresh   bool // no picture has come since the connection
	running *running

	mu    sync.Mutex
	state ingest.State
	since time.Time     // when it came online, or ceased to be
	sound []media.Track // of the camera
	heard map[int]bool  // sound tracks that the enhanced path has been opened with
	seen  time.Time     // the first enhanced packet
}

// running is a session and how to end it.
type running struct {
	session session
	cancel  context.CancelFunc
	done    chan struct{}
}

func (a *app) newStream(c config.Stream) (*stream, error) {
	s := &stream{app: a, cfg: c, log: a.log.With("stream", c.Name), stats: a.stats.Stream(c.Name)}
	s.original = a.rtsp.Path(c.Name+"/original", rtsp.PathConfig{KeepGOP: true})
	s.enhanced = a.rtsp.Path(c.Name, rtsp.PathConfig{OnReader: s.requestKeyframe})
	onDrop := func(reason string, n int) { s.stats.Dropped("ingest", reason, n) }
	if c.Source.Publish() {
		p := ingestrtsp.NewPublish(ingestrtsp.PublishConfig{Name: c.Name, Log: a.log, OnDrop: onDrop})
		a.rtsp.AcceptPublish(c.Name, p)
		s.source, s.camera = p, "a publisher"
		s.unavailable("nobody has published to it yet: send to " + a.url(c.Name))
		return s, nil
	}
	p, err := ingestrtsp.NewPull(ingestrtsp.PullConfig{
		Name: c.Name, URL: c.Source.URL(), Username: c.Username, Password: string(c.Password),
		Transport: ingestrtsp.Transport(c.Transport), Log: a.log, OnDrop: onDrop,
	})
	if err != nil {
		return nil, a.cfg.Errorf("streams."+c.Name+".source", "%v", err)
	}
	s.source, s.camera = p, p.Redacted()
	s.unavailable("its camera has not answered yet (" + s.camera + ")")
	return s, nil
}

func (s *stream) unavailable(reason string) {
	text := reason // the camera's own errors name the stream
	if !strings.Contains(reason, "stream "+s.cfg.Name) {
		text = fmt.Sprintf("stream %s is not there: %s", s.cfg.Name, reason)
	}
	s.original.SetUnavailable(text)
	s.enhanced.SetUnavailable(text)
}

// run keeps the source connected until ctx ends. What cannot be passed on, such as video that RTSP cannot describe, ends
// this stream's connection and nothing else.
func (s *stream) run(ctx context.Context) error {
	s.ctx = ctx
	defer s.stopSession()
	for {
		err := ingest.Keep(ctx, s.source, ingest.Policy{
			Name: s.cfg.Name, Camera: s.camera, Min: s.cfg.Reconnect.Min, Max: s.cfg.Reconnect.Max, VideoTimeout: s.cfg.VideoTimeout,
			OnState: s.onState, Log: s.app.log,
		}, s)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause := s.cfg.Reconnect.Max
		if s.cfg.Source.Publish() {
			pause = 0 // a publisher that comes meanwhile must find somebody
		}
		s.log.Error("what the camera sends cannot be served; connecting again", "camera", s.camera, "err", err, "in", pause)
		s.onState(ingest.State{Phase: ingest.Waiting, Err: err, Next: pause, Since: time.Now()})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *stream) onState(st ingest.State) {
	s.mu.Lock()
	reconnected := st.Reconnects > s.state.Reconnects
	if s.since.IsZero() || (st.Phase == ingest.Online) != (s.state.Phase == ingest.Online) {
		s.since = st.Since
	}
	s.state = st
	s.mu.Unlock()
	s.stats.Online(st.Phase == ingest.Online)
	if reconnected {
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
		return fmt.Errorf("stream %s: %s sends no video", s.cfg.Name, s.camera)
	}
	if err := s.original.Open(tracks); err != nil {
		return err
	}
	if s.running == nil || !media.SameTracks(tracks, s.tracks) {
		s.stopSession()
		s.mu.Lock()
		s.sound = slices.DeleteFunc(slices.Clone(tracks), func(t media.Track) bool { return t.Kind == media.Video })
		s.heard = nil
		s.mu.Unlock()
		if err := s.startSession(tracks[i]); err != nil {
			return err
		}
	}
	s.tracks, s.video, s.fresh = tracks, tracks[i], true
	s.stats.Camera(string(s.video.Codec))
	return nil
}

// Packet implements media.Output.
func (s *stream) Packet(p media.Packet) error {
	if err := s.original.Write(p); err != nil {
		return err
	}
	if p.Track != s.video.ID {
		return s.passSound(p)
	}
	s.stats.Received(len(p.Data))
	// A jump of the camera's clock within a connection breaks no reference: decoding goes on.
	p.Discontinuity, s.fresh = p.Discontinuity && s.fresh, false
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

func (s *stream) startSession(video media.Track) error {
	c := s.cfg
	session, err := s.app.newSession(engine.Config{
		Stream: c.Name, Track: video, Plan: s.app.plan, Quality: c.Quality, Strict: c.Strict,
		Output:      engine.OutputRule{Scale: float64(c.Output.Scale), MaxWidth: c.Output.Max.Width, MaxHeight: c.Output.Max.Height},
		MaxPixels:   c.MaxPixels,
		Preset:      c.Encode.Preset,
		Bitrate:     int(c.Encode.Bitrate),
		GOP:         c.Encode.GOP,
		Deinterlace: c.Deinterlace == config.DeinterlaceAuto,
		Threads:     s.app.threads(),
		Observer:    observer{s.stats, s},
		Log:         s.log,
	}, enhancedOutput{s}, s.stats.WorkerRestarted)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(s.ctx)
	r := &running{session: session, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		if err := session.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Error("session ended", "err", err)
		}
	}()
	s.mu.Lock()
	s.running = r
	s.mu.Unlock()
	return nil
}

func (s *stream) stopSession() {
	if s.running != nil {
		s.running.cancel()
		<-s.running.done
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

// observer passes on what the session says, and tells readers that wait for the first picture why there is none.
type observer struct {
	*stats.Stream
	s *stream
}

// RungLoaded implements engine.Observer.
func (o observer) RungLoaded(rung string, err error) {
	o.Stream.RungLoaded(rung, err)
	if err != nil {
		o.s.enhanced.SetUnavailable(fmt.Sprintf("stream %s has no enhanced picture yet: %v", o.s.cfg.Name, err))
	}
}

// enhancedOutput takes the session's packets to the enhanced path.
type enhancedOutput struct{ s *stream }

// Tracks implements media.Output.
func (o enhancedOutput) Tracks(video []media.Track) error {
	o.s.mu.Lock()
	tracks := slices.Concat(video, o.s.sound) // which does not change while the session runs
	o.s.mu.Unlock()
	slices.SortFunc(tracks, func(a, b media.Track) int { return a.ID - b.ID })
	if err := o.s.enhanced.Open(tracks); err != nil {
		return err
	}
	heard := map[int]bool{}
	for _, t := range tracks {
		heard[t.ID] = t.Kind == media.Audio
	}
	o.s.mu.Lock()
	o.s.heard = heard
	o.s.mu.Unlock()
	return nil
}

// Packet implements media.Output.
func (o enhancedOutput) Packet(p media.Packet) error {
	s := o.s
	if err := s.enhanced.Write(p); err != nil {
		return err
	}
	if !p.Arrival.IsZero() { // a picture that no packet is known of: FFmpeg made up its time
		s.stats.Delivered(time.Since(p.Arrival))
	}
	if s.seen.IsZero() {
		s.mu.Lock()
		s.seen = time.Now()
		s.mu.Unlock()
		s.log.Info("first enhanced frame", "after_start", time.Since(s.app.started).Round(time.Millisecond),
			"enhancer", p.Enhancer, "url", s.app.url(s.cfg.Name))
	}
	return nil
}
