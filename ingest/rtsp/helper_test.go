package rtsp

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/auth"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtp"

	"rave/bench/leak"
	"rave/ingest/rtpin/rtptest"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

const waitLimit = rtptest.WaitLimit

func session(formats ...format.Format) *description.Session {
	desc := &description.Session{}
	for _, f := range formats {
		m := &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{f}}
		switch f.(type) {
		case *format.Opus, *format.G711, *format.MPEG4Audio:
			m.Type = description.MediaTypeAudio
		case *format.Generic:
			m.Type = description.MediaTypeApplication
		}
		desc.Medias = append(desc.Medias, m)
	}
	return desc
}

// camera is a gortsplib server with one stream on every path.
type camera struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream
	addr   string

	user, password string
	status         base.StatusCode // if set: the answer to DESCRIBE,
	message        string          // with this text
	location       string          // and this header
	noUDP          bool            // refuse UDP in SETUP
	transports     chan gortsplib.Transport
	requests       chan base.Method
	once           sync.Once

	mu       sync.Mutex
	sessions []*gortsplib.ServerSession
}

// cameraOptions are set before it starts.
type cameraOptions func(*camera)

func startCamera(t *testing.T, desc *description.Session, opts ...cameraOptions) *camera {
	t.Helper()
	c := &camera{transports: make(chan gortsplib.Transport, 64), requests: make(chan base.Method, 1024)}
	c.server = &gortsplib.Server{
		Handler: c, RTSPAddress: "127.0.0.1:0", DisableRTCPSenderReports: true,
		Listen: func(network, address string) (net.Listener, error) {
			ln, err := net.Listen(network, address)
			if err == nil {
				c.addr = ln.Addr().String()
			}
			return ln, err
		},
	}
	port := freeUDPPair(t)
	c.server.UDPRTPAddress, c.server.UDPRTCPAddress = fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("127.0.0.1:%d", port+1)
	for _, o := range opts {
		o(c)
	}
	if err := c.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.server.Close)
	c.stream = &gortsplib.ServerStream{Server: c.server, Desc: desc}
	if err := c.stream.Initialize(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.hangUp)
	return c
}

// hangUp disconnects everybody; later connections are refused.
func (c *camera) hangUp() { c.once.Do(c.stream.Close) }

func freeUDPPair(t *testing.T) int {
	t.Helper()
	for range 100 {
		a, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := a.LocalAddr().(*net.UDPAddr).Port &^ 1
		_ = a.Close()
		b, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		c, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = b.Close()
		if err != nil {
			continue
		}
		_ = c.Close()
		return port
	}
	t.Fatal("no free UDP ports")
	return 0
}

func (c *camera) allowed(conn *gortsplib.ServerConn, req *base.Request) bool {
	if h := req.Header["Authorization"]; len(h) == 1 && strings.Contains(c.password, ":") && strings.HasPrefix(h[0], "Basic ") {
		// gortsplib takes no colon in a basic password
		return h[0] == "Basic "+base64.StdEncoding.EncodeToString([]byte(c.user+":"+c.password))
	}
	return c.user == "" || conn.VerifyCredentials(req, c.user, c.password)
}

func (c *camera) OnRequest(_ *gortsplib.ServerConn, req *base.Request) {
	select {
	case c.requests <- req.Method:
	default:
	}
}

func (c *camera) OnDescribe(ctx *gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if !c.allowed(ctx.Conn, ctx.Request) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if c.status != 0 {
		res := &base.Response{StatusCode: c.status, StatusMessage: c.message, Header: base.Header{}}
		if c.location != "" {
			res.Header["Location"] = base.HeaderValue{c.location}
		}
		return res, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(ctx *gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	if !c.allowed(ctx.Conn, ctx.Request) {
		return &base.Response{StatusCode: base.StatusUnauthorized}, nil, liberrors.ErrServerAuth{}
	}
	if c.noUDP && ctx.Transport == gortsplib.TransportUDP {
		return &base.Response{StatusCode: base.StatusUnsupportedTransport}, nil, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(ctx *gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	c.transports <- *ctx.Session.SetuppedTransport()
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// disconnect ends all sessions and goes on serving.
func (c *camera) disconnect(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		s.Close()
	}
	c.sessions = nil
}

func (c *camera) OnSessionOpen(ctx *gortsplib.ServerHandlerOnSessionOpenCtx) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sessions = append(c.sessions, ctx.Session)
}

func (c *camera) OnStreamWriteError(*gortsplib.ServerHandlerOnStreamWriteErrorCtx) {}
func (c *camera) OnDecodeError(*gortsplib.ServerHandlerOnDecodeErrorCtx)           {}

func basicOnly(c *camera) { c.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodBasic} }
func digestOnly(c *camera) {
	c.server.AuthMethods = []auth.VerifyMethod{auth.VerifyMethodDigestMD5}
}

func login(user, password string) cameraOptions {
	return func(c *camera) { c.user, c.password = user, password }
}

// send writes access unit n (numbered as in picture) at 25 frames/s.
func (c *camera) send(t *testing.T, enc *rtph264.Encoder, n int, au [][]byte) {
	t.Helper()
	pkts, err := enc.Encode(au)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkt := range pkts {
		pkt.Timestamp = uint32(n * 3600)
		if err := c.stream.WritePacketRTP(c.stream.Desc.Medias[0], pkt); err != nil {
			t.Fatal(err)
		}
	}
}

func (c *camera) sendAudio(t *testing.T, n int) {
	t.Helper()
	err := c.stream.WritePacketRTP(c.stream.Desc.Medias[1], &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 97, SequenceNumber: uint16(n), Timestamp: uint32(n * 960), Marker: n == 0},
		Payload: []byte{0xfc, byte(n)},
	})
	if err != nil {
		t.Fatal(err)
	}
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

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

var errOutput = errors.New("the output is broken")
