package webrtc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/pion/transport/v5"
	"github.com/pion/transport/v5/stdnet"
)

// network is what pion sees of this machine's. It has no UDP sockets for STUN, which is asked from the one port that there
// is (see reflexive), and it answers in time: pion waits for it when a peer is closed.
type network struct{ *stdnet.Net }

func newNetwork() network { return network{&stdnet.Net{}} }

var errOnePort = errors.New("all peers are on one UDP port")

// ListenUDP implements transport.Net. Relays do not come this way.
func (network) ListenUDP(string, *net.UDPAddr) (transport.UDPConn, error) { return nil, errOnePort }

// Interfaces implements transport.Net: as they are now.
func (network) Interfaces() ([]*transport.Interface, error) {
	now, err := stdnet.NewNet()
	if err != nil {
		return nil, err
	}
	return now.Interfaces()
}

// ResolveUDPAddr implements transport.Net.
func (network) ResolveUDPAddr(kind, address string) (*net.UDPAddr, error) {
	a, err := lookup(kind, address)
	return net.UDPAddrFromAddrPort(a), err
}

// ResolveTCPAddr implements transport.Net.
func (network) ResolveTCPAddr(kind, address string) (*net.TCPAddr, error) {
	a, err := lookup(kind, address)
	return net.TCPAddrFromAddrPort(a), err
}

// lookup returns the address of host:port for a network such as "udp4", in gatherTimeout.
func lookup(kind, address string) (netip.AddrPort, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the port of %s: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip"+kind[len("udp"):], host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	best := max(0, slices.IndexFunc(found, func(a netip.Addr) bool { return a.Unmap().Is4() }))
	return netip.AddrPortFrom(found[best].Unmap(), uint16(port)), nil
}

// DialTCP implements transport.Net.
func (network) DialTCP(kind string, _, to *net.TCPAddr) (transport.TCPConn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, kind, to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}
