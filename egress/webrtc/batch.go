package webrtc

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

// batcher is the UDP socket of all peers. What a viewer is sent between begin and flush leaves in few system calls: packets
// of one size that follow each other, as a picture's do, are handed over at once and cut apart by the system (udp(7),
// UDP_SEGMENT). That is most of what a viewer costs. Where the system cannot do it, packets leave one by one.
type batcher struct {
	*net.UDPConn
	off atomic.Bool // the system cannot

	mu   sync.RWMutex
	open map[netip.AddrPort]*batch
}

func newBatcher(conn *net.UDPConn) *batcher {
	return &batcher{UDPConn: conn, open: map[netip.AddrPort]*batch{}}
}

// Bounds of what the system is given at once.
const (
	mostSegments = 64
	mostBatch    = 32 << 10 // bytes
)

// batch is what waits for one viewer.
type batch struct {
	socket *batcher
	key    netip.AddrPort

	mu    sync.Mutex
	held  bool
	to    netip.AddrPort
	data  []byte
	size  int // of each packet but the last
	count int
	last  bool // the last one is smaller: none may follow
}

// begin makes the batch of a viewer at that address. end must be called.
func (s *batcher) begin(to netip.AddrPort) *batch {
	b := &batch{socket: s, key: canonical(to)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[b.key] = b
	return b
}

// canonical is how an address is written in one way only: on a socket for both families IPv4 comes inside IPv6.
func canonical(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// end sends what waits and forgets the batch. A nil one may be ended, held, flushed and released: it does nothing.
func (b *batch) end() {
	if b == nil {
		return
	}
	b.release()
	s := b.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[b.key] == b {
		delete(s.open, b.key)
	}
}

// hold keeps back what is sent to the viewer, by whomever.
func (b *batch) hold() {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.held = true
	}
}

// flush sends what waits.
func (b *batch) flush() {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.send()
	}
}

// release sends what waits, and lets everything pass from now on.
func (b *batch) release() {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.held = false
		b.send()
	}
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter.
func (s *batcher) ReadFromAddrPort(p []byte) (int, netip.AddrPort, error) {
	return s.ReadFromUDPAddrPort(p)
}

// WriteToAddrPort implements ice.AddrPortReaderWriter. A packet that waits counts as sent: UDP promises no more.
func (s *batcher) WriteToAddrPort(p []byte, to netip.AddrPort) (int, error) {
	s.mu.RLock()
	b := s.open[canonical(to)]
	s.mu.RUnlock()
	if b != nil && b.take(p, to) {
		return len(p), nil
	}
	return s.WriteToUDPAddrPort(p, to)
}

// take keeps a packet, if it may wait.
func (b *batch) take(p []byte, to netip.AddrPort) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held || len(p) == 0 || len(p) > mostBatch {
		return false
	}
	b.add(p)
	b.to = to
	return true
}

// add needs mu.
func (b *batch) add(p []byte) {
	fits := b.count > 0 && !b.last && b.count < mostSegments && len(b.data)+len(p) <= mostBatch
	if fits && (len(p) > b.size || b.count == 1 && len(p) < b.size) { // the first packet of a picture says more than the others
		fits = false
	}
	if !fits {
		b.send()
		b.size = len(p)
	}
	b.data = append(b.data, p...)
	b.count++
	b.last = len(p) < b.size
}

// send needs mu. An error is that of a packet that is lost; who is gone is found out by ICE.
func (b *batch) send() {
	if b.count == 0 {
		return
	}
	data, size, count := b.data, b.size, b.count
	b.data, b.count, b.last = b.data[:0], 0, false
	if count > 1 && !b.socket.off.Load() {
		_, _, err := b.socket.WriteMsgUDPAddrPort(data, segments(size), b.to)
		if err == nil {
			return
		}
		for _, cannot := range []error{syscall.EIO, syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP} {
			if errors.Is(err, cannot) {
				b.socket.off.Store(true)
			}
		}
	}
	for len(data) > 0 {
		n := min(size, len(data))
		_, _ = b.socket.WriteToUDPAddrPort(data[:n], b.to)
		data = data[n:]
	}
}

// segments is the control message that tells the size of packets (struct cmsghdr on 64-bit Linux, cmsg(3)).
func segments(size int) []byte {
	const header, udpSegment = 16, 103
	oob := make([]byte, header+8)
	binary.NativeEndian.PutUint64(oob, header+2)
	binary.NativeEndian.PutUint32(oob[8:], syscall.IPPROTO_UDP)
	binary.NativeEndian.PutUint32(oob[12:], udpSegment)
	binary.NativeEndian.PutUint16(oob[header:], uint16(size))
	return oob
}
