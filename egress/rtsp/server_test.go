package rtsp

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"rave/engine/media"
)

// garbage is what a port scanner, a confused client or an attacker sends.
var garbage = []string{
	"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"DESCRIBE rtsp://x/cam1 RTSP/1.0\r\n\r\n",
	"DESCRIBE rtsp://x/cam1 RTSP/1.0\r\nCSeq: 1\r\nAuthorization: Basic !!!!\r\n\r\n",
	"DESCRIBE rtsp://x/%zz RTSP/1.0\r\nCSeq: 1\r\n\r\n",
	"DESCRIBE * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
	"SETUP rtsp://x/cam1/trackID=99 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
	"SETUP rtsp://x/cam1/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: nonsense\r\n\r\n",
	"SETUP rtsp://x/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
	"PLAY rtsp://x/cam1 RTSP/1.0\r\nCSeq: 1\r\nSession: 00000000\r\n\r\n",
	"PLAY rtsp://x/cam1 RTSP/1.0\r\nCSeq: 1\r\n\r\n",
	"RECORD rtsp://x/cam1 RTSP/1.0\r\nCSeq: 1\r\nSession: x\r\n\r\n",
	"ANNOUNCE rtsp://x/pub RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nhello",
	"ANNOUNCE rtsp://x/pub RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\nContent-Length: 99999999999\r\n\r\n",
	"$\x00\xff\xff",
	"$\x00\x00\x04\x80\x60\x00\x00",
	strings.Repeat("A", 1<<16),
	"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: " + strings.Repeat("1", 1<<14) + "\r\n\r\n",
	"\x00", "",
}

func TestGarbageLeavesOthersAlone(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	s.AcceptPublish("pub", newPublisher())
	mustOpen(t, p, videoTrack())
	mustWrite(t, p, picture(0, 10, true))
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	receive(t, pl.units, "picture")
	for i, g := range garbage {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, g); err != nil {
			t.Logf("message %d: %v", i, err) // the server may hang up on it
		}
		if err := c.(*net.TCPConn).CloseWrite(); err == nil {
			_ = c.SetReadDeadline(time.Now().Add(waitLimit))
			if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
				t.Errorf("message %d: the server keeps the connection", i)
			}
		}
		_ = c.Close()
		mustWrite(t, p, picture(i+1, 10, false))
		if got := receive(t, pl.units, "picture"); got != i+1 {
			t.Fatalf("message %d: picture %d, want %d", i, got, i+1)
		}
	}
}

func TestServerPorts(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := taken.LocalAddr().(*net.UDPAddr).Port &^ 1
	if _, err := New(Config{Listen: "127.0.0.1:0", UDPPort: port}); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a UDP port that is set must be that one: %v", err)
	}
	a, b := startServer(t, Config{}), startServer(t, Config{}) // the second finds other UDP ports
	if a.gs.UDPRTPAddress == b.gs.UDPRTPAddress {
		t.Errorf("both use %s", a.gs.UDPRTPAddress)
	}
	if _, err := New(Config{Listen: a.Addr()}); err == nil || !strings.Contains(err.Error(), a.Addr()) {
		t.Errorf("a taken port: %v", err)
	}
	if _, err := New(Config{Listen: "nonsense"}); err == nil {
		t.Error("nonsense was listened on")
	}
}

// Ports that were found free are held until gortsplib has them, so that servers that start at once do not take each
// other's, and given back if it does not take them.
func TestPickedPortsAreHeld(t *testing.T) {
	const host = "127.0.0.1"
	a, err := pickUDP(host, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if b, err := pickUDP(host, a.port); err == nil {
		b.close()
		t.Errorf("port %d was picked twice", a.port)
	}
	if _, err := a.take("udp", net.JoinHostPort(host, "1")); err == nil {
		t.Error("another port was handed over")
	}
	rtp, err := a.take("udp", net.JoinHostPort(host, strconv.Itoa(a.port)))
	if err != nil {
		t.Fatal(err)
	}
	_ = rtp.Close()
	a.close()
	again, err := pickUDP(host, a.port)
	if err != nil {
		t.Fatalf("port %d was not given back: %v", a.port, err)
	}
	again.close()
}

func TestServerWithoutUDP(t *testing.T) {
	s := startServer(t, Config{UDPPort: -1})
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	err := newPlayer(gortsplib.TransportUDP).tryPlay(pathURL(s, "cam1"))
	checkStatus(t, "UDP", err, "461")
	p := newPlayer(gortsplib.TransportTCP)
	p.play(t, pathURL(s, "cam1"))
}

func TestCloseIsQuickWithBusyReaders(t *testing.T) {
	s, err := New(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	path := s.Path("cam1", PathConfig{})
	mustOpen(t, path, videoTrack())
	stuck := newPlayer(gortsplib.TransportTCP)
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	stuck.gate = func() { <-release }
	stuck.play(t, pathURL(s, "cam1"))
	t.Cleanup(let) // before the client is closed, whatever fails
	for n := range 100 {
		mustWrite(t, path, picture(n, 100_000, n == 0))
	}
	done := make(chan struct{}, 2)
	start := time.Now()
	for range 2 {
		go func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			done <- struct{}{}
		}()
	}
	receive(t, done, "Close")
	receive(t, done, "second Close")
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("closing took %v", d)
	}
	let()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := path.Write(picture(0, 1, true)); err == nil {
		t.Error("a closed path took a packet")
	}
}

