package rtpin

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestSenderReport(t *testing.T) {
	capture := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	sec := uint64(capture.Unix()+2208988800) << 32
	for _, c := range []struct {
		name      string
		fractions []uint32
		want      time.Duration // after the second; -1: not known
	}{
		{"units of 2^-32 s", []uint32{1 << 31}, 500 * time.Millisecond},
		{"a large fraction before", []uint32{0xf0000000, 1 << 29}, 125 * time.Millisecond},
		{"could be either, but close together", []uint32{1 << 29, 1<<29 + 1e7}, 127 * time.Millisecond},
		{"could be either", []uint32{1 << 28, 1 << 29}, -1},
		{"nanoseconds, as gortsplib writes", []uint32{1, 2, 3, 4, 5, 6, 7, 890_000_000}, 890 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var unit ntpUnit
			var r senderReport
			for _, f := range c.fractions {
				sr := &rtcp.SenderReport{SSRC: 9, NTPTime: sec | uint64(f), RTPTime: 0xfffffff0}
				unit.see(sr)
				r = senderReport{ssrc: sr.SSRC, ntp: sr.NTPTime, rtp: sr.RTPTime, ok: true}
			}
			got := r.at(90000-16, 9, 90000, &unit) // one second later, beyond the wrap
			switch {
			case c.want < 0 && !got.IsZero():
				t.Errorf("got %v, want nothing", got)
			case c.want >= 0 && got.Sub(capture.Add(time.Second+c.want)).Abs() > time.Millisecond:
				t.Errorf("got %v, want %v later than %v", got, time.Second+c.want, capture)
			}
			if other := r.at(0, 8, 90000, &unit); !other.IsZero() {
				t.Error("a report of another source was used")
			}
		})
	}
}
