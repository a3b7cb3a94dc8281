package rtpin

import (
	"time"

	"github.com/pion/rtcp"

	"rave/engine/media"
)

// senderReport is a track's last RTCP sender report (RFC 3550 section 6.4.1).
type senderReport struct {
	ssrc uint32
	ntp  uint64 // seconds since 1900, 32.32 fixed point
	rtp  uint32
	ok   bool
}

// ntpUnit tells how a sender writes the fraction of an NTP time. RFC 3550 has units of 2^-32 s; gortsplib up to
// v4.16.2, so every MediaMTX of its time, writes nanoseconds. (It reads them so as well: its PacketNTP is wrong by up to
// 3.3 s for every other sender, which is why reports are read here.) A fraction of a billion or more, three in four of
// the real ones, settles it. Before that reports are believed only as long as all lie so close together that the unit
// hardly matters to how tracks relate, as when a sender starts with a report for each.
type ntpUnit struct {
	fixedPoint  bool
	small       int    // reports so far whose fraction could be nanoseconds
	first, last uint64 // the least and the greatest NTP time so far
}

const (
	believe = 8                    // so many reports without a large fraction are nanoseconds: by chance one in 100,000
	near    = 5 * (1 << 32) / 1000 // 5 ms in the right unit, 21 in the other
)

// see takes note of a report.
func (u *ntpUnit) see(sr *rtcp.SenderReport) {
	if u.small == 0 && !u.fixedPoint {
		u.first, u.last = sr.NTPTime, sr.NTPTime
	}
	u.first, u.last = min(u.first, sr.NTPTime), max(u.last, sr.NTPTime)
	if uint32(sr.NTPTime) >= uint32(time.Second) {
		u.fixedPoint = true
	} else {
		u.small++
	}
}

// time converts; zero while there is nothing to believe.
func (u *ntpUnit) time(ntp uint64) time.Time {
	const from1900 = 2208988800
	sec, fraction := int64(ntp>>32)-from1900, int64(ntp&0xffffffff)
	switch {
	case u.fixedPoint, u.small < believe && u.last-u.first <= near:
		return time.Unix(sec, fraction*int64(time.Second)>>32)
	case u.small >= believe:
		return time.Unix(sec, fraction)
	default:
		return time.Time{}
	}
}

// at returns the sender's wall clock at an RTP timestamp, zero if it is not known.
func (r senderReport) at(rtp, ssrc uint32, rate int, unit *ntpUnit) time.Time {
	if !r.ok || r.ssrc != ssrc {
		return time.Time{}
	}
	t := unit.time(r.ntp)
	if t.IsZero() {
		return t
	}
	return t.Add(media.Duration(int64(int32(rtp-r.rtp)), rate))
}