// Opening, writing, joining and closing from everywhere at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	s := startServer(t, Config{QueueUnits: 4})
	p := s.Path("cam1", PathConfig{KeepGOP: true, OnReader: func() {}})
	mustOpen(t, p, videoTrack(), audioTrack())
	ctx, cancel := context.WithCancel(t.Context())
	written := make(chan struct{})
	go func() {
		defer close(written)
		for n := 0; ctx.Err() == nil; n++ {
			if n%50 == 49 {
				_ = p.Close()
			}
			if n%25 == 24 {
				_ = p.Open([]media.Track{videoTrack(), audioTrack()})
			}
			_ = p.Write(picture(n, 3000, n%5 == 0))
			_ = p.Write(sound(n))
		}
	}()
	for range 20 {
		pl := newPlayer(gortsplib.TransportTCP)
		if err := pl.tryPlay(pathURL(s, "cam1")); err == nil {
			s.Stats()
			pl.c.Close()
		}
	}
	cancel()
	receive(t, written, "end of writing")
}

// hungUp reports whether the server closes a connection within a time.
func hungUp(c net.Conn, within time.Duration) bool {
	_ = c.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, c)
	return err == nil || !strings.Contains(err.Error(), "timeout")
}

func dialServer(t *testing.T, s *Server, say string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, say); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConnectionsAreLimited(t *testing.T) {
	s := startServer(t, Config{MaxConnections: 3})
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	held := []net.Conn{dialServer(t, s, ""), dialServer(t, s, "")}
	options := func() int {
		c := dialRaw(t, s, "")
		defer c.Close()
		a, err := c.Do("OPTIONS", "")
		if err != nil {
			t.Errorf("neither served nor refused: %v", err)
		}
		return a.Code
	}
	if code := options(); code != 503 {
		t.Errorf("a fourth connection: %d", code)
	}
	_ = held[0].Close()
	eventually(t, "another takes the place of one that left", func() bool { return options() == 200 })
}

// gortsplib itself reads requests without a deadline.
func TestIdleConnectionsAreClosed(t *testing.T) {
	const limit = 300 * time.Millisecond
	s := startServer(t, Config{IdleTimeout: limit})
	p := s.Path("cam1", PathConfig{})
	mustOpen(t, p, videoTrack())
	began := time.Now()
	options := "OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n"
	for name, say := range map[string]string{
		"silent": "", "half a request": "OPTIONS rtsp://x/ RTSP/1.0\r\nCSe", "options only": options,
		"setup only": "SETUP rtsp://x/cam1/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n",
	} {
		if !hungUp(dialServer(t, s, say), waitLimit) {
			t.Errorf("%s: still open after %v", name, waitLimit)
		}
	}
	if d := time.Since(began); d < limit {
		t.Errorf("closed after %v", d)
	}
	w := newWitness(t, s, p)
	if !hungUp(dialServer(t, s, ""), waitLimit) { // one that came later
		t.Error("still open")
	}
	w.sees(false, 10)
}

// After TEARDOWN the connection is idle again.
func TestConnectionIsClosedAfterTeardown(t *testing.T) {
	s := startServer(t, Config{IdleTimeout: 200 * time.Millisecond})
	mustOpen(t, s.Path("cam1", PathConfig{}), videoTrack())
	c := dialRaw(t, s, "")
	if err := c.PlayTCP("cam1"); err != nil {
		t.Fatal(err)
	}
	if !hungUp(dialServer(t, s, ""), waitLimit) {
		t.Error("an idle connection is still open")
	}
	if a, err := c.Do("TEARDOWN", "cam1"); err != nil || a.Code != 200 {
		t.Fatalf("TEARDOWN: %q, %v", a.Status, err)
	}
	if err := c.HungUp(waitLimit); err != nil {
		t.Errorf("after TEARDOWN: %v", err)
	}
}

// A server whose port is closed behind its back says so; one that is closed, or whose port is left alone, does not.
func TestEndsByItself(t *testing.T) {
	closed, broken := startServer(t, Config{}), startServer(t, Config{})
	for _, s := range []*Server{closed, broken} {
		if err := s.Err(); err != nil {
			t.Errorf("at first: %v", err)
		}
	}
	_ = broken.listener.Listener.Close()
	if err := broken.Wait(); !errors.Is(err, net.ErrClosed) || !errors.Is(broken.Err(), net.ErrClosed) {
		t.Errorf("broken: Wait: %v; Err: %v", err, broken.Err())
	}
	if err := closed.Close(); err != nil {
		t.Error(err)
	}
	if err := closed.Wait(); err != nil || closed.Err() == nil {
		t.Errorf("closed: Wait: %v; Err: %v", err, closed.Err())
	}
}
