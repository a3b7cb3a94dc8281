package webrtc

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/cc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"rave/egress/capture"
)

// How long a viewer's packets are numbered for congestion control: from the start, and from each sign of trouble on.
const (
	meterFirst = 5 * time.Second
	meterAgain = 10 * time.Second
	slowerBy   = 50 * time.Millisecond // than the fastest round trip so far: a queue builds up on the way
)

// meter decides when a viewer's packets carry transport-wide numbers, which its browser reports on ten or twenty times a
// second: that costs more than sending the packets. While nothing is lost and nothing is slow it is not asked for; what is
// lost shows at once, by NACK, and the rest in the reports that come each second anyway.
type meter struct {
	until  atomic.Int64 // Unix time in nanoseconds
	number atomic.Uint32

	mu    sync.Mutex
	sent  [8]sentReport // the last sender reports
	count int
	least time.Duration // the fastest round trip; 0: none is known
}

// sentReport is a sender report as receivers refer to it, and when it was sent: its own time is that of capture.
type sentReport struct {
	name uint32 // the middle of its time
	at   time.Time
}

func (m *meter) on(now time.Time) bool { return now.UnixNano() < m.until.Load() }

// ask lets packets be numbered for a while.
func (m *meter) ask(now time.Time, while time.Duration) {
	until := now.Add(while).UnixNano()
	for {
		old := m.until.Load()
		if old >= until || m.until.CompareAndSwap(old, until) {
			return
		}
	}
}

// reported takes note of a sender report.
func (m *meter) reported(now time.Time, ntp uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent[m.count%len(m.sent)] = sentReport{uint32(ntp >> 16), now}
	m.count++
}

// hear looks for signs of trouble in what a viewer reports. It makes the reports refer to when ours were sent, as others
// take for granted who compute the time of a round trip.
func (m *meter) hear(now time.Time, packet rtcp.Packet) {
	switch p := packet.(type) {
	case *rtcp.TransportLayerNack:
		m.ask(now, meterAgain)
	case *rtcp.ReceiverReport:
		for i := range p.Reports {
			if slow := m.slow(now, &p.Reports[i]); slow || p.Reports[i].FractionLost > 0 {
				m.ask(now, meterAgain)
			}
		}
	}
}

// slow reports that a round trip took clearly longer than the fastest one (RFC 3550 section 6.4.1).
func (m *meter) slow(now time.Time, r *rtcp.ReceptionReport) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.sent[:], func(s sentReport) bool { return s.name == r.LastSenderReport && !s.at.IsZero() })
	if i < 0 {
		r.LastSenderReport = 0 // none that is known
		return false
	}
	r.LastSenderReport = uint32(capture.NTP(m.sent[i].at) >> 16)
	took := max(time.Microsecond, now.Sub(m.sent[i].at)-time.Duration(r.Delay)*time.Second/(1<<16))
	if m.least == 0 || took < m.least {
		m.least = took
	}
	return took > m.least+slowerBy
}

// metering makes the interceptor of a peer: congestion control for packets that are numbered, nothing for others.
type metering struct {
	control *cc.InterceptorFactory
	meter   *meter
}

// NewInterceptor implements interceptor.Factory.
func (f metering) NewInterceptor(id string) (interceptor.Interceptor, error) {
	control, err := f.control.NewInterceptor(id)
	return &metered{control, f.meter}, err
}

type metered struct {
	interceptor.Interceptor
	meter *meter
}

// BindRTCPReader implements interceptor.Interceptor.
func (m *metered) BindRTCPReader(reader interceptor.RTCPReader) interceptor.RTCPReader {
	controlled := m.Interceptor.BindRTCPReader(reader)
	return interceptor.RTCPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := controlled.Read(b, a)
		if err != nil {
			return n, a, err
		}
		packets, err := a.GetRTCPPackets(b[:n]) // the same for all who ask
		now := time.Now()
		for _, p := range packets {
			m.meter.hear(now, p)
		}
		return n, a, err
	})
}

// BindLocalStream implements interceptor.Interceptor.
func (m *metered) BindLocalStream(info *interceptor.StreamInfo, wire interceptor.RTPWriter) interceptor.RTPWriter {
	i := slices.IndexFunc(info.RTPHeaderExtensions, func(e interceptor.RTPHeaderExtension) bool { return e.URI == sdp.TransportCCURI })
	if i < 0 {
		return wire
	}
	id := uint8(info.RTPHeaderExtensions[i].ID)
	controlled := m.Interceptor.BindLocalStream(info, wire)
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if !m.meter.on(time.Now()) {
			return wire.Write(h, payload, a)
		}
		// The header is kept and may be sent again at the same time: the number goes into a copy.
		numbered := *h
		numbered.Extensions = append(make([]rtp.Extension, 0, len(h.Extensions)+1), h.Extensions...)
		number := binary.BigEndian.AppendUint16(nil, uint16(m.meter.number.Add(1)))
		if err := numbered.SetExtension(id, number); err != nil {
			return 0, err
		}
		return controlled.Write(&numbered, payload, a)
	})
}
