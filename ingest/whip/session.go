package whip

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/signalling"
	"rave/ingest/publish"
	"rave/ingest/rtpin"
)

// connectTimeout is how long a publisher may take from its offer to being connected.
const connectTimeout = 10 * time.Second

// Why sessions end.
var (
	errLeft   = errors.New("it said goodbye")
	errHungUp = errors.New("it was cut off: nobody takes what it sends")
	errClosed = errors.New("takes no publishers any more")
	errLost   = errors.New("its connection is lost")
	errSlow   = errors.New("it did not connect in time: its network, or a firewall between, lets no WebRTC through; check webrtc.listen, " +
		"webrtc.tcp_listen and webrtc.public_addresses")
)

// session is one publisher.
type session struct {
	endpoint     *Endpoint
	resource     *signalling.Resource
	pc           *pion.PeerConnection
	turn         *publish.Turn
	video, sound *rtpin.Input // sound is nil if there is none

	ctx       context.Context //nolint:containedctx // its life, which is longer than the request that made it
	end       context.CancelCauseFunc
	connected chan struct{}
	damaged   chan struct{} // video was lost: a keyframe is needed
	begin     sync.Once
	loops     sync.WaitGroup
	done      chan struct{} // closed when nothing is left of it

	mu     sync.Mutex
	tracks map[*rtpin.Input]bool // those that have come
}

// newSession takes the turn and makes the peer. The session ends with granted. Whoever gets a session runs it, to its end.
func (e *Endpoint) newSession(ctx, granted context.Context, o offer, host string) (*session, error) {
	s := &session{
		endpoint: e, resource: signalling.NewResource(),
		connected: make(chan struct{}), damaged: make(chan struct{}, 1), done: make(chan struct{}),
		tracks: map[*rtpin.Input]bool{},
	}
	s.ctx, s.end = context.WithCancelCause(granted)
	var err error
	// What the publisher sends is described to readers with payload types of their own.
	if s.video, err = rtpin.Video(&format.H264{PayloadTyp: 96, PacketizationMode: 1}, s.dropped); err != nil {
		s.end(err)
		return nil, fmt.Errorf("receive video: %w", err)
	}
	inputs := []*rtpin.Input{s.video}
	if o.sound != nil {
		s.sound = rtpin.Audio(&format.Opus{PayloadTyp: 97, ChannelCount: 2})
		s.sound.Track.ID = 1
		inputs = append(inputs, s.sound)
	}
	if s.turn, err = e.cfg.Source.Take(func() { s.end(errHungUp) }, inputs...); err != nil {
		s.end(err)
		return nil, err
	}
	s.turn.Apart() // pion reads reports on a goroutine of their own
	media, interceptors, err := o.engine(signalling.Logger{Log: e.log})
	if err == nil {
		s.pc, err = e.cfg.Peers.NewPeer(ctx, media, interceptors, host)
	}
	if err != nil {
		s.end(err)
		s.turn.Leave(err)
		return nil, err
	}
	return s, nil
}

// engine says what pion is to negotiate: what the offer has of our codecs, under its own numbers, and no more. Lost packets
// are asked for by receive, which knows what is still waited for.
func (o offer) engine(log logging.LoggerFactory) (*pion.MediaEngine, *interceptor.Registry, error) {
	engine, registry := &pion.MediaEngine{}, &interceptor.Registry{}
	congestion := pion.RTCPFeedback{Type: pion.TypeRTCPFBTransportCC}
	for _, c := range o.video {
		c.RTCPFeedback = []pion.RTCPFeedback{congestion, {Type: pion.TypeRTCPFBNACK}, {Type: pion.TypeRTCPFBNACK, Parameter: "pli"}}
		if err := engine.RegisterCodec(c, pion.RTPCodecTypeVideo); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", c.MimeType, err)
		}
	}
	for _, c := range o.sound {
		c.RTCPFeedback = []pion.RTCPFeedback{congestion}
		if err := engine.RegisterCodec(c, pion.RTPCodecTypeAudio); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", c.MimeType, err)
		}
	}
	for _, kind := range []pion.RTPCodecType{pion.RTPCodecTypeVideo, pion.RTPCodecTypeAudio} {
		if err := engine.RegisterHeaderExtension(pion.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}, kind); err != nil {
			return nil, nil, fmt.Errorf("register %s: %w", sdp.TransportCCURI, err)
		}
	}
	feedback, err := twcc.NewSenderInterceptor(twcc.WithLoggerFactory(log))
	if err != nil {
		return nil, nil, fmt.Errorf("congestion feedback: %w", err)
	}
	reports, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(log))
	if err != nil {
		return nil, nil, fmt.Errorf("receiver reports: %w", err)
	}
	registry.Add(feedback)
	registry.Add(reports)
	return engine, registry, nil
}

