package webrtc

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	pion "github.com/pion/webrtc/v4"

	"rave/bench/leak"
	"rave/bench/whep"
)

// listen opens a UDP port that is closed with the test, after all that serve it have returned.
func listen(t *testing.T, address string, serve func(*net.UDPConn)) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { serve(conn) })
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

// asked is a STUN server that counts what it is asked.
type asked struct {
	url string
	n   atomic.Int32
}

// stunAt tells who asks that it is seen at an address; the zero value: nothing.
func stunAt(t *testing.T, seen func(from netip.AddrPort) netip.AddrPort) *asked {
	t.Helper()
	s := &asked{}
	at := listen(t, "127.0.0.1:0", func(conn *net.UDPConn) {
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.n.Add(1)
			request := stun.Message{Raw: buf[:n]}
			a := seen(from)
			if err := request.Decode(); err != nil || !a.IsValid() {
				continue
			}
			answer, err := stun.Build(stun.NewTransactionIDSetter(request.TransactionID), stun.BindingSuccess,
				&stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())})
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(answer.Raw, from)
			}
		}
	})
	s.url = "stun:" + at.String()
	return s
}

// serveCam is a server with ICE servers and a stream that can be watched.
func serveCam(t *testing.T, cfg Config, urls ...string) *served {
	t.Helper()
	for _, url := range urls {
		cfg.ICEServers = append(cfg.ICEServers, pion.ICEServer{URLs: []string{url}, Username: "rave", Credential: `a"b`})
	}
	s := serve(t, cfg)
	mustOpen(t, s.Path("cam", PathConfig{KeepGOP: true}), h264())
	return s
}

// The one port is seen from outside at the address that is offered, a viewer costs no socket for it, and of many viewers one
// asks.
func TestReflexiveCandidate(t *testing.T) {
	const outside = "203.0.113.9"
	nat := stunAt(t, func(from netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(outside), from.Port())
	})
	open := stunAt(t, func(from netip.AddrPort) netip.AddrPort { return from }) // no router between
	s := serveCam(t, Config{}, nat.url, open.url)
	_, port, _ := strings.Cut(s.Addr(), ":")
	before := leak.Descriptors()
	for i := range 3 {
		v, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if n := leak.Descriptors(); n != before {
			t.Errorf("viewer %d has cost %d descriptors", i, n-before)
		}
		v.close("the test is over")
		want := []string{"127.0.0.1:" + port + " host", outside + ":" + port + " srflx"}
		if got := candidates(answer, "udp"); !slices.Equal(got, want) || strings.Count(answer, "a=end-of-candidates") != 1 {
			t.Errorf("viewer %d: %q, want %q:\n%s", i, got, want, answer)
		}
	}
	if nat.n.Load() != 1 || open.n.Load() != 1 {
		t.Errorf("the servers were asked %d and %d times for 3 viewers", nat.n.Load(), open.n.Load())
	}
}

// A viewer that knows nothing but the address outside gets pictures through it.
func TestReflexiveConnects(t *testing.T) {
	var inside atomic.Value // the server's port
	router := listen(t, "127.0.0.1:0", func(outer *net.UDPConn) {
		var inner *net.UDPConn
		var back sync.WaitGroup
		for buf := make([]byte, 2000); ; {
			n, viewer, err := outer.ReadFromUDPAddrPort(buf)
			if err != nil {
				break
			}
			if inner == nil {
				if inner, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(inside.Load().(netip.AddrPort))); err != nil {
					t.Error(err)
					return
				}
				back.Go(func() {
					for buf := make([]byte, 2000); ; {
						n, err := inner.Read(buf)
						if err != nil {
							return
						}
						_, _ = outer.WriteToUDPAddrPort(buf[:n], viewer)
					}
				})
			}
			_, _ = inner.Write(buf[:n])
		}
		if inner != nil {
			_ = inner.Close()
		}
		back.Wait()
	})
	server := stunAt(t, func(netip.AddrPort) netip.AddrPort { return router })
	s := serveCam(t, Config{}, server.url)
	inside.Store(netip.MustParseAddrPort(s.Addr()))
	(&play{sink: s.Lookup("cam"), size: 3000, keys: 25}).start(t)
	e := newEyes(t)
	// What is sent to the viewer's own address straight from the port would show it the way: it tells none.
	s.watch(t, "cam", whep.Config{OnPacket: e.packet, Change: only("srflx"), Hide: true})
	e.pictures(t, 50)
}

