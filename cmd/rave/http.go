package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"slices"
	"time"

	"rave/config"
	web "rave/egress/http"
	"rave/engine/stats"
	"rave/ingest"
)

func (a *app) listenHTTP() (*web.Server, error) {
	cert, err := certificate(a.cfg)
	if err != nil {
		return nil, err
	}
	srv, err := web.New(web.Config{
		Listen: a.cfg.HTTP.Listen, Certificate: cert, Log: a.log, Gatherer: a.registry, Status: a.status, Auth: visitors(a.cfg),
		Hosts: a.cfg.HTTP.Hosts, Origins: a.cfg.HTTP.Origins, Cameras: &cameras{app: a}, Snapshot: a.snapshot,
		WHEP: a.whep, WHIP: a.whip,
	})
	if err != nil {
		return nil, a.cannotListen("http.listen", "", err)
	}
	return srv, nil
}

// certificate reads that of the HTTP server; nil if it has none.
func certificate(cfg *config.Config) (*tls.Certificate, error) {
	if cfg.HTTP.TLS == (config.TLS{}) {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(cfg.HTTP.TLS.Certificate, cfg.HTTP.TLS.Key)
	if err != nil {
		return nil, cfg.Errorf("http.tls", "%v; name a certificate and its key as PEM files that RAVE may read", err)
	}
	return &cert, nil
}

// pageURL is where the page is, for people on this machine or, if it is listened for them, others.
func (a *app) pageURL() string {
	scheme := "http"
	if a.cfg.HTTP.TLS != (config.TLS{}) {
		scheme = "https"
	}
	return scheme + "://" + reachable(a.web.Addr().String()) + "/"
}

// visitors returns who may see the status; nil for everybody.
func visitors(cfg *config.Config) web.Auth {
	if cfg.Open() {
		return nil
	}
	return users{cfg}
}

// users checks visitors against the configuration.
type users struct{ cfg *config.Config }

// Check implements web.Auth.
func (u users) Check(name, password string) bool {
	user, ok := u.cfg.User(name)
	return ok && user.Verify(password)
}

// Bearer implements web.Auth.
func (u users) Bearer(token string) string {
	user, _ := u.cfg.Bearer(token)
	return user.Name
}

// Secret implements web.Auth.
func (u users) Secret(name string, token bool) string {
	user, _ := u.cfg.User(name)
	if token {
		return string(user.TokenHash)
	}
	return string(cmp.Or(user.PasswordHash, user.Password))
}

// May implements web.Auth.
func (u users) May(name, permission, stream string) bool {
	user, ok := u.cfg.User(name)
	return ok && user.May(config.Permission(permission), stream)
}

// Knows implements web.Auth.
func (u users) Knows(name string) bool {
	_, ok := u.cfg.User(name)
	return ok
}

// status gathers what the page shows.
func (a *app) status() web.Status {
	st := web.Status{
		Version: version, Started: a.started, Config: a.reloads.status(),
		Listeners: []web.Listener{
			listener("rtsp", a.rtsp.Addr(), a.rtsp.Err()),
			listener("http", a.web.Addr().String(), a.web.Err()),
		},
	}
	if a.webrtc != nil {
		st.Listeners = append(st.Listeners, listener("webrtc", a.webrtc.Addr(), a.webrtc.Err()))
	}
	for _, s := range a.streams.streams() {
		st.Streams = append(st.Streams, s.status())
	}
	return st
}

func listener(name, address string, err error) web.Listener {
	l := web.Listener{Name: name, Address: address, Up: err == nil}
	if err != nil {
		l.Reason = err.Error()
	}
	return l
}

func (s *stream) status() web.Stream {
	snap := s.stats.Snapshot()
	s.mu.Lock()
	state, since, now, onlines := s.state, s.since, s.now, s.onlines
	woken := s.woken
	s.mu.Unlock()
	asleep := s.asleep()
	st := web.Stream{
		Name: s.name, Source: now.camera, Publish: now.cfg.Source.Publish(),
		State: webState(state.Phase), Since: since, Asleep: asleep, Reconnects: int64(max(0, onlines-1)),
		Plan: snap.Plan, EnhancedURL: s.app.url(s.name), OriginalURL: s.app.url(s.name + "/original"),
		Input: web.Video{
			Codec: snap.Codec, Size: snap.Input, FPS: snap.FPSIn, Bitrate: snap.BitrateIn, Frames: snap.Decoded,
		},
		Output:   web.Video{Size: snap.Output, FPS: snap.FPSOut, Bitrate: snap.BitrateOut, Frames: snap.Made},
		Enhancer: snap.Enhancer, Latency: latency(snap.Total),
		Readers: web.Readers{Enhanced: s.enhanced.Stats().Readers, Original: s.original.Stats().Readers},
		Viewers: web.Viewers{Enhanced: s.enhanced.audience(), Original: s.original.audience()},
	}
	s.onScreen.tell(&st)
	if snap.Made > 0 {
		st.Output.Codec = "h264"
	}
	switch {
	case state.Err != nil:
		st.Reason = state.Err.Error()
	case state.Phase == ingest.Connecting && now.cfg.Source.Publish():
		st.State, st.Reason = web.StateWaiting, "waiting for a publisher"
	case state.Phase == ingest.Online && !asleep:
		st.Reason = stalled(snap, since, woken)
	}
	if state.Phase == ingest.Waiting && state.Next > 0 {
		st.NextTry = state.Since.Add(state.Next)
	}
	st.Enhancers = qualityStatus(now.cfg.Quality, snap, state.Phase == ingest.Online && !asleep)
	for i, w := range snap.Work {
		st.Stages = append(st.Stages, web.Stage{Name: w.Stage, Wait: latency(snap.Wait[i]), Work: latency(w)})
	}
	for _, d := range snap.Drops {
		st.Drops = append(st.Drops, web.Drop{Stage: d.Stage, Reason: d.Reason, Count: d.Count})
	}
	return st
}

// qualityStatus lists the enhancers of a stream, with why they do not serve. What is better than the one that serves and has not been
// opened yet is loading, if pictures come; what is worse may never be opened.
func qualityStatus(quality []string, snap stats.Snapshot, on bool) []web.Enhancer {
	serves := slices.Index(quality, snap.Enhancer)
	if serves < 0 { // none yet: the best one is opened first
		serves = 1
	}
	all := make([]web.Enhancer, len(quality))
	for i, name := range quality {
		why, opened := snap.Enhancers[name]
		if on && !opened && i < serves {
			why.Code = stats.TroubleLoading
		}
		all[i] = web.Enhancer{Name: name, Share: snap.Shares[name], Reason: why.Text, ReasonCode: why.Code}
	}
	return all
}

// stalled says why a stream whose camera delivers has no enhanced picture; empty if it has, or may have soon.
func stalled(snap stats.Snapshot, online, woken time.Time) string {
	const patience = 3 * time.Second
	last := snap.LastEnhancedSeen
	for _, began := range []time.Time{online, woken} {
		if last.Before(began) {
			last = began
		}
	}
	if time.Since(last) < patience {
		return ""
	}
	reason := "the camera delivers, but no enhanced picture has been made for " + time.Since(last).Round(time.Second).String()
	for _, why := range snap.Enhancers {
		if why.Text != "" {
			reason += "; " + why.Text
		}
	}
	return reason
}

func latency(l stats.Latency) web.Latency { return web.NewLatency(l.P50, l.P95, l.P99) }

func webState(p ingest.Phase) web.State {
	switch p {
	case ingest.Online:
		return web.StateOnline
	case ingest.Connecting:
		return web.StateConnecting
	default:
		return web.StateWaiting
	}
}

// summary is one line about a stream for the terminal.
func (s *stream) summary() []any {
	snap := s.stats.Snapshot()
	var drops int64
	for _, d := range snap.Drops {
		drops += d.Count
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1fms", float64(d)/1e6) }
	return []any{
		"stream", s.name, "fps_in", fmt.Sprintf("%.1f", snap.FPSIn), "fps_out", fmt.Sprintf("%.1f", snap.FPSOut),
		"latency_p50", ms(snap.Total.P50), "latency_p95", ms(snap.Total.P95), "drops", drops, "enhancer", snap.Enhancer,
		"readers", s.enhanced.Stats().Readers + s.original.Stats().Readers,
	}
}
