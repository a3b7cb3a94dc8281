package main

import (
	"errors"
	"time"

	pion "github.com/pion/webrtc/v4"

	web "rave/egress/http"
	"rave/egress/rtsp"
	"rave/egress/webrtc"
	"rave/engine/media"
)

// listenWebRTC returns nil if there are to be no viewers.
func (a *app) listenWebRTC() (*webrtc.Server, error) {
	c := a.cfg.WebRTC
	if c.MaxViewers == 0 {
		return nil, nil
	}
	cfg := webrtc.Config{
		Listen: c.Listen, TCPListen: c.TCPListen, PublicAddresses: c.PublicAddresses, MaxViewers: c.MaxViewers,
		Log: a.log, OnDrop: a.dropped,
	}
	cfg.ICEServers = a.iceServers()
	srv, err := webrtc.New(cfg)
	switch {
	case errors.Is(err, webrtc.ErrTCP):
		return nil, a.cannotListen("webrtc.tcp_listen", ", or max_viewers: 0 to do without browsers", err)
	case err != nil:
		return nil, a.cannotListen("webrtc.listen", ", or max_viewers: 0 to do without browsers", err)
	}
	if a.cfg.HidesMedia() {
		a.log.Warn("other machines can open the page, but get no picture: open webrtc.listen and webrtc.tcp_listen to them as well",
			"http", a.cfg.HTTP.Listen, "webrtc", c.Listen)
	}
	return srv, nil
}

func (a *app) iceServers() []pion.ICEServer {
	var all []pion.ICEServer
	for _, s := range a.cfg.WebRTC.ICEServers {
		all = append(all, pion.ICEServer{URLs: s.URLs, Username: s.Username, Credential: string(s.Credential)})
	}
	return all
}

// outputs are the two ways on which a stream's picture leaves: RTSP, and WebRTC unless that is off.
type outputs struct {
	*rtsp.Path
	browsers *webrtc.Path // nil: WebRTC is off
}

var _ media.Sink = outputs{}

// Open implements media.Sink. What browsers cannot be sent is no reason not to serve it by RTSP.
func (o outputs) Open(tracks []media.Track) error {
	if err := o.Path.Open(tracks); err != nil || o.browsers == nil {
		return err
	}
	return o.browsers.Open(tracks)
}

// Write implements media.Sink.
func (o outputs) Write(p media.Packet) error {
	if err := o.Path.Write(p); err != nil || o.browsers == nil {
		return err
	}
	return o.browsers.Write(p)
}

// rtpTime is that of a picture as browsers have it.
func (o outputs) rtpTime(pts time.Duration) uint32 {
	if o.browsers == nil {
		return uint32(media.Ticks(pts, media.VideoClockRate))
	}
	return o.browsers.RTPTime(pts)
}

// watched reports whether somebody reads or watches.
func (o outputs) watched() bool {
	return o.Stats().Readers > 0 || o.browsers != nil && o.browsers.Stats().Viewers > 0
}

// audience counts who watches.
func (o outputs) audience() web.Audience {
	if o.browsers == nil {
		return web.Audience{}
	}
	st := o.browsers.Stats()
	return web.Audience{Count: st.Viewers, Renditions: st.Renditions}
}

// SetUnavailable says why there is nothing to read or to watch.
func (o outputs) SetUnavailable(reason string) {
	o.Path.SetUnavailable(reason)
	if o.browsers != nil {
		o.browsers.SetUnavailable(reason)
	}
}

// output makes both ways of a path.
func (a *app) output(path string, r rtsp.PathConfig, b webrtc.PathConfig) outputs {
	o := outputs{Path: a.rtsp.Path(path, r)}
	if a.webrtc != nil {
		o.browsers = a.webrtc.Path(path, b)
	}
	return o
}

// removeOutput ends both ways of a path.
func (a *app) removeOutput(path string) {
	a.rtsp.Remove(path)
	if a.webrtc != nil {
		a.webrtc.Remove(path)
	}
}

// whep returns who answers viewers of a path; nil if there is no such stream.
func (a *app) whep(path string) web.MediaHandler {
	if a.webrtc == nil {
		return nil
	}
	if p := a.webrtc.Lookup(path); p != nil {
		return p
	}
	return nil
}
