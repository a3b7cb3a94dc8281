package webrtc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/problem"
)

// maxCandidates is how many candidates an offer may have: each is tried, at an address that the offer names.
const maxCandidates = 64

// offer is what a viewer can take.
type offer struct {
	video, sound []pion.RTPCodecParameters // in its order of preference
	hasSound     bool
}

// parseOffer reads an SDP offer. Its errors are what the viewer is told.
func parseOffer(text string) (offer, error) {
	var o offer
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return o, fmt.Errorf("the SDP cannot be read: %w", err)
	}
	candidates, hasVideo := 0, false
	for _, m := range session.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
			}
			if a.Key == "sendonly" {
				return o, errors.New("the offer sends and does not receive: WHEP is for viewers; publish with WHIP")
			}
		}
		switch m.MediaName.Media {
		case "video":
			if hasVideo {
				return o, errors.New("the offer has two videos: a stream has one")
			}
			hasVideo, o.video = true, codecsOf(m)
		case "audio":
			if o.hasSound {
				return o, errors.New("the offer has two sounds: a stream has one")
			}
			o.hasSound, o.sound = true, codecsOf(m)
		}
	}
	switch {
	case !hasVideo:
		return o, errors.New("the offer asks for no video: add a video transceiver that receives")
	case candidates > maxCandidates:
		return o, fmt.Errorf("the offer has %d candidates; %d are allowed", candidates, maxCandidates)
	}
	return o, nil
}

// codecsOf lists the codecs of one medium (RFC 8866 section 6.6). What has no rtpmap has a static payload type
// (RFC 3551 section 6).
func codecsOf(m *sdp.MediaDescription) []pion.RTPCodecParameters {
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

// choose returns the codec of that name that suits profile best; false: there is none.
func choose(codecs []pion.RTPCodecParameters, mime, profile string) (pion.RTPCodecParameters, bool) {
	best, score := pion.RTPCodecParameters{}, 0
	for _, c := range codecs {
		if !strings.EqualFold(c.MimeType, mime) {
			continue
		}
		points := 1
		if strings.EqualFold(mime, pion.MimeTypeH264) {
			if !strings.Contains(c.SDPFmtpLine, "packetization-mode=1") {
				continue // one NAL unit is one packet there: pictures do not fit
			}
			if profile != "" && strings.Contains(strings.ToLower(c.SDPFmtpLine), "profile-level-id="+profile) {
				points = 2
			}
		}
		if points > score {
			best, score = c, points
		}
	}
	return best, score > 0
}

// refusal is why a viewer is not served, as it is told.
type refusal struct{ problem.Problem }

// Error implements error.
func (r refusal) Error() string { return r.Detail }

// refuse makes a refusal; kind tells programs which one it is.
func refuse(status int, kind, title, detail string) error {
	return refusal{problem.Problem{Type: "urn:rave:problem:" + kind, Title: title, Status: status, Detail: detail}}
}

// unplayable is the answer to a viewer that cannot be given the stream.
func unplayable(codec, why string) error {
	return refuse(http.StatusNotAcceptable, "unsupported-codec", "This stream cannot be played here",
		fmt.Sprintf("the stream's video is %s, %s", codec, why))
}
