package webrtc

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/bench/whep"
)

// valve carries TCP connections to an address until it is shut: then it reads nothing more from there.
type valve struct {
	listener net.Listener
	shut     chan struct{}
	done     sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newValve(t *testing.T, to string) *valve {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &valve{listener: l, shut: make(chan struct{})}
	v.done.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			v.mu.Lock()
			v.conns = append(v.conns, from, conn)
			v.mu.Unlock()
			v.done.Go(func() { _, _ = io.Copy(conn, struct{ io.Reader }{from}) }) // no splicing: its pipes stay open
			v.done.Go(func() { _, _ = io.Copy(from, gated{conn, v.shut}) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		v.mu.Lock()
		for _, c := range v.conns {
			c.Close()
		}
		v.mu.Unlock()
		v.done.Wait()
	})
	return v
}

// gated reads until it is shut, and then waits for the end of the connection without reading.
type gated struct {
	net.Conn
	shut chan struct{}
}

// Read implements io.Reader.
func (g gated) Read(p []byte) (int, error) {
	select {
	case <-g.shut:
		return 0, io.EOF
	default:
		return g.Conn.Read(p[:min(len(p), 1500)])
	}
}

// A viewer that takes nothing any more, over UDP or over TCP, is cut, and nobody else notices: another one gets every
// picture, as soon as it is there.
func TestStalledViewerDisturbsNobody(t *testing.T) {
	for _, transport := range []string{"UDP", "TCP"} {
		t.Run(transport, func(t *testing.T) {
			cfg := Config{Silence: 3 * time.Second}
			if transport == "TCP" {
				cfg = Config{WriteTimeout: 2 * time.Second} // which must cut it alone
			}
			s := serve(t, cfg)
			f := &play{size: 10_000, keys: 50} // 8 Mb/s: the buffers of TCP are soon full, and a busy machine can still take it
			p := s.Path("cam", PathConfig{KeepGOP: true})
			f.sink = p
			mustOpen(t, p, h264())
			f.start(t)
			stalled, healthy := newEyes(t), newEyes(t)
			how, stall := stallable(t, s, transport)
			how.OnPacket = stalled.packet
			s.watch(t, "cam", how)
			stalled.pictures(t, 20)
			s.watch(t, "cam", whep.Config{OnPacket: healthy.packet})
			healthy.pictures(t, 60)
			stall()
			began := len(healthy.pictures(t, 1))
			eventually(t, "the stalled viewer is cut", func() bool { return p.Stats().Viewers == 1 })
			all := healthy.pictures(t, began+100)
			worst := time.Duration(0)
			for i := began; i < len(all); i++ {
				if all[i].n != all[i-1].n+1 {
					t.Fatalf("picture %d came after %d", all[i].n, all[i-1].n)
				}
				worst = max(worst, all[i].at.Sub(all[i-1].at))
			}
			if worst > time.Second {
				t.Errorf("the healthy viewer stood still for %v", worst)
			}
			if n := p.Stats().Dropped["slow_viewer"]; transport == "TCP" && n == 0 {
				t.Error("no drops are counted")
			}
		})
	}
}

// stallable is how a viewer connects that can be stalled, and what stalls it.
func stallable(t *testing.T, s *served, transport string) (whep.Config, func()) {
	t.Helper()
	if transport == "UDP" {
		n, err := whep.NewNetwork()
		if err != nil {
			t.Fatal(err)
		}
		return whep.Config{Settings: n.Settings}, n.Freeze
	}
	v := newValve(t, s.TCPAddr())
	_, port, _ := net.SplitHostPort(v.listener.Addr().String())
	_, real, _ := net.SplitHostPort(s.TCPAddr())
	through := func(answer string) string {
		return strings.ReplaceAll(answer, " "+real+" typ host tcptype", " "+port+" typ host tcptype")
	}
	return whep.Config{TCP: true, Change: through}, func() { close(v.shut) }
}

// A server with stalled viewers ends in time.
func TestCloseWithStalledViewers(t *testing.T) {
	s := serve(t, Config{})
	f := &play{size: 10_000, keys: 50}
	p := s.Path("cam", PathConfig{KeepGOP: true})
	f.sink = p
	mustOpen(t, p, h264())
	halt := f.start(t)
	e := newEyes(t)
	cfg, stall := stallable(t, s, "TCP")
	cfg.OnPacket = e.packet
	s.watch(t, "cam", cfg)
	e.pictures(t, 20)
	stall()
	eventually(t, "it falls behind", func() bool { return p.Stats().Dropped["slow_viewer"] > 0 })
	halt()
	began := time.Now()
	_ = p.Close()
	if d := time.Since(began); d > 1500*time.Millisecond {
		t.Errorf("closing the path took %v", d)
	}
}