// negotiate takes the offer and returns the answer.
func (s *session) negotiate(ctx context.Context, o offer) (string, error) {
	var once sync.Once
	s.pc.OnConnectionStateChange(func(state pion.PeerConnectionState) {
		switch state {
		case pion.PeerConnectionStateConnected:
			once.Do(func() { close(s.connected) })
		case pion.PeerConnectionStateFailed:
			s.end(errLost)
		case pion.PeerConnectionStateClosed: // by the publisher, if by nobody else before
			s.end(errLeft)
		}
	})
	s.pc.OnTrack(s.track)
	if err := s.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: o.text}); err != nil {
		return "", badOffer("%v", err)
	}
	return s.endpoint.cfg.Peers.Answer(ctx, s.pc)
}

// track is told of each source (SSRC) that the publisher sends, by pion on a goroutine of its own. Where the offer does not
// name them, anything may come.
func (s *session) track(t *pion.TrackRemote, r *pion.RTPReceiver) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.input(t.Kind(), t.Codec().MimeType)
	if in == nil {
		return
	}
	s.loop(func() { s.listen(in, r) })
	s.loop(func() { s.receive(in, t) })
	if in == s.video {
		s.loop(func() {
			s.askKeyframes(func() { s.write(&rtcp.PictureLossIndication{MediaSSRC: uint32(t.SSRC())}) })
		})
	}
}

// input is where a new track of that kind belongs; nil: nowhere. The first of each kind counts, since two would be mixed into
// one picture, and retransmissions are none. It needs mu.
func (s *session) input(kind pion.RTPCodecType, mime string) *rtpin.Input {
	in := s.video
	if kind == pion.RTPCodecTypeAudio {
		in = s.sound
	}
	switch {
	case s.ctx.Err() != nil: // run waits for those that came before
		return nil
	case in == nil || s.tracks[in] || strings.EqualFold(mime, pion.MimeTypeRTX):
		s.endpoint.log.Warn("a track of the publisher is left out: a stream has one video and one sound", "codec", mime)
		return nil
	}
	s.tracks[in] = true
	return in
}

// loop runs f beside the session, once somebody listens to it. It needs mu.
func (s *session) loop(f func()) {
	s.loops.Go(func() {
		s.begin.Do(s.turn.Begin)
		f()
	})
}

// run returns when the session has ended and nothing is left of it: why.
func (s *session) run() error {
	limit := time.NewTimer(connectTimeout)
	defer limit.Stop()
	select {
	case <-s.connected:
		<-s.ctx.Done()
	case <-limit.C:
		s.end(errSlow)
	case <-s.ctx.Done():
	}
	s.endpoint.cfg.Peers.ClosePeer(s.pc)
	reason := context.Cause(s.ctx)
	s.turn.Leave(reason)
	s.mu.Lock() // from here on track begins nothing
	s.loops.Wait()
	s.mu.Unlock()
	return reason
}

// listen takes what the publisher reports of a track, until the peer is closed.
func (s *session) listen(in *rtpin.Input, r *pion.RTPReceiver) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			s.turn.Report(in, p)
		}
	}
}

// write sends RTCP. An error says that the peer is going, and so does its state.
func (s *session) write(p rtcp.Packet) { _ = s.pc.WriteRTCP([]rtcp.Packet{p}) }

// dropped is told of video that was not passed on. It must not wait.
func (s *session) dropped(reason string, n int) {
	s.endpoint.cfg.Source.Drop(reason, n)
	select {
	case s.damaged <- struct{}{}:
	default:
	}
}

// When keyframes are asked for. Browsers send none by themselves; without any, whoever joins the original could not begin, and
// nothing that was lost would ever mend.
const (
	keyframePeriod = 2 * time.Second
	keyframeLimit  = 500 * time.Millisecond // not more often, whatever is lost
)

// askKeyframes asks for keyframes until the session ends.
func (s *session) askKeyframes(ask func()) {
	for {
		ask()
		if !s.pause(keyframeLimit, nil) || !s.pause(keyframePeriod-keyframeLimit, s.damaged) {
			return
		}
	}
}

// pause waits, at most until something comes; false: the session has ended.
func (s *session) pause(d time.Duration, until <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-until:
	case <-timer.C:
	}
	return true
}
