package webrtc

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/cc"
	"github.com/pion/interceptor/pkg/gcc"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/logging"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/media"
	"rave/engine/signalling"
)

// plan is what a viewer will get.
type plan struct {
	picture, listens *feed // listens is nil for no sound
	video, sound     pion.RTPCodecParameters
	plain            pion.RTPCodecParameters // H.264, which renditions are; no MimeType: the offer has none
	tracks           []media.Track           // of the stream, that it is for
}

// choose finds what suits an offer. Its error is a refusal.
func (p *Path) choose(o offer) (plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	main := p.main.track(media.Video)
	if main == nil {
		reason := p.unavailable
		if reason == "" {
			reason = p.name + " has not been seen yet"
		}
		return plan{}, signalling.Refuse(http.StatusConflict, "unavailable", "The stream is not there", "%s", reason)
	}
	pl := plan{tracks: p.main.tracks}
	pl.plain, _ = choose(o.video, pion.MimeTypeH264, "42")
	var why string
	switch direct, ok := choose(o.video, "video/"+string(main.Codec), p.main.profile); {
	case ok && p.main.flaw() == "":
		pl.picture, pl.video = p.main, direct
		if main.Codec == media.H264 {
			pl.plain = direct // of a better profile, perhaps: a decoder of that takes all of H.264 below it
		}
	case ok:
		why = p.main.flaw()
	case main.Codec == media.H265 && p.main.profile != "":
		why = "which is not in the offer with profile-id " + p.main.profile
	default:
		why = "which is not in the offer"
	}
	if pl.picture == nil {
		f := p.renditions[Browser]
		switch {
		case f == nil:
			return pl, unplayable(string(main.Codec), why)
		case pl.plain.MimeType == "":
			return pl, unplayable(string(main.Codec), why+", and neither is H.264 with packetization-mode=1")
		}
		pl.picture, pl.video = f, pl.plain
	}
	pl.listens, pl.sound = p.chooseSound(o)
	return pl, nil
}

// chooseSound needs mu.
func (p *Path) chooseSound(o offer) (*feed, pion.RTPCodecParameters) {
	t := p.main.track(media.Audio)
	if t == nil || !o.hasSound {
		return nil, pion.RTPCodecParameters{}
	}
	if soundForBrowsers(*t) {
		if c, ok := choose(o.sound, "audio/"+string(t.Codec), ""); ok {
			return p.main, c
		}
	}
	if f := p.renditions[Opus]; f != nil {
		if c, ok := choose(o.sound, pion.MimeTypeOpus, ""); ok {
			return f, c
		}
	}
	return nil, pion.RTPCodecParameters{}
}

// join makes a viewer of an offer, and its answer. Its error is a refusal, or the server's own fault.
func (p *Path) join(ctx context.Context, sdpOffer, host string) (*viewer, string, error) {
	o, err := parseOffer(sdpOffer)
	if err != nil {
		return nil, "", signalling.Refuse(http.StatusBadRequest, "bad-offer", "This offer cannot be answered", "%v", err)
	}
	pl, err := p.choose(o)
	if err != nil {
		return nil, "", err
	}
	if err := p.server.admit(); err != nil {
		p.server.refusals.Add("viewers", "a viewer was refused: "+err.Error(), "path", p.name)
		return nil, "", err
	}
	v, err := p.newViewer(ctx, pl, host)
	if err != nil {
		p.server.leave()
		return nil, "", err
	}
	answer, err := v.negotiate(ctx, sdpOffer)
	if err == nil && !p.attach(v, pl.tracks) {
		err = signalling.Refuse(http.StatusConflict, "unavailable", "The stream is not there", "the stream has just changed or ended: try again")
	}
	if err != nil {
		v.close("its offer could not be answered")
		return nil, "", err
	}
	return v, answer, nil
}

