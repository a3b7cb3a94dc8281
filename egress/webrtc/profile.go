package webrtc

import (
	"encoding/hex"
	"iter"
	"strconv"
	"strings"

	pion "github.com/pion/webrtc/v4"

	"rave/engine/media"
)

// profileOf is the profile of a stream by its SPS, as SDP names it: in H.264's profile-level-id (RFC 6184 section 8.1) by two
// hexadecimal digits, in H.265's profile-id (RFC 7798 section 7.1) by a number. It is empty if there is no SPS.
func profileOf(codec media.Codec, nals iter.Seq[[]byte]) string {
	for n := range nals {
		switch {
		case media.NALKindOf(codec, n) != media.NALSPS:
		case codec == media.H264 && len(n) > 1:
			return hex.EncodeToString(n[1:2])
		case codec == media.H265 && len(n) > 3 && n[3]&0x1f != 0:
			return strconv.Itoa(int(n[3] & 0x1f))
		}
	}
	return ""
}

// decodes reports whether an H.265 codec of an offer is of that profile; none in the offer means Main.
func decodes(c pion.RTPCodecParameters, profile string) bool {
	offered := "1"
	for parameter := range strings.SplitSeq(c.SDPFmtpLine, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(parameter), "="); strings.EqualFold(name, "profile-id") {
			offered = value
		}
	}
	return profile == "" || profile == offered
}
