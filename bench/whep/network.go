package whep

import (
	"net"
	"sync/atomic"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
	"github.com/pion/webrtc/v4"
)

// Network is this machine's, over which a viewer's UDP packets can be lost. Settings takes it into use.
type Network struct {
	*stdnet.Net
	// Loses tells which of the packets of media that come from the server are lost: RTP and RTCP, encrypted. It is called by
	// one goroutine for each socket; nil: none.
	Loses  func(packet []byte) bool
	frozen atomic.Bool
}

// NewNetwork makes a network that loses nothing.
func NewNetwork() (*Network, error) {
	n, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return &Network{Net: n}, nil
}

// Settings is for Config.Settings.
func (n *Network) Settings(e *webrtc.SettingEngine) { e.SetNet(n) }

// Freeze loses everything from now on, in both directions: as if the viewer had been stopped.
func (n *Network) Freeze() { n.frozen.Store(true) }

// ListenUDP implements transport.Net.
func (n *Network) ListenUDP(network string, address *net.UDPAddr) (transport.UDPConn, error) {
	conn, err := n.Net.ListenUDP(network, address)
	if err != nil {
		return nil, err
	}
	return &lossyConn{UDPConn: conn, network: n}, nil
}

type lossyConn struct {
	transport.UDPConn
	network *Network
}

// ReadFrom implements net.PacketConn.
func (c *lossyConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.UDPConn.ReadFrom(p)
		if err != nil {
			return n, from, err
		}
		media := n > 0 && p[0]>>6 == 2 // RFC 7983 section 7
		if c.network.frozen.Load() || media && c.network.Loses != nil && c.network.Loses(p[:n]) {
			continue
		}
		return n, from, nil
	}
}

// WriteTo implements net.PacketConn.
func (c *lossyConn) WriteTo(p []byte, to net.Addr) (int, error) {
	if c.network.frozen.Load() {
		return len(p), nil
	}
	return c.UDPConn.WriteTo(p, to)
}
