package whip

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"rave/engine/signalling"
)

// browserOffer is what Chromium offers, shortened.
const browserOffer = `v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS s
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=ice-options:trickle
a=fingerprint:sha-256 0F:74:31:25:CB:A2:13:EC:28:6F:6D:2C:61:FF:5D:C2:BC:B9:DB:3D:98:14:8D:1A:BB:EA:33:0C:A4:60:A8:8E
a=setup:actpass
a=mid:0
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:s a
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=ssrc:1001 cname:x
m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:EsAw
a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
a=ice-options:trickle
a=fingerprint:sha-256 0F:74:31:25:CB:A2:13:EC:28:6F:6D:2C:61:FF:5D:C2:BC:B9:DB:3D:98:14:8D:1A:BB:EA:33:0C:A4:60:A8:8E
a=setup:actpass
a=mid:1
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:s v
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 transport-cc
a=rtcp-fb:103 nack
a=rtcp-fb:103 nack pli
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=rtcp-fb:107 nack pli
a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
a=ssrc-group:FID 2001 2002
a=ssrc:2001 cname:x
a=ssrc:2002 cname:x
`

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// section returns the media section of a kind.
func section(kind string) string {
	_, rest, _ := strings.Cut(browserOffer, "m="+kind)
	rest, _, _ = strings.Cut(rest, "m=")
	return "m=" + kind + rest
}

func TestBadOffers(t *testing.T) {
	h := startHouse(t)
	without := func(parts ...string) string {
		text := browserOffer
		for _, p := range parts {
			text = strings.ReplaceAll(text, p, "")
		}
		return text
	}
	instead := func(old, new string) string {
		if !strings.Contains(browserOffer, old) {
			t.Fatalf("the offer has no %q", old)
		}
		return strings.ReplaceAll(browserOffer, old, new)
	}
	video := section("video")
	for _, c := range []struct {
		name, offer string
		status      int
		want        string
	}{
		{"nothing", "", http.StatusBadRequest, "describes no media"},
		{"no SDP", "{}", http.StatusBadRequest, "the SDP cannot be read"},
		{"no media", browserOffer[:strings.Index(browserOffer, "m=audio")], http.StatusBadRequest, "describes no media"},
		{"sound only", instead(video, ""), http.StatusUnprocessableEntity, "the offer has no video"},
		{"VP8 only", strings.ReplaceAll(browserOffer, "H264/", "VP9/"), http.StatusUnprocessableEntity, "the offer's video is VP8, rtx, VP9; send H.264"},
		{"no Opus", instead("111 opus/48000/2", "111 speex/48000/2"), http.StatusUnprocessableEntity, "the offer's audio is speex, red, G722, PCMU, PCMA; send Opus"},
		{"two videos", browserOffer + strings.ReplaceAll(video, "a=mid:1", "a=mid:2"), http.StatusUnprocessableEntity, "video twice"},
		{"data channel", browserOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:2\n", http.StatusUnprocessableEntity, "no data channels"},
		{"a viewer", instead("a=sendonly", "a=recvonly"), http.StatusBadRequest, "watch with WHEP"},
		{"inactive", instead("a=sendonly", "a=inactive"), http.StatusBadRequest, "watch with WHEP"},
		{"simulcast", browserOffer + "a=rid:h send\na=rid:l send\na=simulcast:send h;l\n", http.StatusUnprocessableEntity, "send one"},
		{"not bundled", without("a=group:BUNDLE 0 1\n"), http.StatusUnprocessableEntity, "a=group:BUNDLE"},
		{"bundled in part", instead("BUNDLE 0 1", "BUNDLE 0"), http.StatusUnprocessableEntity, "a=group:BUNDLE"},
		{"RTCP apart", without("a=rtcp-mux\n"), http.StatusUnprocessableEntity, "a=rtcp-mux"},
		{"many candidates", browserOffer + strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 1 typ host\n", 65), http.StatusBadRequest, "65 candidates; 64 are allowed"},
		{"no ICE", without("a=ice-ufrag:EsAw\n", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\n"), http.StatusBadRequest, "ice-ufrag"},
		{"no fingerprint", strings.ReplaceAll(browserOffer, "a=fingerprint:", "a=finger:"), http.StatusBadRequest, "fingerprint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := do(t, http.MethodPost, h.url, signalling.TypeSDP, crlf(c.offer))
			if detail := problemOf(t, res, body, c.status); !strings.Contains(detail, c.want) {
				t.Errorf("%q, want %q", detail, c.want)
			}
		})
	}
	res, answer := do(t, http.MethodPost, h.url, signalling.TypeSDP, crlf(browserOffer)) // nobody holds the stream
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("the good offer: %d %s", res.StatusCode, answer)
	}
	for _, want := range []string{"a=rtpmap:103 H264/90000", "apt=103", "a=rtcp-fb:103 transport-cc", "a=rtcp-fb:103 nack pli", "a=rtpmap:111 opus/48000/2"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer has no %q:\n%s", want, answer)
		}
	}
	if strings.Contains(answer, "VP8") || strings.Contains(answer, "apt=96") {
		t.Errorf("the answer has too much:\n%s", answer)
	}
}

// FuzzOffer: whatever is posted, it is refused or understood.
func FuzzOffer(f *testing.F) {
	f.Add(crlf(browserOffer))
	f.Add(crlf("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=video 9 UDP/TLS/RTP/SAVPF 96\na=rtpmap:96 H264/90000\na=rtcp-mux\n"))
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err == nil && len(o.video) == 0 {
			t.Error("an offer without video was taken")
		}
		if err == nil {
			if _, _, err := o.engine(signalling.Logger{Log: slog.New(slog.DiscardHandler)}); err != nil {
				t.Skip(err) // such as one number for two codecs
			}
		}
	})
}