// only leaves a description the candidates of one type.
func only(kind string) func(string) string {
	return func(sdp string) string {
		var kept []string
		for _, line := range strings.SplitAfter(sdp, "\r\n") {
			if !strings.HasPrefix(line, "a=candidate:") || strings.Contains(line, " typ "+kind+" ") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
}

// startTURN starts a TURN server whose relays have an address of their own, and pass nothing on but among themselves.
func startTURN(t *testing.T) (url string) {
	t.Helper()
	const relays = "127.0.0.2"
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey("rave", "test", `a"b`), a.Username == "rave"
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(relays), Address: relays},
			PermissionHandler:     func(_ net.Addr, peer net.IP) bool { return peer.String() == relays },
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return "turn:" + conn.LocalAddr().String() + "?transport=udp"
}

// A viewer that gets through by a relay only is served by one: a socket as long as the viewer is there.
func TestRelay(t *testing.T) {
	log := &journal{}
	s := serveCam(t, Config{Log: log.logger()}, startTURN(t))
	before := leak.Descriptors()
	_, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if got := candidates(answer, "udp"); len(got) != 2 || !strings.HasPrefix(got[1], "127.0.0.2:") || !strings.HasSuffix(got[1], " relay") {
		t.Errorf("offered %q", got)
	}
	if n := leak.Descriptors() - before; n != 2 { // the other one is the TURN server's
		t.Errorf("the viewer has cost %d descriptors", n)
	}
	_ = s.Lookup("cam").Close()
	eventually(t, "nothing is left of the relay", func() bool { return leak.Descriptors() <= before })
	mustOpen(t, s.Lookup("cam"), h264())
	(&play{sink: s.Lookup("cam"), size: 3000, keys: 25}).start(t)
	e := newEyes(t)
	s.watch(t, "cam", whep.Config{OnPacket: e.packet, Change: only("relay"), Relays: s.cfg.ICEServers})
	e.pictures(t, 50)
	if strings.Contains(log.String(), "webrtc.ice_servers") {
		t.Errorf("the log complains: %s", log)
	}
}

// Browsers are told the ICE servers with their credentials. An answer waits for one that says nothing, but not long, the next
// ones do not wait for STUN again, and the log says once what to look at.
func TestICEServers(t *testing.T) {
	silent := stunAt(t, func(netip.AddrPort) (none netip.AddrPort) { return none })
	log := &journal{}
	s := serveCam(t, Config{Log: log.logger()}, silent.url, "turn"+strings.TrimPrefix(silent.url, "stun")+"?transport=udp")
	before := leak.Descriptors()
	for i := range 2 {
		began := time.Now()
		v, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		d := time.Since(began)
		t.Logf("answer %d after %v", i, d)
		if got := candidates(answer, "udp"); d > 2*time.Second || len(got) != 1 || !strings.HasSuffix(got[0], " host") {
			t.Errorf("answer %d after %v: %q", i, d, got)
		}
		v.close("the test is over")
	}
	if d := leak.Descriptors() - before; d > 0 {
		t.Errorf("%d descriptors are left", d)
	}
	if n := strings.Count(log.String(), "webrtc.ice_servers"); n != 1 || !strings.Contains(log.String(), "STUN") || strings.Contains(log.String(), `a\"b`) {
		t.Errorf("the log has it %d times: %s", n, log)
	}
	address := strings.TrimPrefix(silent.url, "stun:")
	want := []string{`<stun:` + address + `>; rel="ice-server"; username="rave"; credential="a\"b"; credential-type="password"`,
		`<turn:` + address + `?transport=udp>; rel="ice-server"; username="rave"; credential="a\"b"; credential-type="password"`}
	if res, _ := ask(t, "OPTIONS", s.url+"/cam/whep", "", ""); res.StatusCode != http.StatusNoContent || !slices.Equal(res.Header.Values("Link"), want) {
		t.Errorf("OPTIONS: %d, links %q, want %q", res.StatusCode, res.Header.Values("Link"), want)
	}
	if res, _ := ask(t, "POST", s.url+"/cam/whep", "application/sdp", crlf(goodOffer)); !slices.Equal(res.Header.Values("Link"), want) {
		t.Errorf("POST: links %q", res.Header.Values("Link"))
	}
}

// With STUN alone, one viewer waits for a server that says nothing, and those that come soon after do not.
func TestSilenceIsRemembered(t *testing.T) {
	var answers atomic.Bool
	nat := stunAt(t, func(from netip.AddrPort) netip.AddrPort {
		if answers.Load() {
			return netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), from.Port())
		}
		return netip.AddrPort{}
	})
	log := &journal{}
	s := serveCam(t, Config{Log: log.logger()}, nat.url)
	join := func() (srflx int) {
		t.Helper()
		v, answer, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		v.close("the test is over")
		return strings.Count(answer, " typ srflx")
	}
	join()
	n := nat.n.Load()
	answers.Store(true)
	if got := join(); n == 0 || got != 0 || nat.n.Load() != n {
		t.Errorf("asked %d times, then %d more, for %d candidates", n, nat.n.Load()-n, got)
	}
	server := s.reflexive.servers[0]
	server.mu.Lock()
	if left := time.Until(server.until); left <= 0 || left > mappingAge {
		t.Errorf("silence is remembered for %v", left)
	}
	server.until = time.Now() // as after that time
	server.mu.Unlock()
	if got := join(); got != 1 || nat.n.Load() != n+1 {
		t.Errorf("the server answers again, and there are %d candidates of it, asked %d times more", got, nat.n.Load()-n)
	}
	if !strings.Contains(log.String(), "answer again") {
		t.Errorf("the log: %s", log)
	}
}

