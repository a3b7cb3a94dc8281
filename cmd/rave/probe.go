package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"rave/config"
	web "rave/egress/http"
	"rave/engine"
	"rave/engine/media"
	"rave/ingest"
	ingestrtsp "rave/ingest/rtsp"
)

// What a look at a camera takes: enough pictures to tell their rate, one that is decoded, and no longer than that.
const (
	lookSpan  = 2 * time.Second // of the camera's time
	lookLimit = 8 * time.Second // from the first packet on; a camera that sends a picture in seconds is not waited for
	lookWidth = 640             // of the preview
)

// errSeen ends the connection to a camera that has been looked at.
var errSeen = errors.New("seen enough")

// Probe implements web.Cameras. The camera is connected to as a stream's would be, and its pictures go through a session.
func (c *cameras) Probe(ctx context.Context, cam web.Camera) (web.Found, error) {
	const name = "camera" // for errors: it has none yet
	s, err := config.NewStream{
		Name: name, Source: cam.URL, Username: cam.Username, Password: config.Secret(cam.Password), Transport: cam.Transport,
	}.Stream()
	switch {
	case err != nil:
		return web.Found{}, web.Refusal{Status: http.StatusUnprocessableEntity, Reason: oneLine(err)}
	case s.Source.Publish():
		return web.Found{}, web.Refusal{Status: http.StatusUnprocessableEntity, Reason: "publish is no camera: there is nothing to look at until " +
			"somebody publishes"}
	}
	pull, err := ingestrtsp.NewPull(ingestrtsp.PullConfig{
		Name: name, URL: s.Source.URL(), Username: s.Username, Password: string(s.Password), Transport: ingestrtsp.Transport(s.Transport),
		Log: c.app.log, Clock: &ingest.Clock{},
	})
	if err != nil {
		return web.Found{}, web.Refusal{Status: http.StatusUnprocessableEntity, Reason: err.Error()}
	}
	l := &look{ctx: ctx, seen: &sight{}, open: c.app.lookSession}
	defer l.close()
	err = pull.Run(ctx, l)
	switch {
	case errors.Is(err, errSeen), ctx.Err() != nil && l.tracks != nil:
		return l.found(), nil
	case ctx.Err() != nil:
		err = fmt.Errorf("%s: no answer in time: is it on, and can this machine reach it?", pull.Redacted())
	}
	return web.Found{}, web.Refusal{Status: http.StatusBadGateway, Reason: err.Error()}
}

// lookSession makes the session that decodes what a camera sends. What it makes of that nobody gets.
func (a *app) lookSession(video media.Track, seen *sight) (session, error) {
	return a.newSession(engine.Config{
		Stream: "camera", Track: video, Quality: []string{engine.Lanczos}, Output: engine.OutputRule{Scale: 1, MaxWidth: lookWidth, MaxHeight: lookWidth},
		MaxPixels: a.cfg.StreamDefaults.MaxPixels, Preset: "ultrafast", GOP: 2 * time.Second, Threads: 1, Observer: seen, Log: a.log.With("stream", "camera"),
	}, nil, nowhere{}, func(string) {})
}

// look is a look at a camera: the output of its source.
type look struct {
	ctx  context.Context //nolint:containedctx // of Probe; media.Output has none
	open func(media.Track, *sight) (session, error)
	seen *sight

	tracks  []media.Track
	video   media.Track
	session session
	stop    func()

	began       time.Time
	pictures    int
	bytes       int           // of all pictures but the last
	size        int           // of the last
	first, last time.Duration // the lowest and the highest PTS
}

// Tracks implements media.Output.
func (l *look) Tracks(tracks []media.Track) error {
	i := slices.IndexFunc(tracks, func(t media.Track) bool { return t.Kind == media.Video })
	if i < 0 {
		return errors.New("the camera sends no video that RAVE understands: it takes H.264, H.265 and MJPEG")
	}
	l.close() // the session of before: a camera that says nothing over UDP is asked again over TCP
	session, err := l.open(tracks[i], l.seen)
	if err != nil {
		return err
	}
	l.tracks, l.video = tracks, tracks[i]
	ctx, cancel := context.WithCancel(l.ctx)
	ended := make(chan struct{})
	l.session, l.stop = session, func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		_ = session.Run(ctx) // without a picture there is no preview
	}()
	return nil
}

// Packet implements media.Output.
func (l *look) Packet(p media.Packet) error {
	if p.Track != l.video.ID {
		return nil
	}
	if l.pictures == 0 {
		l.began, l.first, l.last = time.Now(), p.PTS, p.PTS
	}
	l.pictures++
	l.bytes, l.size = l.bytes+l.size, len(p.Data)
	l.first, l.last = min(l.first, p.PTS), max(l.last, p.PTS)
	l.session.Send(l.ctx, p)
	if l.last-l.first >= lookSpan && l.seen.decoded.Load() || time.Since(l.began) > lookLimit {
		return errSeen
	}
	return nil
}

// found says what was seen.
func (l *look) found() web.Found {
	f := web.Found{Video: web.FoundVideo{Codec: string(l.video.Codec)}}
	for _, t := range l.tracks {
		if t.Kind == media.Audio {
			f.Audio = append(f.Audio, web.FoundAudio{Codec: string(t.Codec)})
		}
	}
	if span := (l.last - l.first).Seconds(); l.pictures > 1 && span > 0 {
		f.Video.FPS = float64(l.pictures-1) / span
		f.Video.Bitrate = float64(8*l.bytes) / span
	}
	if size := l.seen.size.Load(); size != nil {
		f.Video.Size = *size
	}
	if shot, err := l.session.Snapshot(l.ctx, engine.VariantOriginal, lookWidth); err == nil {
		f.Preview = shot.JPEG
	}
	return f
}

// close ends the session, if there is one.
func (l *look) close() {
	if l.stop != nil {
		l.stop()
		l.stop = nil
	}
}

// sight is told what a session decodes. It implements engine.Observer.
type sight struct {
	decoded atomic.Bool
	size    atomic.Pointer[string] // "640x360"
}

// Decoded implements engine.Observer.
func (s *sight) Decoded() { s.decoded.Store(true) }

// Planned implements engine.Observer.
func (s *sight) Planned(_, in, _ string) { s.size.Store(&in) }

// The rest of engine.Observer is of no interest here.

// StageDone implements engine.Observer.
func (*sight) StageDone(string, time.Duration, time.Duration) {}

// Dropped implements engine.Observer.
func (*sight) Dropped(string, string, int) {}

// Made implements engine.Observer.
func (*sight) Made(string, int) {}

// RungLoaded implements engine.Observer.
func (*sight) RungLoaded(string, error) {}

// RungChanged implements engine.Observer.
func (*sight) RungChanged(string, string, string) {}

// Waiting implements engine.Observer.
func (*sight) Waiting(string, int) {}

// nowhere takes what nobody wants.
type nowhere struct{}

// Tracks implements media.Output.
func (nowhere) Tracks([]media.Track) error { return nil }

// Packet implements media.Output.
func (nowhere) Packet(media.Packet) error { return nil }
