package webrtc

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/transport/v5/packetio"
	pion "github.com/pion/webrtc/v4"
)

// stranger is a peer that sends under as many names as it likes: a pion.TrackLocal.
type stranger struct {
	pc  *pion.PeerConnection
	out pion.TrackLocalWriter
}

func (*stranger) ID() string              { return "video" }
func (*stranger) RID() string             { return "" }
func (*stranger) StreamID() string        { return "stranger" }
func (*stranger) Kind() pion.RTPCodecType { return pion.RTPCodecTypeVideo }

func (s *stranger) Bind(c pion.TrackLocalContext) (pion.RTPCodecParameters, error) {
	s.out = c.WriteStream()
	return c.CodecParameters()[0], nil
}

func (*stranger) Unbind(pion.TrackLocalContext) error { return nil }

// meet connects a stranger that does not say its sources beforehand. Its states and the tracks that it is found to have are
// those of the server's peer.
func meet(t *testing.T, s *Server, cfg PeerConfig) (_ *stranger, states <-chan pion.PeerConnectionState, tracks <-chan uint32) {
	t.Helper()
	engine := func() *pion.MediaEngine {
		e := &pion.MediaEngine{}
		if err := e.RegisterCodec(pion.RTPCodecParameters{
			PayloadType: 102, RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: 90000},
		}, pion.RTPCodecTypeVideo); err != nil {
			t.Fatal(err)
		}
		return e
	}
	cfg.Media, cfg.Interceptors = engine(), &interceptor.Registry{}
	ours, err := s.NewPeer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.ClosePeer(ours) })
	came, found := make(chan pion.PeerConnectionState, 10), make(chan uint32, 1000)
	ours.OnConnectionStateChange(func(state pion.PeerConnectionState) { came <- state })
	ours.OnTrack(func(t *pion.TrackRemote, _ *pion.RTPReceiver) { found <- uint32(t.SSRC()) })

	theirs := &stranger{}
	var settings pion.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	theirs.pc, err = pion.NewAPI(pion.WithMediaEngine(engine()), pion.WithInterceptorRegistry(&interceptor.Registry{}), pion.WithSettingEngine(settings)).
		NewPeerConnection(pion.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.pc.GracefulClose() })
	ready := make(chan pion.PeerConnectionState, 10)
	theirs.pc.OnConnectionStateChange(func(state pion.PeerConnectionState) { ready <- state })
	if _, err := theirs.pc.AddTransceiverFromTrack(theirs, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := theirs.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	var unnamed strings.Builder
	for line := range strings.Lines(offer.SDP) {
		if !strings.HasPrefix(line, "a=ssrc") {
			unnamed.WriteString(line)
		}
	}
	if err := ours.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeOffer, SDP: unnamed.String()}); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Answer(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := theirs.pc.SetRemoteDescription(pion.SessionDescription{Type: pion.SDPTypeAnswer, SDP: answer}); err != nil {
		t.Fatal(err)
	}
	await(t, came, pion.PeerConnectionStateConnected)
	await(t, ready, pion.PeerConnectionStateConnected)
	return theirs, came, found
}

// await waits for a value.
func await[T comparable](t *testing.T, c <-chan T, want T) {
	t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		select {
		case got := <-c:
			if got == want {
				return
			}
		case <-over.C:
			t.Fatalf("no %v", want)
		}
	}
}

// send sends a packet of RTP.
func (s *stranger) send(ssrc uint32) {
	h := &rtp.Header{Version: 2, PayloadType: 102, SequenceNumber: 1, SSRC: ssrc}
	_, _ = s.out.WriteRTP(h, []byte{0x41, 1, 2, 3}) // the other side may have gone
}

// A peer that names ever more sources is ended, whether by RTP or by RTCP. As many as a publisher has are taken.
func TestManySources(t *testing.T) {
	s := serve(t, Config{})
	publisher, states, tracks := meet(t, s.Server, PeerConfig{Sends: true})
	const honest = 4
	for ssrc := range uint32(honest) {
		publisher.send(100 + ssrc)
		await(t, tracks, 100+ssrc)
	}
	if n := s.Refused()["sources"]; n != 0 || len(states) > 0 {
		t.Fatalf("%d peers were cut off that have %d sources", n, honest)
	}
	for ssrc := range uint32(100) {
		publisher.send(1000 + ssrc)
	}
	await(t, states, pion.PeerConnectionStateClosed)
	if n := len(tracks); n > maxBuffers {
		t.Errorf("%d tracks were made meanwhile", n)
	}

	viewer, states, _ := meet(t, s.Server, PeerConfig{})
	report := &rtcp.ReceiverReport{}
	for ssrc := range uint32(2 * maxBuffers) {
		report.Reports = append(report.Reports[:0], rtcp.ReceptionReport{SSRC: 1000 + ssrc})
		_ = viewer.pc.WriteRTCP([]rtcp.Packet{report})
	}
	await(t, states, pion.PeerConnectionStateClosed)
	if n := s.Refused()["sources"]; n != 2 {
		t.Errorf("%d peers were cut off, want 2", n)
	}
}

// What a viewer sends as media is not kept, and nothing is that comes under too many names.
func TestBuffersOfSources(t *testing.T) {
	for _, media := range []bool{false, true} {
		ends := 0
		s := newSources(media, func() { ends++ })
		for n := range uint32(2 * maxBuffers) {
			kind, most := packetio.RTPBufferPacket, rtpBuffer
			if n%2 == 1 {
				kind, most = packetio.RTCPBufferPacket, rtcpBuffer
			}
			b, size := s.buffer(kind, n), 0
			var err error
			for packet := make([]byte, 1200); err == nil && size < 2*most; size += len(packet) {
				_, err = b.Write(packet)
			}
			taken := n < maxBuffers && (media || kind == packetio.RTCPBufferPacket)
			switch {
			case taken && (!errors.Is(err, packetio.ErrFull) || size < most/2 || size > most+2400):
				t.Errorf("media %v, buffer %d: full after %d bytes: %v", media, n, size, err)
			case !taken && !errors.Is(err, io.ErrClosedPipe):
				t.Errorf("media %v, buffer %d takes %d bytes: %v", media, n, size, err)
			}
			_ = b.Close()
		}
		if ends != 1 {
			t.Errorf("media %v: ended %d times", media, ends)
		}
	}
}
