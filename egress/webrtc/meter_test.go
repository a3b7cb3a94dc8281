package webrtc

import (
	"reflect"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"

	"rave/egress/capture"
)

// Numbers are asked for when something is lost or slow, and for no longer than needed. When reports were sent counts, not
// the time of capture in them.
func TestMeter(t *testing.T) {
	began := time.Now()
	captured := began.Add(-time.Hour) // the camera's clock
	report := func(held time.Duration, lost uint8) *rtcp.ReceiverReport {
		return &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{
			FractionLost: lost, LastSenderReport: uint32(capture.NTP(captured) >> 16), Delay: uint32(held * (1 << 16) / time.Second),
		}}}
	}
	for name, c := range map[string]struct {
		packet func() rtcp.Packet
		on     bool
	}{
		"all is well":     {func() rtcp.Packet { return report(time.Second-20*time.Millisecond, 0) }, false},
		"a little slower": {func() rtcp.Packet { return report(time.Second-60*time.Millisecond, 0) }, false},
		"slower":          {func() rtcp.Packet { return report(time.Second-90*time.Millisecond, 0) }, true},
		"loss":            {func() rtcp.Packet { return report(time.Second-20*time.Millisecond, 1) }, true},
		"NACK":            {func() rtcp.Packet { return &rtcp.TransportLayerNack{} }, true},
		"another report": {func() rtcp.Packet {
			return &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{LastSenderReport: 1}}}
		}, false},
	} {
		var m meter
		m.ask(began, meterFirst)
		if now := began.Add(meterFirst); !m.on(now.Add(-1)) || m.on(now) {
			t.Errorf("%s: not on from the start for %v", name, meterFirst)
		}
		m.reported(began, capture.NTP(captured))
		at := began.Add(time.Second)
		m.hear(at, report(time.Second-20*time.Millisecond, 0)) // the fastest round trip is 20 ms
		at = at.Add(meterFirst)
		m.sent[0].at = at.Add(-time.Second)
		packet := c.packet()
		m.hear(at, packet)
		if m.on(at) != c.on || m.on(at.Add(meterAgain)) {
			t.Errorf("%s: on %v, want %v", name, m.on(at), c.on)
		}
		if rr, ok := packet.(*rtcp.ReceiverReport); ok && name != "another report" {
			if got := rr.Reports[0].LastSenderReport; got != uint32(capture.NTP(at.Add(-time.Second))>>16) {
				t.Errorf("%s: the report refers to %x, not to when ours was sent", name, got)
			}
		}
	}
}

// A header is kept for retransmission, which may come while it is being sent: what is written is a copy with the number.
func TestNumbersLeaveHeadersAlone(t *testing.T) {
	const id = 3
	info := &interceptor.StreamInfo{RTPHeaderExtensions: []interceptor.RTPHeaderExtension{{URI: sdp.TransportCCURI, ID: id}}}
	var numbers [][]byte
	wire := interceptor.RTPWriterFunc(func(h *rtp.Header, _ []byte, _ interceptor.Attributes) (int, error) {
		numbers = append(numbers, h.GetExtension(id))
		if h.GetExtension(id+1) == nil {
			t.Error("another extension is lost")
		}
		return 0, nil
	})
	m := &metered{&interceptor.NoOp{}, &meter{}}
	out := m.BindLocalStream(info, wire)
	kept := &rtp.Header{Version: 2, SequenceNumber: 7, Extensions: make([]rtp.Extension, 0, 4)}
	if err := kept.SetExtension(id+1, []byte{1}); err != nil {
		t.Fatal(err)
	}
	before := kept.Clone()
	send := func() {
		t.Helper()
		if _, err := out.Write(kept, nil, nil); err != nil || !reflect.DeepEqual(*kept, before) {
			t.Errorf("%v; the header is %+v, was %+v", err, *kept, before)
		}
	}
	send()
	m.meter.ask(time.Now(), time.Hour)
	send()
	send()
	m.meter.until.Store(0)
	send()
	if want := [][]byte{nil, {0, 1}, {0, 2}, nil}; !reflect.DeepEqual(numbers, want) {
		t.Errorf("numbers %v, want %v", numbers, want)
	}
}
