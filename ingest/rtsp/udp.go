package rtsp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/headers"
	"github.com/pion/rtp"

	"rave/ingest/rtpin"
)

// waits are for packets that nobody sends again: a reordered one comes soon, a lost one never.
func waits() rtpin.Waits {
	return rtpin.Waits{Few: 250 * time.Millisecond, Many: 50 * time.Millisecond}
}

// sockets knows the UDP sockets of one attempt. The zero value is ready.
type sockets struct {
	mu     sync.Mutex
	byPort map[int]*net.UDPConn // that gortsplib opened
	taken  []*port
}

// listen asks for a receive buffer that takes a keyframe of a large camera at once; the system may give less. Package
// egress/rtsp has the same; the two know nothing of each other.
func (s *sockets) listen(network, address string) (net.PacketConn, error) {
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	if u, ok := pc.(*net.UDPConn); ok {
		_ = u.SetReadBuffer(4 << 20) // a wish
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.byPort == nil {
			s.byPort = map[int]*net.UDPConn{}
		}
		s.byPort[u.LocalAddr().(*net.UDPAddr).Port] = u
	}
	return pc, nil
}

// port takes over the RTP of one track from gortsplib, whose way of reordering delays everything behind a lost packet
// (see rtpin.Reorderer). gortsplib keeps the socket, for RTCP's sake and to keep paths through firewalls open; it hears of
// the first packet only, so its receiver reports are signs of life and no statistics.
type port struct {
	in       *rtpin.Input
	receiver *rtpin.Receiver
	theirs   *net.UDPConn
	from     netip.AddrPort // see sender

	once    sync.Once
	running sync.WaitGroup
	ours    *net.UDPConn // set once; nil: gortsplib goes on
}

// port returns nil if the answer to SETUP does not say between which addresses RTP travels in clear: over TCP, encrypted,
// or from a camera that names no ports.
func (s *sockets) port(in *rtpin.Input, r *rtpin.Receiver, answer *base.Response, camera net.Addr) *port {
	var h headers.Transport
	from, ok := sender(answer.Header["Transport"], camera)
	if !ok || h.Unmarshal(answer.Header["Transport"]) != nil || h.Protocol != headers.TransportProtocolUDP || h.Secure ||
		h.Delivery != nil && *h.Delivery == headers.TransportDeliveryMulticast || h.ClientPorts == nil || h.ServerPorts == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	theirs := s.byPort[h.ClientPorts[0]]
	if theirs == nil {
		return nil
	}
	u := &port{in: in, receiver: r, theirs: theirs, from: netip.AddrPortFrom(from, uint16(h.ServerPorts[0]))} //nolint:gosec // a port
	s.taken = append(s.taken, u)
	return u
}

// sender is the address that gortsplib takes RTP from, too: the source that the answer to SETUP names (RFC 2326 section
// 12.39), else the camera's. IPv6 zones don't count: they are names of our interfaces. ok is false for a host name:
// gortsplib has resolved it, and another time it may be another address.
func sender(transport base.HeaderValue, camera net.Addr) (from netip.Addr, ok bool) {
	tcp, ok := camera.(*net.TCPAddr)
	if !ok || len(transport) != 1 {
		return from, false
	}
	from = tcp.AddrPort().Addr()
	for field := range strings.SplitSeq(transport[0], ";") {
		name, source, _ := strings.Cut(strings.TrimLeft(field, " "), "=")
		source = strings.Trim(source, `"`)
		if name != "source" || source == "" {
			continue
		}
		var err error
		if from, err = netip.ParseAddr(source); err != nil {
			return from, false
		}
	}
	return plain(from), true
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// close ends all reading. It comes after gortsplib's.
func (s *sockets) close() {
	for _, u := range s.taken {
		u.close()
	}
}

// takeOver runs on the goroutine in which gortsplib reads, with the first packet: the reading after it fails and ends.
func (u *port) takeOver(first *rtp.Packet) {
	if u == nil {
		return
	}
	u.once.Do(func() {
		file, err := u.theirs.File()
		if err != nil {
			return // out of descriptors: gortsplib goes on
		}
		defer file.Close()
		ours, err := net.FilePacketConn(file)
		if err != nil {
			return
		}
		u.ours = ours.(*net.UDPConn)
		_ = u.theirs.SetReadDeadline(time.Unix(1, 0))
		u.running.Go(func() { u.read(ours.(*net.UDPConn), rtpin.NewReorderer(first.SequenceNumber+1, waits()), first.SSRC) })
	})
}

// read passes packets on until the socket is closed.
func (u *port) read(conn *net.UDPConn, order *rtpin.Reorderer, ssrc uint32) {
	buffer := make([]byte, 1<<16)
	for {
		_ = conn.SetReadDeadline(order.Deadline())
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		now := time.Now()
		var ready []*rtp.Packet
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			ready = order.Expire(now)
		case err != nil:
			return
		case netip.AddrPortFrom(plain(from.Addr()), from.Port()) != u.from:
			continue // a stranger
		default:
			p := &rtp.Packet{}
			if err := p.Unmarshal(bytes.Clone(buffer[:n])); err == nil && p.PayloadType != u.in.Format.PayloadType() {
				continue // not ours
			} else if err != nil || p.SSRC != ssrc {
				u.receiver.Drop(rtpin.DropRTP, 1)
				continue
			}
			ready = order.Push(p, now)
		}
		for _, p := range ready {
			u.receiver.Packet(u.in, p)
		}
	}
}

func (u *port) close() {
	u.once.Do(func() {}) // none from here on
	if u.ours != nil {
		_ = u.ours.Close()
	}
	u.running.Wait()
}
