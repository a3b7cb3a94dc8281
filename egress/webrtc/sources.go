package webrtc

import (
	"io"
	"sync/atomic"

	"github.com/pion/transport/v5/packetio"
)

// Bounds of what a peer may have us keep. A publisher has four sources at most (picture, its retransmissions, sound, probes of
// the network), each with a buffer for RTP and one for RTCP.
const (
	maxBuffers = 16
	rtpBuffer  = 1_000_000 // bytes, as pion has it
	rtcpBuffer = 100_000   //
)

// sources makes the buffers of one peer. pion keeps one for each source (SSRC) that is named to it, with goroutines and
// perhaps a transceiver, until the peer is closed. So a peer that names too many is ended.
type sources struct {
	media  bool   // the peer sends some: else its RTP is thrown away
	end    func() // must not block
	count  atomic.Int32
	closed buffer // takes nothing
}

func newSources(media bool, end func()) *sources {
	s := &sources{media: media, end: end, closed: buffer{packetio.NewBuffer()}}
	_ = s.closed.Close() // never fails
	return s
}

// buffer is for pion.SettingEngine.BufferFactory.
func (s *sources) buffer(kind packetio.BufferPacketType, _ uint32) io.ReadWriteCloser {
	n := s.count.Add(1)
	if n == maxBuffers+1 {
		s.end()
	}
	rtp := kind == packetio.RTPBufferPacket
	if n > maxBuffers || rtp && !s.media {
		return s.closed
	}
	b := buffer{packetio.NewBuffer()}
	b.SetLimitSize(rtcpBuffer)
	if rtp {
		b.SetLimitSize(rtpBuffer)
	}
	return b
}

// buffer is one without attributes of packets.
type buffer struct{ *packetio.Buffer }

// Read implements io.Reader.
func (b buffer) Read(p []byte) (int, error) {
	n, _, err := b.Buffer.Read(p, nil)
	return n, err
}

// Write implements io.Writer.
func (b buffer) Write(p []byte) (int, error) { return b.Buffer.Write(p, nil) }
