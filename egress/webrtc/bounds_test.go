package webrtc

import (
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/pion/logging"
	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/egress/limit"
	"rave/engine/signalling"
)

// crowd is a listener whose connections come from where they say.
type crowd chan net.Conn

func (c crowd) Accept() (net.Conn, error) { return <-c, nil }
func (c crowd) Close() error              { return nil }
func (c crowd) Addr() net.Addr            { return &net.TCPAddr{} }

// guest is a connection from an address.
type guest struct {
	net.Conn
	from string
}

func (g guest) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(g.from), Port: 1} }

// One host may have half of the TCP connections and no more.
func TestConnectionsOfOneHost(t *testing.T) {
	const one, other = "203.0.113.1", "203.0.113.2"
	s := &Server{cfg: Config{MaxViewers: 2}}
	comes := make(crowd, 4)
	for _, from := range []string{one, one, one, other} {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		comes <- guest{a, from}
	}
	l := limit.New(comes, s.connections())
	for i, want := range []string{one, one, other} {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := net.SplitHostPort(conn.RemoteAddr().String()); got != want {
			t.Errorf("connection %d is from %s, want %s", i, got, want)
		}
	}
}

// The log tells where a viewer comes from.
func TestViewersAreLogged(t *testing.T) {
	log := &journal{}
	s := serve(t, Config{Log: log.logger()})
	mustOpen(t, s.Path("cam", PathConfig{}), h264())
	s.watch(t, "cam", whep.Config{})
	if !strings.Contains(log.String(), "from=127.0.0.1:") {
		t.Errorf("the log: %s", log)
	}
}

// loggers implements logging.LoggerFactory.
type loggers func(scope string) logging.LeveledLogger

func (l loggers) NewLogger(scope string) logging.LeveledLogger { return l(scope) }

// What handles packets has our log: pion's own goes to the standard error.
func TestInterceptorsLog(t *testing.T) {
	var asked []string
	h264 := pion.RTPCodecParameters{PayloadType: 102, RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeH264, ClockRate: 90000}}
	_, registry, err := plan{video: h264}.engine(&pacer{}, loggers(func(scope string) logging.LeveledLogger {
		asked = append(asked, scope)
		return signalling.Logger{Log: slog.New(slog.DiscardHandler)}.NewLogger(scope)
	}))
	if err != nil {
		t.Fatal(err)
	}
	built, err := registry.Build("test")
	if err != nil {
		t.Fatal(err)
	}
	defer built.Close()
	for _, scope := range []string{"nack_responder", "gcc_loss_controller", "gcc_delay_controller"} {
		if !slices.Contains(asked, scope) {
			t.Errorf("%s logs elsewhere; %q do not", scope, asked)
		}
	}
}
