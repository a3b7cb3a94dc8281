package camera

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
	"github.com/pion/rtp"
)

const footage = "../../ingest/testsrc/clips/cockatoo-640x360.mp4"

// say passes the camera's URL on.
type say chan string

func (s say) Write(b []byte) (int, error) {
	s <- strings.TrimSpace(strings.TrimPrefix(string(b), "camera: "))
	return len(b), nil
}

// start runs a camera in this process and returns its URL and its end.
func start(t *testing.T, cfg Config) (*base.URL, <-chan error) {
	t.Helper()
	said, end := make(say, 1), make(chan error, 1)
	cfg.Clip, cfg.Listen, cfg.Say = footage, "127.0.0.1:0", said
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		end <- Run(ctx, cfg)
		close(end)
	}()
	t.Cleanup(func() { cancel(); <-end })
	select {
	case raw := <-said:
		u, err := base.ParseURL(raw)
		if err != nil {
			t.Fatal(err)
		}
		return u, end
	case err := <-end:
		t.Fatal(err)
		return nil, nil
	}
}

// describe connects to the camera.
func describe(t *testing.T, u *base.URL, transport gortsplib.Transport) (*gortsplib.Client, *description.Session, error) {
	t.Helper()
	c := &gortsplib.Client{Transport: &transport, Scheme: u.Scheme, Host: u.Host}
	if err := c.Start2(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	d, _, err := c.Describe(u)
	return c, d, err
}

func TestParameterSetsAreWhereTheyShouldBe(t *testing.T) {
	for _, c := range []struct {
		sets        Sets
		sdp, inBand bool
	}{{SetsBoth, true, true}, {SetsInBand, false, true}, {SetsSDP, true, false}} {
		u, _ := start(t, Config{FPS: 100, Sets: c.sets, Transport: TCP})
		client, d, err := describe(t, u, gortsplib.TransportTCP)
		if err != nil {
			t.Fatal(err)
		}
		var f *format.H264
		medi := d.FindFormat(&f)
		if got := len(f.SPS) > 0 && len(f.PPS) > 0; got != c.sdp {
			t.Errorf("%s: parameter sets in the SDP: %v", c.sets, got)
		}
		if _, err := client.Setup(d.BaseURL, medi, 0, 0); err != nil {
			t.Fatal(err)
		}
		seen := make(chan bool, 1000)
		decoder, err := f.CreateDecoder()
		if err != nil {
			t.Fatal(err)
		}
		client.OnPacketRTP(medi, f, func(p *rtp.Packet) {
			units, err := decoder.Decode(p)
			if err == nil && slices.ContainsFunc(units, func(u []byte) bool { return u[0]&31 == 5 }) {
				seen <- slices.ContainsFunc(units, func(u []byte) bool { return u[0]&31 == 7 })
			}
		})
		if _, err := client.Play(nil); err != nil {
			t.Fatal(err)
		}
		if got := <-seen; got != c.inBand {
			t.Errorf("%s: parameter sets before the keyframe: %v", c.sets, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	u, _ := start(t, Config{User: "admin", Password: "p@ss #1"})
	if _, _, err := describe(t, u, gortsplib.TransportTCP); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("without credentials: %v", err)
	}
	right, err := base.ParseURL(strings.Replace(u.String(), "rtsp://", "rtsp://admin:p%40ss%20%231@", 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := describe(t, right, gortsplib.TransportTCP); err != nil {
		t.Errorf("with credentials: %v", err)
	}
}

func TestTransports(t *testing.T) {
	for _, allowed := range []Transport{TCP, UDP, Any} {
		u, _ := start(t, Config{Transport: allowed})
		for name, transport := range map[Transport]gortsplib.Transport{TCP: gortsplib.TransportTCP, UDP: gortsplib.TransportUDP} {
			client, d, err := describe(t, u, transport)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.Setup(d.BaseURL, d.Medias[0], 0, 0)
			if ok := allowed == Any || allowed == name; (err == nil) != ok {
				t.Errorf("%s allowed, %s asked for: %v", allowed, name, err)
			}
		}
	}
}

func TestDiesAsTold(t *testing.T) {
	var log bytes.Buffer
	_, end := start(t, Config{FPS: 500, DieAfter: 5, Log: &log, Transport: TCP})
	if err := <-end; !errors.Is(err, ErrDied) {
		t.Errorf("got %v", err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 6 {
		t.Errorf("%d lines of log:\n%s", lines, log.String())
	}
}

func TestSoundGoesOnWhenVideoFallsSilent(t *testing.T) {
	u, _ := start(t, Config{FPS: 500, SilentAfter: 5, Audio: PCMA, Transport: TCP})
	client, d, err := describe(t, u, gortsplib.TransportTCP)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetupAll(d.BaseURL, d.Medias); err != nil {
		t.Fatal(err)
	}
	type packet struct {
		p  *rtp.Packet
		is description.MediaType
	}
	seen := make(chan packet, 1000)
	client.OnPacketRTPAny(func(m *description.Media, _ format.Format, p *rtp.Packet) { seen <- packet{p, m.Type} })
	if _, err := client.Play(nil); err != nil {
		t.Fatal(err)
	}
	var onsets []uint32
	loud := false
	for range 120 { // 2.4 s of sound
		got := <-seen
		if got.is == description.MediaTypeVideo {
			continue // of the first moments
		}
		var linear g711.Alaw
		linear.Unmarshal(got.p.Payload)
		if power(linear) > 1000 != loud {
			loud = !loud
			if loud {
				onsets = append(onsets, got.p.Timestamp)
			}
		}
	}
	if len(onsets) < 2 || onsets[1]-onsets[0] != 8000 {
		t.Errorf("the tone starts at %v; want each second (8000)", onsets)
	}
}

// power is the root of the mean square of 16-bit samples.
func power(linear []byte) float64 {
	sum := 0.0
	for i := 0; i+1 < len(linear); i += 2 {
		v := float64(int16(uint16(linear[i])<<8 | uint16(linear[i+1])))
		sum += v * v
	}
	return math.Sqrt(sum / float64(len(linear)/2))
}

func TestReadLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(s string) {
		if err := os.WriteFile(path, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("0,1000\n2,3000\n1,5000\n3,90")
	log, err := ReadLog(path)
	want := []Sent{{0, time.Unix(0, 1000)}, {1, time.Unix(0, 5000)}, {2, time.Unix(0, 3000)}}
	if err != nil || !slices.Equal(log, want) {
		t.Errorf("got %v, %v; want %v", log, err, want)
	}
	write("0,1000\nnonsense\n")
	if _, err := ReadLog(path); err == nil || !strings.Contains(err.Error(), `line 2: "nonsense"`) {
		t.Errorf("got %v", err)
	}
}

func TestFlagsDescribeTheCamera(t *testing.T) {
	want := Config{
		Clip: "a b.mp4", FPS: 12.5, Listen: "127.0.0.1:8554", User: "u", Password: "p@ss #1", Transport: UDP,
		Sets: SetsSDP, Audio: Opus, Clock: Steps{{Frame: 3, By: time.Hour}, {Frame: 9, Stop: true}}, SilentAfter: 7, DieAfter: 9,
		Noise: 3,
	}
	got, log, err := parseFlags(want.Args("x.csv"), io.Discard)
	if err != nil || !reflect.DeepEqual(got, want) || log != "x.csv" {
		t.Errorf("got %+v, %s, %v", got, log, err)
	}
	var said bytes.Buffer
	if Main(nil, io.Discard, &said) != 2 || !strings.Contains(said.String(), "-clip is needed") {
		t.Errorf("without a clip: %s", said.String())
	}
}

func TestBusyAddressIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = Run(t.Context(), Config{Clip: footage, Listen: l.Addr().String(), Say: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}
