package whip

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/signalling"
)

// offer is what a publisher will send.
type offer struct {
	text  string
	video []pion.RTPCodecParameters // forms of H.264, each perhaps with its retransmissions
	sound []pion.RTPCodecParameters // forms of Opus; none: no sound
}

// badOffer is the answer to an offer that makes no sense (RFC 9725 section 4.2).
func badOffer(detail string, args ...any) error {
	return signalling.Refuse(http.StatusBadRequest, "bad-offer", "This offer cannot be answered", detail, args...)
}

// unsupported is the answer to one that does, and asks for more than there is. No part of an offer is left out silently
// (RFC 9725 section 4.4.3).
func unsupported(detail string, args ...any) error {
	return signalling.Refuse(http.StatusUnprocessableEntity, "unsupported-offer", "This cannot be published", detail, args...)
}

// parseOffer reads an SDP offer. Its error is a refusal.
func parseOffer(text string) (offer, error) {
	o := offer{text: text}
	var session sdp.SessionDescription
	if err := session.UnmarshalString(text); err != nil {
		return o, badOffer("the SDP cannot be read: %v", err)
	}
	if len(session.MediaDescriptions) == 0 {
		return o, badOffer("the SDP describes no media: send an offer with a video")
	}
	seen, candidates := map[string]bool{}, 0
	for _, m := range session.MediaDescriptions {
		kind := m.MediaName.Media
		switch {
		case kind != "video" && kind != "audio":
			return o, unsupported("the offer has a medium %q: only video and sound are taken, no data channels", short(kind))
		case seen[kind]:
			return o, unsupported("the offer has %s twice: a stream has one video and one sound", kind)
		}
		seen[kind] = true
		if err := checkMedium(m); err != nil {
			return o, err
		}
		for _, a := range m.Attributes {
			if a.Key == "candidate" {
				candidates++
			}
		}
		var err error
		if kind == "video" {
			o.video, err = choose(m, pion.MimeTypeH264, "H.264")
		} else {
			o.sound, err = choose(m, pion.MimeTypeOpus, "Opus")
		}
		if err != nil {
			return o, err
		}
	}
	switch {
	case !seen["video"]:
		return o, unsupported("the offer has no video: a stream is a picture first, so send one")
	case candidates > signalling.MaxCandidates:
		return o, badOffer("the offer has %d candidates; %d are allowed", candidates, signalling.MaxCandidates)
	case len(session.MediaDescriptions) > 1 && !bundled(session):
		return o, unsupported("the offer wants a connection for each medium: bundle them (a=group:BUNDLE)")
	}
	return o, nil
}

// checkMedium refuses what would be taken only in part.
func checkMedium(m *sdp.MediaDescription) error {
	for _, a := range m.Attributes {
		switch a.Key {
		case "recvonly", "inactive":
			return badOffer("the offer does not send its %s: WHIP is for publishers; watch with WHEP", m.MediaName.Media)
		case "simulcast":
			return unsupported("the offer has several encodings of one picture (simulcast): send one")
		}
	}
	if _, muxed := m.Attribute("rtcp-mux"); !muxed {
		return unsupported("the offer wants a port of its own for RTCP: send it with the media (a=rtcp-mux)")
	}
	return nil
}

// choose returns what the medium offers of a codec, with its retransmissions (RFC 4588 section 8.6).
func choose(m *sdp.MediaDescription, mime, name string) ([]pion.RTPCodecParameters, error) {
	all := signalling.Codecs(m)
	var chosen []pion.RTPCodecParameters
	var others []string
	for _, c := range all {
		other := strings.TrimPrefix(strings.TrimPrefix(c.MimeType, "video/"), "audio/")
		switch {
		case strings.EqualFold(c.MimeType, mime):
			chosen = append(chosen, c)
		case !slices.Contains(others, other) && len(others) < 10:
			others = append(others, short(other))
		}
	}
	if len(chosen) == 0 {
		return nil, unsupported("the offer's %s is %s; send %s", m.MediaName.Media, orNothing(others), name)
	}
	for _, c := range all {
		if strings.EqualFold(c.MimeType, pion.MimeTypeRTX) && slices.ContainsFunc(chosen, func(of pion.RTPCodecParameters) bool {
			return c.SDPFmtpLine == fmt.Sprintf("apt=%d", of.PayloadType)
		}) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// bundled reports whether all media share one connection (RFC 9143).
func bundled(s sdp.SessionDescription) bool {
	for _, a := range s.Attributes {
		group, isBundle := strings.CutPrefix(a.Value, "BUNDLE ")
		if a.Key != "group" || !isBundle {
			continue
		}
		members := strings.Fields(group)
		return !slices.ContainsFunc(s.MediaDescriptions, func(m *sdp.MediaDescription) bool {
			mid, _ := m.Attribute("mid")
			return !slices.Contains(members, mid)
		})
	}
	return false
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing that has a name"
	}
	return strings.Join(names, ", ")
}

// short keeps a stranger's word from filling the answer.
func short(word string) string { return word[:min(len(word), 20)] }
