package whip

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"rave/bench/leak"
	"rave/engine/problem"
	"rave/engine/signalling"
	"rave/ingest/publish"
	"rave/ingest/rtpin/rtptest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// loopback are the settings of peers on this machine.
func loopback() pion.SettingEngine {
	var e pion.SettingEngine
	e.SetIncludeLoopbackCandidate(true)
	e.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() && ip.To4() != nil })
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4})
	e.SetICETimeouts(time.Second, 2*time.Second, 200*time.Millisecond)
	return e
}

// plainPeers makes peers without a server.
type plainPeers struct{}

func (plainPeers) NewPeer(_ context.Context, media *pion.MediaEngine, interceptors *interceptor.Registry, _ string) (*pion.PeerConnection, error) {
	return pion.NewAPI(pion.WithMediaEngine(media), pion.WithInterceptorRegistry(interceptors), pion.WithSettingEngine(loopback())).
		NewPeerConnection(pion.Configuration{})
}

func (plainPeers) Answer(_ context.Context, pc *pion.PeerConnection) (string, error) {
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	gathered := pion.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", err
	}
	<-gathered
	return pc.LocalDescription().SDP, nil
}

func (plainPeers) ClosePeer(pc *pion.PeerConnection) { _ = pc.GracefulClose() }

// house is an endpoint at /cam1/whip.
type house struct {
	source   *publish.Source
	endpoint *Endpoint
	drops    rtptest.Drops
	said     said // in the log
	url      string
	granted  context.Context // of publishers
	revoke   context.CancelCauseFunc
}

func startHouse(t *testing.T) *house {
	t.Helper()
	h := &house{said: make(said, 1024)}
	h.granted, h.revoke = context.WithCancelCause(context.Background())
	h.source = publish.New(publish.Config{Name: "cam1", OnDrop: h.drops.Add, Log: slog.New(h.said)})
	h.endpoint = New(Config{Source: h.source, Peers: plainPeers{}, ICEServers: []pion.ICEServer{{URLs: []string{"stun:stun.example.com:3478"}}}})
	mux := http.NewServeMux()
	mux.HandleFunc("/cam1/whip", func(w http.ResponseWriter, r *http.Request) { h.endpoint.ServeHTTP(h.granted, w, r, "") })
	mux.HandleFunc("/cam1/whip/{id}", func(w http.ResponseWriter, r *http.Request) {
		h.endpoint.ServeHTTP(h.granted, w, r, r.PathValue("id"))
	})
	server := httptest.NewServer(mux)
	h.url = server.URL + "/cam1/whip"
	t.Cleanup(func() {
		h.endpoint.Close()
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return h
}

// said is a log whose messages come on a channel.
type said chan string

// Enabled implements slog.Handler.
func (s said) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (s said) Handle(_ context.Context, r slog.Record) error {
	s <- r.Message
	return nil
}

// WithAttrs implements slog.Handler.
func (s said) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup implements slog.Handler.
func (s said) WithGroup(string) slog.Handler { return s }

// until waits for a message and returns those before it.
func (s said) until(t *testing.T, message string) (before []string) {
	t.Helper()
	for {
		m := rtptest.Receive(t, s, message)
		if m == message {
			return before
		}
		before = append(before, m)
	}
}

// do sends a request and returns the answer with its body.
func do(t *testing.T, method, url, contentType, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(data)
}

// problemOf checks that an answer is a problem of that status, and returns its detail.
func problemOf(t *testing.T, res *http.Response, body string, status int) string {
	t.Helper()
	var p problem.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != status || p.Status != status ||
		res.Header.Get("Content-Type") != problem.ContentType || p.Detail == "" {
		t.Errorf("status %d, want %d; %s", res.StatusCode, status, body)
	}
	return p.Detail
}

// client is a publisher.
type client struct {
	t        *testing.T
	pc       *pion.PeerConnection
	video    *pion.TrackLocalStaticRTP
	sound    *pion.TrackLocalStaticRTP
	encode   func(au [][]byte) ([]*rtp.Packet, error)
	loss     *loss
	socket   net.PacketConn // of ICE
	resource string         // its URL,
	etag     string
	once     sync.Once
	ready    chan struct{} // closed when connected
	plis     chan struct{} // keyframes that it was asked for
	nacks    atomic.Int64  // packets that it was asked for again
}

// loss is an interceptor that loses packets on their way out, as a seed decides.
type loss struct {
	interceptor.NoOp
	as    atomic.Pointer[source] // packets are of another one; nil: of the one that is offered
	share atomic.Int64           // in a thousand
	again atomic.Bool            // retransmissions are lost, too: all of them
	lost  atomic.Int64
	mu    sync.Mutex
	dice  *rand.Rand
	seen  map[uint16]bool
}

// source is what RTP packets say that they are of.
type source struct {
	ssrc        uint32
	payloadType uint8
}

// NewInterceptor implements interceptor.Factory.
func (l *loss) NewInterceptor(string) (interceptor.Interceptor, error) { return l, nil }

// BindLocalStream implements interceptor.Interceptor.
func (l *loss) BindLocalStream(info *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	if info.MimeType != pion.MimeTypeH264 {
		return next
	}
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if as := l.as.Load(); as != nil {
			other := h.Clone()
			other.SSRC, other.PayloadType = as.ssrc, as.payloadType
			return next.Write(&other, payload, a)
		}
		l.mu.Lock()
		again := h.SSRC != info.SSRC || l.seen[h.SequenceNumber]
		if h.SSRC == info.SSRC {
			l.seen[h.SequenceNumber] = true
		}
		lose := again && l.again.Load() || !again && l.dice.Int64N(1000) < l.share.Load()
		l.mu.Unlock()
		if lose {
			l.lost.Add(1)
			return len(payload), nil
		}
		return next.Write(h, payload, a)
	})
}

