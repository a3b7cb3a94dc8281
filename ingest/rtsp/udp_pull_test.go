package rtsp

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"github.com/pion/rtp"

	"rave/ingest/rtpin/rtptest"
)

// udpCamera is a camera by hand, which sends RTP from a socket of its own.
type udpCamera struct {
	host   string        // where RTP comes from; "" is 127.0.0.1
	source string        // what the answer to SETUP says about it; "": nothing
	quiet  time.Duration // between PLAY over UDP and the first packet; below 0: none comes
	slow   time.Duration // before each answer after PLAY over UDP
}

// start runs it until the test ends.
func (u udpCamera) start(t *testing.T) *stranger {
	t.Helper()
	if u.host == "" {
		u.host = "127.0.0.1"
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(u.host)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	port := socket.LocalAddr().(*net.UDPAddr).Port
	var played atomic.Bool // over UDP
	return startStranger(t, func(c net.Conn) {
		var h headers.Transport
		for r := bufio.NewReader(c); ; {
			var req base.Request
			if req.Unmarshal(r) != nil {
				return
			}
			res := base.Response{StatusCode: base.StatusOK, Header: base.Header{"CSeq": req.Header["CSeq"], "Session": {"1"}}}
			switch req.Method {
			case base.Options:
				res.Header["Public"] = base.HeaderValue{"OPTIONS, DESCRIBE, SETUP, PLAY"}
			case base.Describe:
				res.Header["Content-Type"] = base.HeaderValue{"application/sdp"}
				res.Body = []byte("v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n")
			case base.Setup:
				h = headers.Transport{}
				if h.Unmarshal(req.Header["Transport"]) != nil {
					return
				}
				res.Header["Transport"] = req.Header["Transport"]
				if h.Protocol == headers.TransportProtocolUDP {
					text := fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d;server_port=%d-%d", h.ClientPorts[0], h.ClientPorts[1], port, port+1)
					if u.source != "" {
						text += ";source=" + u.source
					}
					res.Header["Transport"] = base.HeaderValue{text}
				}
			}
			if played.Load() {
				time.Sleep(u.slow)
			}
			b, _ := res.Marshal()
			if _, err := c.Write(b); err != nil {
				return
			}
			switch {
			case req.Method != base.Play:
			case h.Protocol == headers.TransportProtocolTCP:
				go u.send(func(b []byte) error {
					_, err := c.Write(append([]byte{'$', byte(h.InterleavedIDs[0]), byte(len(b) >> 8), byte(len(b))}, b...))
					return err
				})
			default:
				played.Store(true)
				if to := (&net.UDPAddr{IP: c.RemoteAddr().(*net.TCPAddr).IP, Port: h.ClientPorts[0]}); u.quiet >= 0 {
					time.AfterFunc(u.quiet, func() { u.send(func(b []byte) error { _, err := socket.WriteToUDP(b, to); return err }) })
				}
			}
		}
	})
}

// send sends pictures, each a packet, until it fails or for a while.
func (udpCamera) send(write func([]byte) error) {
	for n := range 1000 {
		p := rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: true, PayloadType: 96, SSRC: 1, SequenceNumber: uint16(n), Timestamp: uint32(n * 900)},
			Payload: rtptest.IDR(n, 100),
		}
		if b, _ := p.Marshal(); write(b) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond) // its rate
	}
}

// A camera may send from another address than it answers from, if it says so. The first packet proves nothing: gortsplib
// hears that.
func TestPullFromTheNamedSource(t *testing.T) {
	type source struct{ name, host, source string }
	cases := []source{
		{"none", "127.0.0.1", ""},
		{"the camera's", "127.0.0.1", "127.0.0.1"},
		{"another", "127.0.0.2", "127.0.0.2"},
		{"mapped", "127.0.0.2", "::ffff:127.0.0.2"},
	}
	if local, err := net.LookupHost("localhost"); err == nil {
		cases = append(cases, source{"host name", local[0], "localhost"})
	} else {
		t.Logf("without the case of a host name, since this machine has none for itself: %v", err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cam := udpCamera{host: c.host, source: c.source}.start(t)
			out := rtptest.NewCollector()
			rtptest.Start(t, newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: UDP}), out)
			for range 20 {
				rtptest.Receive(t, out.Packets, "picture")
			}
		})
	}
}

// Zones are ours, and the camera does not know them; gortsplib takes no notice of them either.
func TestSender(t *testing.T) {
	for _, c := range []struct {
		transport, camera string
		want              string // "": gortsplib goes on
	}{
		{"RTP/AVP;unicast;server_port=1-2", "192.0.2.1", "192.0.2.1"},
		{"RTP/AVP;unicast;source=;server_port=1-2", "192.0.2.1", "192.0.2.1"},
		{"RTP/AVP;unicast;source=192.0.2.7;server_port=1-2", "192.0.2.1", "192.0.2.7"},
		{`RTP/AVP;unicast; source="192.0.2.7"`, "::ffff:192.0.2.1", "192.0.2.7"},
		{"RTP/AVP;unicast", "::ffff:192.0.2.1", "192.0.2.1"},
		{"RTP/AVP;unicast", "fe80::1%eth0", "fe80::1"},
		{"RTP/AVP;unicast;source=fe80::2", "fe80::1%eth0", "fe80::2"},
		{"RTP/AVP;unicast;source=camera.example", "192.0.2.1", ""},
	} {
		tcp := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.camera), 554))
		got, ok := sender(base.HeaderValue{c.transport}, tcp)
		if want, err := netip.ParseAddr(c.want); ok != (err == nil) || ok && got != want {
			t.Errorf("%s from %s: %v, %v; want %q", c.transport, c.camera, got, ok, c.want)
		}
	}
}

// Whoever asks for UDP has as long as the silence may last: gortsplib's own clock, which does not hear what it no longer
// reads, must not end a connection.
func TestPullWaitsForUDP(t *testing.T) {
	const readTimeout = 3 * time.Second
	cam := udpCamera{quiet: readTimeout / 2}.start(t)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: UDP, ReadTimeout: readTimeout}), out)
	firstPicture(t, out, ended)
}

// A camera that is slow to answer over TCP, once nothing has come over UDP, is not taken for one that has stopped sending.
func TestPullFallsBackToSlowTCP(t *testing.T) {
	const readTimeout = 2 * time.Second
	cam := udpCamera{quiet: -1, slow: readTimeout * 4 / 10}.start(t) // DESCRIBE, SETUP and PLAY take longer than that
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", ReadTimeout: readTimeout}), out)
	firstPicture(t, out, ended)
}

func firstPicture(t *testing.T, out *rtptest.Collector, ended <-chan error) {
	t.Helper()
	select {
	case <-out.Packets:
	case err := <-ended:
		t.Error(err)
	case <-time.After(waitLimit):
		t.Error("no picture")
	}
}
