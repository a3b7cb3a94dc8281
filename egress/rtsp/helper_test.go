package rtsp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/bench/leak"
	"rave/engine/media"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// Parameter sets of a 1920×1080 stream, from gortsplib's tests.
var (
	testSPS = []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
	testPPS = []byte{0x68, 0xcb, 0x83, 0xcb, 0x20}
)

// waitLimit bounds every wait for an event in these tests.
const waitLimit = 10 * time.Second

func videoTrack() media.Track {
	return media.Track{ID: 0, Kind: media.Video, Codec: media.H264, ClockRate: 90000, ParameterSets: [][]byte{testSPS, testPPS}}
}

func audioTrack() media.Track {
	return media.Track{ID: 1, Kind: media.Audio, Codec: "opus", ClockRate: 48000,
		RTP: media.RTPFormat{PayloadType: 97, RTPMap: "opus/48000/2", FMTP: map[string]string{"sprop-stereo": "1"}}}
}

// picture makes access unit n of a fake H.264 stream at 25 frames/s: its number is in its slice.
func picture(n, size int, keyframe bool) media.Packet {
	typ := byte(0x41)
	if keyframe {
		typ = 0x65
	}
	slice := append([]byte{typ, 0x88, byte(n >> 8), byte(n), 0x80}, bytes.Repeat([]byte{0xaa}, size)...)
	var au []byte
	if keyframe {
		au = annexB(testSPS, testPPS, slice)
	} else {
		au = annexB(slice)
	}
	return media.Packet{PTS: time.Duration(n) * 40 * time.Millisecond, Data: au, Keyframe: keyframe, Arrival: time.Now()}
}

func annexB(nals ...[]byte) []byte {
	var au []byte
	for _, n := range nals {
		au = append(append(au, 0, 0, 0, 1), n...)
	}
	return au
}

// number reads what picture wrote.
func number(nals [][]byte) int {
	for _, n := range nals {
		if t := n[0] & 0x1f; t == 1 || t == 5 {
			return int(n[2])<<8 | int(n[3])
		}
	}
	return -1
}

func sound(n int) media.Packet {
	return media.Packet{Track: 1, PTS: time.Duration(n) * 20 * time.Millisecond, Data: []byte{1, 2, byte(n)}, Keyframe: true, Arrival: time.Now()}
}

// logBuffer collects log output.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		start := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("closing took %v", d)
		}
	})
	return s
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

// player is a gortsplib client that decodes what it reads.
type player struct {
	c       *gortsplib.Client
	desc    *description.Session
	units   chan int // numbers of the pictures
	audio   chan *rtp.Packet
	video   chan *rtp.Packet // if set, raw packets go here
	reports chan report
	gate    func() // called for each video packet, if set
}

type report struct {
	media *description.Media
	sr    *rtcp.SenderReport
}

func newPlayer(tr gortsplib.Transport) *player {
	return &player{
		c: &gortsplib.Client{
			Transport: &tr, ReadTimeout: waitLimit,
			OnPacketsLost: func(uint64) {}, OnDecodeError: func(error) {}, OnTransportSwitch: func(error) {},
		},
		units: make(chan int, 4096), audio: make(chan *rtp.Packet, 4096), reports: make(chan report, 64),
	}
}

// play connects and reads everything on url.
func (p *player) play(t *testing.T, rawURL string) {
	t.Helper()
	if err := p.tryPlay(rawURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.c.Close)
}

func (p *player) tryPlay(rawURL string) error {
	u, err := base.ParseURL(rawURL)
	if err != nil {
		return err
	}
	p.c.Scheme, p.c.Host = u.Scheme, u.Host
	if err := p.c.Start2(); err != nil {
		return err
	}
	if err := p.setup(u); err != nil {
		p.c.Close()
		return err
	}
	return nil
}

func (p *player) setup(u *base.URL) error {
	desc, _, err := p.c.Describe(u)
	if err != nil {
		return err
	}
	p.desc = desc
	if err := p.c.SetupAll(desc.BaseURL, desc.Medias); err != nil {
		return err
	}
	for _, m := range desc.Medias {
		p.c.OnPacketRTCP(m, func(pkt rtcp.Packet) {
			if sr, ok := pkt.(*rtcp.SenderReport); ok {
				p.reports <- report{m, sr}
			}
		})
		switch f := m.Formats[0].(type) {
		case *format.H264:
			d, err := f.CreateDecoder()
			if err != nil {
				return err
			}
			p.c.OnPacketRTP(m, f, func(pkt *rtp.Packet) {
				if p.gate != nil {
					p.gate()
				}
				if p.video != nil {
					p.video <- pkt
				}
				if nals, err := d.Decode(pkt); err == nil {
					p.units <- number(nals)
				}
			})
		default:
			p.c.OnPacketRTP(m, f, func(pkt *rtp.Packet) { p.audio <- pkt })
		}
	}
	_, err = p.c.Play(nil)
	return err
}

// receive waits for one value.
func receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(waitLimit):
		t.Fatalf("no %s within %v", what, waitLimit)
		panic("unreachable")
	}
}

// eventually waits until a condition that no event announces holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", waitLimit, what)
		case <-tick.C:
		}
	}
}

func pathURL(s *Server, name string) string { return fmt.Sprintf("rtsp://%s/%s", s.Addr(), name) }

func mustOpen(t *testing.T, p *Path, tracks ...media.Track) {
	t.Helper()
	if err := p.Open(tracks); err != nil {
		t.Fatal(err)
	}
}

func mustWrite(t *testing.T, p *Path, pkts ...media.Packet) {
	t.Helper()
	for _, pkt := range pkts {
		if err := p.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
}