// newClient makes a publisher with H.264 and Opus that has not connected yet.
func newClient(t *testing.T) *client {
	t.Helper()
	c := &client{t: t, ready: make(chan struct{}), plis: make(chan struct{}, 64), loss: &loss{dice: rand.New(rand.NewPCG(1, 2)), seen: map[uint16]bool{}}}
	c.encode = rtptest.Encoder(t).Encode
	engine, registry := &pion.MediaEngine{}, &interceptor.Registry{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	responder, err := nack.NewResponderInterceptor()
	if err != nil {
		t.Fatal(err)
	}
	registry.Add(c.loss) // next to the wire
	registry.Add(responder)
	if err := pion.ConfigureRTCPReports(registry); err != nil {
		t.Fatal(err)
	}
	if err := pion.ConfigureTWCCHeaderExtensionSender(engine, registry); err != nil {
		t.Fatal(err)
	}
	settings := loopback()
	if c.socket, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	settings.SetICEUDPMux(pion.NewICEUDPMux(nil, c.socket))
	c.pc, err = pion.NewAPI(pion.WithMediaEngine(engine), pion.WithInterceptorRegistry(registry), pion.WithSettingEngine(settings)).
		NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	c.video = c.add(pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"})
	c.sound = c.add(pion.RTPCodecCapability{MimeType: pion.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	var once sync.Once
	c.pc.OnConnectionStateChange(func(s pion.PeerConnectionState) {
		if s == pion.PeerConnectionStateConnected {
			once.Do(func() { close(c.ready) })
		}
	})
	return c
}

// close ends the publisher as a program that is closed in order does.
func (c *client) close() {
	c.once.Do(func() {
		_ = c.pc.GracefulClose()
		_ = c.socket.Close()
	})
}

// add adds a track and listens to what it is asked for.
func (c *client) add(codec pion.RTPCodecCapability) *pion.TrackLocalStaticRTP {
	c.t.Helper()
	track, err := pion.NewTrackLocalStaticRTP(codec, codec.MimeType[:5], "publisher")
	if err != nil {
		c.t.Fatal(err)
	}
	tr, err := c.pc.AddTransceiverFromTrack(track, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	if codec.MimeType == pion.MimeTypeH264 {
		codec.RTCPFeedback = []pion.RTCPFeedback{{Type: "transport-cc"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
		if err := tr.SetCodecPreferences([]pion.RTPCodecParameters{
			{RTPCodecCapability: codec, PayloadType: 106},
			{RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=106"}, PayloadType: 107},
		}); err != nil {
			c.t.Fatal(err)
		}
	}
	go func() {
		for {
			packets, _, err := tr.Sender().ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				switch p := p.(type) {
				case *rtcp.PictureLossIndication:
					c.plis <- struct{}{}
				case *rtcp.TransportLayerNack:
					for _, pair := range p.Nacks {
						c.nacks.Add(int64(len(pair.PacketList())))
					}
				}
			}
		}
	}()
	return track
}

// offer returns the offer with all candidates.
func (c *client) offer() string {
	c.t.Helper()
	o, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	gathered := pion.GatheringCompletePromise(c.pc)
	if err := c.pc.SetLocalDescription(o); err != nil {
		c.t.Fatal(err)
	}
	<-gathered
	return c.pc.LocalDescription().SDP
}

// post sends an offer and takes the answer.
func (c *client) post(h *house, offer string) {
	c.t.Helper()
	res, answer := do(c.t, http.MethodPost, h.url, signalling.TypeSDP, offer)
	if res.StatusCode != http.StatusCreated {
		c.t.Fatalf("POST: %d %s", res.StatusCode, answer)
	}
	location, err := res.Location()
	if err != nil {
		c.t.Fatal(err)
	}
	c.resource, c.etag = location.String(), res.Header.Get("ETag")
	if err := c.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		c.t.Fatal(err)
	}
}

// publish connects.
func (c *client) publish(h *house) {
	c.t.Helper()
	c.connect(h, c.offer())
}

func (c *client) connect(h *house, offer string) {
	c.t.Helper()
	c.post(h, offer)
	rtptest.Receive(c.t, c.ready, "connection")
}

// send sends access unit n at 25 pictures a second.
func (c *client) send(n int, au ...[]byte) {
	c.t.Helper()
	packets, err := c.encode(au)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, p := range packets {
		p.Timestamp = uint32(n * 3600)
		if err := c.video.WriteRTP(p); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *client) sendSound(n int) {
	c.t.Helper()
	err := c.sound.WriteRTP(&rtp.Packet{
		Header:  rtp.Header{Version: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)},
		Payload: []byte{0xfc, byte(n)},
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// keyframe is an access unit that decoding can begin with.
func keyframe(n, size int) [][]byte {
	return [][]byte{rtptest.SPS(), rtptest.PPS(), rtptest.IDR(n, size)}
}
