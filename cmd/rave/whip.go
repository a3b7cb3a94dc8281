package main

import (
	"context"
	"net/http"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	web "rave/egress/http"
	"rave/egress/webrtc"
	"rave/engine/problem"
	"rave/ingest/publish"
	"rave/ingest/whip"
)

// publishers are WHIP's peers on the ports of the WebRTC server.
type publishers struct{ *webrtc.Server }

// NewPeer implements whip.Peers.
func (p publishers) NewPeer(ctx context.Context, media *pion.MediaEngine, interceptors *interceptor.Registry, host string) (*pion.PeerConnection, error) {
	return p.Server.NewPeer(ctx, webrtc.PeerConfig{Media: media, Interceptors: interceptors, Host: host, Sends: true})
}

// admit opens the door to publishers that come by WebRTC, who feed source; nil closes it. Whoever publishes is sent away.
func (s *stream) admit(source *publish.Source) {
	var next *whip.Endpoint
	if source != nil && s.app.webrtc != nil {
		next = whip.New(whip.Config{Source: source, Peers: publishers{s.app.webrtc}, ICEServers: s.app.iceServers()})
	}
	if before := s.whip.Swap(next); before != nil {
		before.Close()
	}
}

// whip finds who answers those that publish to a stream; nil if there is no such stream.
func (a *app) whip(name string) web.MediaHandler {
	for _, s := range a.streams.streams() {
		if s.name != name {
			continue
		}
		if endpoint := s.whip.Load(); endpoint != nil {
			return endpoint
		}
		if s.configured().cfg.Source.Publish() {
			return closedDoor{http.StatusServiceUnavailable, "webrtc.max_viewers", "WebRTC is off, so only RTSP can publish: set webrtc.max_viewers to more than 0"}
		}
		return closedDoor{http.StatusForbidden, "streams." + name + ".source", "stream " + name + ` has a source of its own: to publish to it configure "source: publish"`}
	}
	return nil
}

// closedDoor answers those that nobody lets in.
type closedDoor struct {
	status      int
	key, reason string // the setting that would let them in, and why it does not
}

// ServeHTTP implements web.MediaHandler.
func (d closedDoor) ServeHTTP(_ context.Context, w http.ResponseWriter, _ *http.Request, _ string) {
	problem.WriteKey(w, d.status, d.key, "%s", d.reason)
}
