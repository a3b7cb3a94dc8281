// Package whep is a viewer: a WHEP client that counts what it gets, to test and measure against. It shares no code with what
// it tests but pion.
package whep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Config says how to watch.
type Config struct {
	URL    string       // of the endpoint
	Client *http.Client // nil: http.DefaultClient
	Header http.Header  // of the requests, such as Authorization
	Sound  bool
	Codecs []string // of video: "H264", "H265"; none: H264
	TCP    bool     // ICE over TCP only
	NoNACK bool     // lost packets are not asked for again
	Hide   bool     // the offer has no candidates, like that of a browser that hides its addresses
	// Relays are TURN servers: with any, only a relay's address is used. None: only this machine's.
	Relays []webrtc.ICEServer
	// Settings changes how ICE works; Change changes the answer before it is taken. They may be nil.
	Settings func(*webrtc.SettingEngine)
	Change   func(answer string) string
	// OnOffer is called right before the offer is sent. It may be nil.
	OnOffer func()
	// OnPacket is told of each RTP packet, from one goroutine per track. It may be nil.
	OnPacket func(kind webrtc.RTPCodecType, pkt *rtp.Packet)
	// OnReport is told of each sender report. It may be nil.
	OnReport func(kind webrtc.RTPCodecType, sr *rtcp.SenderReport)
}

// Viewer watches until it is closed.
type Viewer struct {
	cfg      Config
	pc       *webrtc.PeerConnection
	resource string
	etag     string
	Answer   string      // SDP
	Header   http.Header // of the answer
	readers  sync.WaitGroup
	failed   chan struct{}
	gone     sync.Once

	mu    sync.Mutex
	video webrtc.SSRC
}

// StatusError is an answer that is not the one hoped for.
type StatusError struct {
	Code   int
	Header http.Header
	Body   string
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Body) }

// Connect offers to watch and returns once it is answered; packets come later. The caller closes the Viewer.
func Connect(ctx context.Context, cfg Config) (*Viewer, error) {
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	v := &Viewer{cfg: cfg, failed: make(chan struct{})}
	api, err := v.api()
	if err != nil {
		return nil, err
	}
	var how webrtc.Configuration
	if len(cfg.Relays) > 0 {
		how.ICEServers, how.ICETransportPolicy = cfg.Relays, webrtc.ICETransportPolicyRelay
	}
	if v.pc, err = api.NewPeerConnection(how); err != nil {
		return nil, fmt.Errorf("whep: %w", err)
	}
	if err := v.connect(ctx); err != nil {
		_ = v.pc.GracefulClose()
		v.readers.Wait()
		return nil, fmt.Errorf("whep: %w", err)
	}
	return v, nil
}

func (v *Viewer) api() (*webrtc.API, error) {
	engine, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	codecs := v.cfg.Codecs
	if len(codecs) == 0 {
		codecs = []string{"H264"}
	}
	feedback := []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "transport-cc"}}
	pt := webrtc.PayloadType(100)
	register := func(mime, fmtp string) error {
		pt++
		return engine.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp, RTCPFeedback: feedback}}, webrtc.RTPCodecTypeVideo)
	}
	var err error
	for _, c := range codecs {
		if c != "H264" {
			err = errors.Join(err, register("video/"+c, ""))
			continue
		}
		for _, profile := range []string{"42001f", "42e01f", "4d001f", "64001f"} {
			err = errors.Join(err, register(webrtc.MimeTypeH264, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id="+profile))
		}
	}
	for _, c := range []webrtc.RTPCodecParameters{
		{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}},
		{PayloadType: 0, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMU, ClockRate: 8000}},
		{PayloadType: 8, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypePCMA, ClockRate: 8000}},
	} {
		err = errors.Join(err, engine.RegisterCodec(c, webrtc.RTPCodecTypeAudio))
	}
	for _, uri := range Extensions() {
		err = errors.Join(err, engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
	}
	err = errors.Join(err, v.intercept(registry))
	if err != nil {
		return nil, fmt.Errorf("whep: %w", err)
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetSRTPReplayProtectionWindow(1024) // what is sent again comes late
	settings.SetInterfaceFilter(func(name string) bool {
		i, err := net.InterfaceByName(name)
		return err == nil && i.Flags&net.FlagLoopback != 0
	})
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if v.cfg.TCP {
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	}
	if v.cfg.Settings != nil {
		v.cfg.Settings(&settings)
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)), nil
}

// Extensions are the RTP header extensions that the viewer understands, as Chromium does.
func Extensions() []string {
	return []string{
		"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
		"http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
		"http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
	}
}

// intercept lets the viewer report what it gets and ask for what it lacks.
func (v *Viewer) intercept(registry *interceptor.Registry) error {
	reports, err := report.NewReceiverInterceptor()
	feedback, err2 := twcc.NewSenderInterceptor()
	registry.Add(reports)
	registry.Add(feedback)
	if v.cfg.NoNACK {
		return errors.Join(err, err2)
	}
	nacks, err3 := nack.NewGeneratorInterceptor()
	registry.Add(nacks)
	return errors.Join(err, err2, err3)
}

