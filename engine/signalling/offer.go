package signalling

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/problem"
)

// Refusal is why a peer is not let in, as it is told.
type Refusal struct{ problem.Problem }

// Error implements error.
func (r Refusal) Error() string { return r.Detail }

// Refuse makes a Refusal; kind tells programs which one it is.
func Refuse(status int, kind, title, detail string, args ...any) Refusal {
	return Refusal{problem.Problem{Type: "urn:rave:problem:" + kind, Title: title, Status: status, Detail: fmt.Sprintf(detail, args...)}}
}

// Setting returns the Refusal with the setting that changes it.
func (r Refusal) Setting(key string) Refusal {
	r.Key = key
	return r
}

// Codecs lists the codecs of one medium (RFC 8866 section 6.6). What has no rtpmap has a static payload type (RFC 3551
// section 6).
func Codecs(m *sdp.MediaDescription) []pion.RTPCodecParameters {
	maps, formats := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}, map[string]string{}
	for _, a := range m.Attributes {
		pt, value, ok := strings.Cut(a.Value, " ")
		switch {
		case ok && a.Key == "rtpmap":
			maps[pt] = value
		case ok && a.Key == "fmtp":
			formats[pt] = value
		}
	}
	var all []pion.RTPCodecParameters
	for _, pt := range m.MediaName.Formats {
		number, err := strconv.ParseUint(pt, 10, 7)
		name, rest, ok := strings.Cut(maps[pt], "/")
		rate, channels, _ := strings.Cut(rest, "/")
		clock, errRate := strconv.ParseUint(rate, 10, 32)
		if err != nil || errRate != nil || !ok {
			continue
		}
		c := pion.RTPCodecParameters{PayloadType: pion.PayloadType(number)}
		c.MimeType, c.ClockRate, c.SDPFmtpLine = m.MediaName.Media+"/"+name, uint32(clock), formats[pt]
		if n, err := strconv.ParseUint(channels, 10, 8); err == nil && m.MediaName.Media == "audio" && n > 1 {
			c.Channels = uint16(n)
		}
		all = append(all, c)
	}
	return all
}
