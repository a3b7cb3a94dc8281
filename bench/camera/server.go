package camera

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtp"

	"rave/engine/media"
)

// path is the only one that the camera serves.
const path = "/stream"

// server is the camera's RTSP side.
type server struct {
	cfg      Config
	url      string
	listener net.Listener
	rtsp     *gortsplib.Server
	stream   *gortsplib.ServerStream
	video    *description.Media
	audio    *description.Media
	pack     packer
	clock    uint32 // RTP time of the stream's start
	playing  sync.WaitGroup
	end      chan struct{}
}

func listen(cfg Config, track media.Track) (*server, error) {
	s := &server{cfg: cfg, clock: rand.Uint32(), end: make(chan struct{})}
	videoFormat, pack, err := newPacker(track, cfg.Sets)
	if err != nil {
		return nil, err
	}
	s.pack = pack
	s.video = &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{videoFormat}}
	described := &description.Session{Medias: []*description.Media{s.video}}
	if cfg.Audio != NoAudio {
		f, err := audioFormat(cfg.Audio)
		if err != nil {
			return nil, err
		}
		s.audio = &description.Media{Type: description.MediaTypeAudio, Formats: []format.Format{f}}
		described.Medias = append(described.Medias, s.audio)
	}
	if s.listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", cfg.Listen); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		_ = s.listener.Close()
		return nil, err
	}
	s.stream = &gortsplib.ServerStream{Server: s.rtsp, Desc: described}
	if err := s.stream.Initialize(); err != nil {
		s.rtsp.Close()
		return nil, err
	}
	s.url = fmt.Sprintf("rtsp://%s%s", s.listener.Addr(), path)
	return s, nil
}

// start starts the RTSP server; with UDP it looks for two ports that are free.
func (s *server) start() error {
	host, _, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return err
	}
	for range 50 {
		s.rtsp = &gortsplib.Server{
			Handler:        s,
			RTSPAddress:    s.listener.Addr().String(),
			Listen:         func(string, string) (net.Listener, error) { return s.listener, nil },
			WriteQueueSize: 4096, // a large keyframe fits whole; gortsplib drops single packets
		}
		if s.cfg.Transport != TCP {
			port := 20000 + 2*rand.IntN(20000)
			s.rtsp.UDPRTPAddress = fmt.Sprintf("%s:%d", host, port)
			s.rtsp.UDPRTCPAddress = fmt.Sprintf("%s:%d", host, port+1)
		}
		if err = s.rtsp.Start(); err == nil || s.cfg.Transport == TCP {
			return err
		}
	}
	return err
}

func (s *server) close() {
	close(s.end)
	s.playing.Wait()
	s.stream.Close()
	s.rtsp.Close()
}

// write sends one access unit.
func (s *server) write(p media.Packet) error {
	packets, err := s.pack(p.Data)
	if err != nil {
		return fmt.Errorf("packetize: %w", err)
	}
	return s.send(s.video, packets, s.clock+uint32(media.Ticks(p.PTS, media.VideoClockRate)), p.NTP)
}

func (s *server) send(to *description.Media, packets []*rtp.Packet, timestamp uint32, ntp time.Time) error {
	for _, packet := range packets {
		packet.Timestamp = timestamp
		if err := s.stream.WritePacketRTPWithNTP(to, packet, ntp); err != nil {
			return fmt.Errorf("send: %w", err)
		}
	}
	return nil
}

// playAudio sends a packet every 20 ms. The stream's start was seen at ntp and its first picture sent at start.
func (s *server) playAudio(ctx context.Context, start, ntp time.Time) {
	track := newSound(s.cfg.Audio)
	ticker := time.NewTimer(0)
	defer ticker.Stop()
	for k := 0; ; k++ {
		at := time.Duration(k) * packetTime
		ticker.Reset(time.Until(start.Add(at + packetTime)))
		select {
		case <-ctx.Done():
			return
		case <-s.end:
			return
		case <-ticker.C:
		}
		timestamp := s.clock + uint32(media.Ticks(at, track.rate))
		if s.send(s.audio, []*rtp.Packet{track.packet(k)}, timestamp, ntp.Add(at)) != nil {
			return
		}
	}
}

// allow answers a request for the stream.
func (s *server) allow(conn *gortsplib.ServerConn, req *base.Request, asked string) (*base.Response, *gortsplib.ServerStream, error) {
	if s.cfg.User != "" && !conn.VerifyCredentials(req, s.cfg.User, s.cfg.Password) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if asked != path {
		return &base.Response{StatusCode: base.StatusNotFound}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, s.stream, nil
}

// OnDescribe implements gortsplib.ServerHandlerOnDescribe.
func (s *server) OnDescribe(r *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return s.allow(r.Conn, r.Request, r.Path)
}

// OnSetup implements gortsplib.ServerHandlerOnSetup.
func (s *server) OnSetup(r *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if s.cfg.Transport == UDP && r.Transport == gortsplib.TransportTCP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return s.allow(r.Conn, r.Request, r.Path)
}

// OnPlay implements gortsplib.ServerHandlerOnPlay.
func (s *server) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}