func (v *Viewer) connect(ctx context.Context) error {
	kinds := []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}
	if v.cfg.Sound {
		kinds = append(kinds, webrtc.RTPCodecTypeAudio)
	}
	for _, kind := range kinds {
		if _, err := v.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return err
		}
	}
	v.pc.OnTrack(v.receive)
	v.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateFailed || s == webrtc.PeerConnectionStateClosed {
			v.gone.Do(func() { close(v.failed) })
		}
	})
	offer, err := v.pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-ctx.Done():
		return ctx.Err()
	}
	if v.cfg.OnOffer != nil {
		v.cfg.OnOffer()
	}
	offered := v.pc.LocalDescription().SDP
	if v.cfg.Hide {
		offered = regexp.MustCompile(`(?m)^a=candidate:.*\n`).ReplaceAllString(offered, "")
	}
	if err := v.post(ctx, offered); err != nil {
		return err
	}
	answer := v.Answer
	if v.cfg.Change != nil {
		answer = v.cfg.Change(answer)
	}
	return v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

func (v *Viewer) post(ctx context.Context, sdp string) error {
	res, err := v.do(ctx, http.MethodPost, v.cfg.URL, "application/sdp", sdp, nil)
	if err != nil {
		return err
	}
	if res.Code != http.StatusCreated {
		return res
	}
	base, err := url.Parse(v.cfg.URL)
	if err != nil {
		return err
	}
	where, err := base.Parse(res.Header.Get("Location"))
	if err != nil {
		return fmt.Errorf("location: %w", err)
	}
	v.Answer, v.Header, v.resource, v.etag = res.Body, res.Header, where.String(), res.Header.Get("ETag")
	return nil
}

// do makes a request of which the answer, whatever it is, is returned whole.
func (v *Viewer) do(ctx context.Context, method, url, contentType, body string, header http.Header) (*StatusError, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewBufferString(body))
	if err != nil {
		return nil, err
	}
	for _, h := range []http.Header{v.cfg.Header, header} {
		for key, values := range h {
			req.Header[key] = values
		}
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := v.cfg.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return &StatusError{res.StatusCode, res.Header, string(data)}, err
}

// receive reads one track until the peer is closed.
func (v *Viewer) receive(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	if t.Kind() == webrtc.RTPCodecTypeVideo {
		v.mu.Lock()
		v.video = t.SSRC()
		v.mu.Unlock()
	}
	v.readers.Go(func() { v.listen(t.Kind(), r) })
	v.readers.Go(func() {
		for {
			pkt, _, err := t.ReadRTP()
			if err != nil {
				return
			}
			if v.cfg.OnPacket != nil {
				v.cfg.OnPacket(t.Kind(), pkt)
			}
		}
	})
}

func (v *Viewer) listen(kind webrtc.RTPCodecType, r *webrtc.RTPReceiver) {
	for {
		packets, _, err := r.ReadRTCP()
		if err != nil {
			return
		}
		for _, pkt := range packets {
			if sr, ok := pkt.(*rtcp.SenderReport); ok && v.cfg.OnReport != nil {
				v.cfg.OnReport(kind, sr)
			}
		}
	}
}

// RequestKeyframe sends a picture loss indication.
func (v *Viewer) RequestKeyframe() error {
	v.mu.Lock()
	ssrc := v.video
	v.mu.Unlock()
	return v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(ssrc)}})
}

// Request makes a request of the viewer's resource, and returns the answer whole.
func (v *Viewer) Request(ctx context.Context, method, contentType, body string, header http.Header) (*StatusError, error) {
	return v.do(ctx, method, v.resource, contentType, body, header)
}

// ETag is that of the answer.
func (v *Viewer) ETag() string { return v.etag }

// Failed is closed when the connection is lost or closed.
func (v *Viewer) Failed() <-chan struct{} { return v.failed }

// Leave says good-bye and closes.
func (v *Viewer) Leave(ctx context.Context) error {
	res, err := v.Request(ctx, http.MethodDelete, "", "", nil)
	v.Close()
	if err == nil && res.Code != http.StatusOK {
		err = res
	}
	return err
}

// Close closes without a word, and waits.
func (v *Viewer) Close() {
	_ = v.pc.GracefulClose()
	v.readers.Wait()
}

// Wait returns when done is closed, or with an error when the connection is lost or the time is over.
func (v *Viewer) Wait(done <-chan struct{}, limit time.Duration) error {
	over := time.NewTimer(limit)
	defer over.Stop()
	select {
	case <-done:
		return nil
	case <-v.failed:
		return errors.New("whep: the connection is lost")
	case <-over.C:
		return fmt.Errorf("whep: nothing for %v", limit)
	}
}
