package webrtc

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/signalling"
)

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
			hasVideo, o.video = true, signalling.Codecs(m)
		case "audio":
			if o.hasSound {
				return o, errors.New("the offer has two sounds: a stream has one")
			}
			o.hasSound, o.sound = true, signalling.Codecs(m)
		default: // pion would open data channels, as many as the viewer likes
			return o, fmt.Errorf("the offer has a medium %.20q: only video and sound are sent, no data channels", m.MediaName.Media)
		}
	}
	switch {
	case !hasVideo:
		return o, errors.New("the offer asks for no video: add a video transceiver that receives")
	case candidates > signalling.MaxCandidates:
		return o, fmt.Errorf("the offer has %d candidates; %d are allowed", candidates, signalling.MaxCandidates)
	}
	return o, nil
}

// choose returns the codec of that name that suits a profile (see profileOf) best; false: there is none.
func choose(codecs []pion.RTPCodecParameters, mime, profile string) (pion.RTPCodecParameters, bool) {
	best, score := pion.RTPCodecParameters{}, 0
	for _, c := range codecs {
		if !strings.EqualFold(c.MimeType, mime) {
			continue
		}
		if strings.EqualFold(mime, pion.MimeTypeH265) && !decodes(c, profile) {
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

// unplayable is the answer to a viewer that cannot be given the stream.
func unplayable(codec, why string) error {
	return signalling.Refuse(http.StatusNotAcceptable, "unsupported-codec", "This stream cannot be played here",
		"the stream's video is %s, %s", codec, why)
}
