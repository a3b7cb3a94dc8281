package main

import (
	"context"
	"time"

	"rave/config"
	"rave/ingest"
	"rave/ingest/publish"
	ingestrtsp "rave/ingest/rtsp"
)

// prepare makes the source that a stream's configuration asks for. now is the stream that will have it, nil for a new
// one. file is where the configuration comes from, for errors.
func (a *app) prepare(file *config.Config, now *stream, c streamConfig) (prepared, error) {
	p := prepared{cfg: c, clock: &ingest.Clock{}}
	if now != nil {
		p.clock = now.clock
	}
	onDrop := func(reason string, n int) { a.count(c.Name, "ingest", reason, n) }
	if c.Source.Publish() {
		p.source, p.camera = publish.New(publish.Config{Name: c.Name, Log: a.log, Clock: p.clock, OnDrop: onDrop}), "a publisher"
		return p, nil
	}
	pull, err := ingestrtsp.NewPull(ingestrtsp.PullConfig{
		Name: c.Name, URL: c.Source.URL(), Username: c.Username, Password: string(c.Password),
		Transport: ingestrtsp.Transport(c.Transport), Log: a.log, Clock: p.clock, OnDrop: onDrop,
	})
	if err != nil {
		return p, file.Errorf("streams."+c.Name+".source", "%v", err)
	}
	p.source, p.camera = pull, pull.Redacted()
	return p, nil
}

// steadySize is how long a publisher must keep another size before the enhanced stream takes it: browsers rescale with every
// change of their network.
const steadySize = 5 * time.Second

func steadyFor(c streamConfig) time.Duration {
	if c.Source.Publish() {
		return steadySize
	}
	return 0
}

// expect opens the door to a publisher, or closes it, and says what readers wait for.
func (s *stream) expect(p prepared) {
	if source, ok := p.source.(*publish.Source); ok {
		s.app.rtsp.AcceptPublish(s.name, ingestrtsp.NewPublish(source))
		s.admit(source)
		s.unavailable("nobody has published to it yet: send to " + s.app.url(s.name))
		return
	}
	s.app.rtsp.RefusePublish(s.name)
	s.admit(nil)
	s.unavailable("its camera has not answered yet (" + p.camera + ")")
}

// configured returns what the stream is configured to be.
func (s *stream) configured() prepared {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// connect returns the source to run, and the context that ends when it is no longer the one.
func (s *stream) connect(ctx context.Context) (context.Context, prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.disconnect != nil {
		s.disconnect()
	}
	ctx, s.disconnect = context.WithCancel(ctx)
	return ctx, s.now
}

// change makes the stream what p says while it runs. A change of the picture alone leaves the source and the original as
// they are. Another source is connected like the same one after it was away: the clock goes on, and readers stay if the
// formats are the same.
func (s *stream) change(p prepared) {
	s.mu.Lock()
	before, disconnect := s.now, s.disconnect
	another := !before.cfg.SameSource(p.cfg.Stream)
	if another {
		clear(s.shots) // of the other camera
	} else {
		p.source, p.camera = before.source, before.camera
	}
	s.now = p
	s.mu.Unlock()
	if !before.cfg.samePicture(p.cfg) || steadyFor(before.cfg) != steadyFor(p.cfg) {
		s.outdated.Store(true)
	}
	if !another {
		return
	}
	s.expect(p)
	if disconnect != nil {
		disconnect()
	}
}

// close disconnects the readers and forgets the stream. run has returned.
func (s *stream) close() {
	s.admit(nil)
	s.app.removeOutput(s.name)
	s.app.removeOutput(s.name + "/original")
	s.stats.Forget()
}
