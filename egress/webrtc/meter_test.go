package webrtc

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

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
