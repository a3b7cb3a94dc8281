package rtsp

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// udpPair is the sockets for RTP and RTCP on two ports in a row. They are open before gortsplib asks for them: nobody can
// take one of the ports in between.
type udpPair struct {
	port  int // of RTP
	conns []net.PacketConn
}

// pickUDP opens want and the next port if want is set, else the usual ones or any.
func pickUDP(host string, want int) (*udpPair, error) {
	if want != 0 {
		return openPair(host, want)
	}
	port := 8000
	for range 64 {
		if p, err := openPair(host, port); err == nil {
			return p, nil
		}
		port = 2 * (10000 + rand.IntN(20000))
	}
	return nil, fmt.Errorf("no free pair of UDP ports on %q", host)
}

func openPair(host string, port int) (*udpPair, error) {
	network := "udp"
	if host == "0.0.0.0" {
		network = "udp4"
	}
	p := &udpPair{port: port}
	for _, n := range []int{port, port + 1} {
		c, err := listenPacket(network, net.JoinHostPort(host, strconv.Itoa(n)))
		if err != nil {
			p.close()
			return nil, err
		}
		p.conns = append(p.conns, c)
	}
	return p, nil
}

// take hands the next socket over, as gortsplib's ListenPacket; it asks for that of RTP first.
func (p *udpPair) take(_, address string) (net.PacketConn, error) {
	if len(p.conns) == 0 || p.conns[0].LocalAddr().(*net.UDPAddr).Port != portOf(address) {
		return nil, errors.New("not one of the UDP ports for RTP and RTCP: " + address)
	}
	c := p.conns[0]
	p.conns = p.conns[1:]
	return c, nil
}

func portOf(address string) int {
	_, port, _ := net.SplitHostPort(address)
	n, _ := strconv.Atoi(port) // 0 is nobody's port
	return n
}

// close ends the sockets that were not taken.
func (p *udpPair) close() {
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// listenPacket asks for a receive buffer that takes a publisher's keyframes; the system may give less. Package
// ingest/rtsp has the same; the two know nothing of each other.
func listenPacket(network, address string) (net.PacketConn, error) {
	pc, err := net.ListenPacket(network, address)
	if err == nil {
		if u, ok := pc.(*net.UDPConn); ok {
			_ = u.SetReadBuffer(4 << 20) // a wish
		}
	}
	return pc, err
}