func (p *Path) newViewer(ctx context.Context, pl plan, host string) (*viewer, error) {
	pace := &pacer{}
	engine, registry, err := pl.engine(pace, signalling.Logger{Log: p.log})
	if err != nil {
		return nil, err
	}
	pc, err := p.server.NewPeer(ctx, PeerConfig{Media: engine, Interceptors: registry, Host: host})
	if err != nil {
		return nil, err
	}
	v := &viewer{
		path: p, resource: signalling.NewResource(), pc: pc, pace: pace, stop: make(chan struct{}),
		wants: pl.picture, picture: pl.picture, listens: pl.listens,
		video: newTrack(pion.RTPCodecTypeVideo, pl.video, pl.plain),
	}
	if pl.listens != nil {
		v.sound = newTrack(pion.RTPCodecTypeAudio, pl.sound, pion.RTPCodecParameters{})
	}
	v.expiry = time.AfterFunc(p.server.cfg.ConnectTimeout, func() { v.close("it has not connected") })
	return v, nil
}

// negotiate takes the offer and returns the answer.
func (v *viewer) negotiate(ctx context.Context, sdpOffer string) (string, error) {
	v.pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		switch s {
		case pion.PeerConnectionStateConnected:
			v.start()
		case pion.PeerConnectionStateFailed, pion.PeerConnectionStateClosed:
			go v.close("its connection " + s.String()) // which waits for this callback
		}
	})
	for _, t := range []*track{v.video, v.sound} {
		if t == nil {
			continue
		}
		tr, err := v.pc.AddTransceiverFromTrack(t, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
		if err != nil {
			return "", fmt.Errorf("add %s: %w", t.kind, err)
		}
		v.loops.Go(func() { v.listen(tr.Sender()) })
		tr.Sender().Transport().ICETransport().OnSelectedCandidatePairChange(v.route) // one for all tracks
	}
	if err := v.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: sdpOffer}); err != nil {
		return "", signalling.Refuse(http.StatusBadRequest, "bad-offer", "This offer cannot be answered", "%v", err)
	}
	return v.path.server.Answer(ctx, v.pc)
}

// engine says what pion is to negotiate and to do with packets. The order matters: what is sent again
// passes congestion control like everything else. pace is given its estimator.
func (pl plan) engine(pace *pacer, log logging.LoggerFactory) (*pion.MediaEngine, *interceptor.Registry, error) {
	engine, registry := &pion.MediaEngine{}, &interceptor.Registry{}
	feedback := []pion.RTCPFeedback{{Type: "transport-cc"}}
	pl.sound.RTCPFeedback = feedback
	videos := []pion.RTPCodecParameters{pl.video}
	if pl.plain.MimeType != "" && pl.plain.PayloadType != pl.video.PayloadType {
		videos = append(videos, pl.plain)
	}
	for _, c := range videos {
		c.RTCPFeedback = slices.Concat(feedback, []pion.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"}})
		if err := engine.RegisterCodec(c, pion.RTPCodecTypeVideo); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", c.MimeType, err)
		}
	}
	if pl.listens != nil {
		if err := engine.RegisterCodec(pl.sound, pion.RTPCodecTypeAudio); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", pl.sound.MimeType, err)
		}
	}
	for _, e := range []struct {
		uri  string
		kind pion.RTPCodecType
	}{
		{sdp.TransportCCURI, pion.RTPCodecTypeVideo}, {sdp.TransportCCURI, pion.RTPCodecTypeAudio},
		{captureTimeURI, pion.RTPCodecTypeVideo}, {captureTimeURI, pion.RTPCodecTypeAudio}, {playoutDelayURI, pion.RTPCodecTypeVideo},
	} {
		if err := engine.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: e.uri}, e.kind); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", e.uri, err)
		}
	}
	responder, err := nack.NewResponderInterceptor(nack.DisableCopy(), nack.ResponderSize(1024), nack.WithResponderLoggerFactory(log))
	if err != nil {
		return nil, nil, fmt.Errorf("retransmission: %w", err)
	}
	congestion, err := cc.NewInterceptor(func() (cc.BandwidthEstimator, error) {
		e, err := gcc.NewSendSideBWE(gcc.SendSideBWEPacer(gcc.NewNoOpPacer()), gcc.SendSideBWEInitialBitrate(firstEstimate),
			gcc.SendSideBWEMinBitrate(leastEstimate), gcc.SendSideBWEMaxBitrate(mostEstimate), gcc.WithLoggerFactory(log))
		pace.estimate = e
		return e, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("congestion control: %w", err)
	}
	registry.Add(metering{congestion, &pace.meter})
	registry.Add(responder)
	return engine, registry, nil
}