// A peer that is closed does not wait for a TURN server that lets no connection through, as a firewall makes it.
func TestCloseDoesNotWaitForTURN(t *testing.T) {
	s := serveCam(t, Config{}, "turn:"+full(t)+"?transport=tcp")
	began := time.Now()
	v, _, err := s.Lookup("cam").join(t.Context(), crlf(goodOffer), "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	v.close("the test is over")
	if d := time.Since(began); d > 2*gatherTimeout+time.Second {
		t.Errorf("it took %v", d)
	}
}

// full is the address of a TCP listener that takes no connections any more.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { _ = file.Close() })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for range 4 { // one or two of them wait to be accepted
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Skip("this system takes connections that nobody accepts")
	return ""
}

// The candidates are where a browser looks for them, even if its first medium is refused.
func TestCandidatesOfTheFirstMediumThatIsTaken(t *testing.T) {
	s := serveCam(t, Config{})
	offer := crlf(goodOffer)
	video, audio := strings.Index(offer, "m=video"), strings.Index(offer, "m=audio")
	for what, text := range map[string]string{"video first": offer, "sound, which there is none of, first": offer[:video] + offer[audio:] + offer[video:audio]} {
		v, answer, err := s.Lookup("cam").join(t.Context(), text, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		v.close("the test is over")
		section := answer[strings.Index(answer, "m=video"):]
		section, _, _ = strings.Cut(section, "\r\nm=")
		if n := strings.Count(answer, "a=candidate:"); n == 0 || strings.Count(section, "a=candidate:") != n || !strings.Contains(section, "a=end-of-candidates\r\n") {
			t.Errorf("%s:\n%s", what, answer)
		}
	}
}

// What pion is given for a network knows the interfaces of now, and has no other sockets for media.
func TestNetwork(t *testing.T) {
	n := newNetwork()
	if all, err := n.Interfaces(); err != nil || len(all) == 0 {
		t.Errorf("interfaces: %d, %v", len(all), err)
	}
	if conn, err := n.ListenUDP("udp4", nil); err == nil {
		_ = conn.Close()
		t.Error("it opens another port")
	}
	for _, c := range []struct{ kind, address, want string }{
		{"udp", "192.0.2.1:3478", "192.0.2.1:3478"}, {"udp4", "192.0.2.1:3478", "192.0.2.1:3478"}, {"udp6", "192.0.2.1:3478", ""},
		{"tcp6", "[2001:db8::1]:5349", "[2001:db8::1]:5349"}, {"tcp4", "[2001:db8::1]:5349", ""},
		{"udp", "192.0.2.1", ""}, {"udp", "192.0.2.1:99999", ""}, {"udp", "192.0.2.1:stun", ""},
	} {
		got, err := lookup(c.kind, c.address)
		if (err == nil) != (c.want != "") || err == nil && got.String() != c.want {
			t.Errorf("%s %s: %v, %v; want %q", c.kind, c.address, got, err, c.want)
		}
	}
	if _, err := New(Config{Listen: "127.0.0.1:0", TCPListen: "127.0.0.1:0", ICEServers: []pion.ICEServer{{URLs: []string{"http://x"}}}}); err == nil {
		t.Error("nonsense is taken for an ICE server")
	}
}
