package webrtc

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"
)

// What is held back arrives as the packets that it was, in order, whatever their sizes, and whether the system can cut them
// apart or not.
func TestBatch(t *testing.T) {
	many := make([]int, 70) // as many as a socket that is not read holds
	for i := range many {
		many[i] = 1200
	}
	for name, sizes := range map[string][]int{
		"a picture":        {1260, 1248, 1248, 1248, 1248, 500},
		"one":              {300},
		"two":              {1260, 500},
		"all alike":        {1248, 1248, 1248},
		"growing":          {100, 200, 300, 300, 200, 200, 100},
		"many":             many,
		"a picture, twice": {1260, 1248, 500, 1260, 1248, 1248, 20},
	} {
		for _, able := range []bool{true, false} {
			conn, err := listenUDP("127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := newBatcher(conn)
			s.off.Store(!able)
			to, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			address := to.LocalAddr().(*net.UDPAddr).AddrPort()
			b := s.begin(netip.AddrPortFrom(netip.AddrFrom16(address.Addr().As16()), address.Port())) // as it may come from a socket
			b.hold()
			var sent [][]byte
			for i, size := range sizes {
				p := bytes.Repeat([]byte{byte(i + 1)}, size)
				if n, err := s.WriteToAddrPort(p, address); n != size || err != nil {
					t.Errorf("%s: %d, %v", name, n, err)
				}
				sent = append(sent, bytes.Clone(p))
				clear(p) // pion uses its buffers again
			}
			b.release()
			mustArrive(t, name, to, sent)
			if _, err := s.WriteToAddrPort([]byte("at once"), address); err != nil {
				t.Error(err)
			}
			mustArrive(t, name+", then one", to, [][]byte{[]byte("at once")})
			if able && s.off.Load() {
				t.Log("this system cannot send packets at once")
			}
			b.end()
			if len(s.open) != 0 {
				t.Errorf("%s: %d batches are left", name, len(s.open))
			}
			conn.Close()
			to.Close()
		}
	}
	var none *batch
	none.hold()
	none.flush()
	none.release()
	none.end()
}

func mustArrive(t *testing.T, name string, at *net.UDPConn, sent [][]byte) {
	t.Helper()
	buffer := make([]byte, 1<<16)
	for i, want := range sent {
		_ = at.SetReadDeadline(time.Now().Add(patience))
		n, _, err := at.ReadFromUDPAddrPort(buffer)
		if err != nil || !bytes.Equal(buffer[:n], want) {
			t.Fatalf("%s, packet %d: %d bytes of %d, %v", name, i, n, want[0], err)
		}
	}
}

// Another batch for the same address, as after a change of the way, is not forgotten with the one before.
func TestBatchIsReplaced(t *testing.T) {
	conn, err := listenUDP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := newBatcher(conn)
	address := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	first, second := s.begin(address), s.begin(address)
	first.end()
	if s.open[address] != second {
		t.Error("the second one is gone")
	}
	second.hold()
	if _, err := s.WriteToAddrPort([]byte("waits"), address); err != nil {
		t.Fatal(err)
	}
	if second.count != 1 {
		t.Errorf("%d packets wait", second.count)
	}
	second.end()
	mustArrive(t, "to itself", conn, [][]byte{[]byte("waits")})
}
