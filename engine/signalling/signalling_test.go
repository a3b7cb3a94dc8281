package signalling

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"
	pion "github.com/pion/webrtc/v4"
)

func TestParseFragment(t *testing.T) {
	const text = "a=ice-ufrag:abcd\r\na=ice-pwd:secret\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n" +
		"a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=candidate:2 1 udp 1 192.0.2.2 5001 typ host\r\na=end-of-candidates\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=candidate:3 1 udp 1 192.0.2.3 5002 typ host\n"
	var got []string
	for _, c := range parseFragment(text) {
		got = append(got, *c.SDPMid+" "+strings.Fields(c.Candidate)[4])
	}
	if want := []string{"0 192.0.2.1", "0 192.0.2.2", "1 192.0.2.3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := parseFragment("nonsense"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestCodecs(t *testing.T) {
	m := &sdp.MediaDescription{
		MediaName: sdp.MediaName{Media: "audio", Formats: []string{"111", "0", "300", "x", "99"}},
		Attributes: []sdp.Attribute{
			{Key: "rtpmap", Value: "111 opus/48000/2"}, {Key: "fmtp", Value: "111 useinbandfec=1"}, {Key: "rtpmap", Value: "99"},
		},
	}
	got := Codecs(m)
	if len(got) != 2 || got[0].MimeType != "audio/opus" || got[0].Channels != 2 || got[0].SDPFmtpLine != "useinbandfec=1" || got[1].MimeType != "audio/PCMU" {
		t.Errorf("got %+v", got)
	}
}

func TestLinks(t *testing.T) {
	h := http.Header{}
	Links(h, []pion.ICEServer{
		{URLs: []string{"stun:stun.example.com:3478"}},
		{URLs: []string{"turn:turn.example.com:3478"}, Username: "rave", Credential: "pass"},
	})
	want := []string{
		`<stun:stun.example.com:3478>; rel="ice-server"`,
		`<turn:turn.example.com:3478>; rel="ice-server"; username="rave"; credential="pass"; credential-type="password"`,
	}
	if !slices.Equal(h.Values("Link"), want) {
		t.Errorf("got %q", h.Values("Link"))
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		mediaType string
		size      int
		want      int
	}{
		{"application/sdp", 10, http.StatusOK},
		{"application/sdp; charset=utf-8", 10, http.StatusOK},
		{"application/json", 10, http.StatusUnsupportedMediaType},
		{"", 10, http.StatusUnsupportedMediaType},
		{"application/sdp", 11, http.StatusRequestEntityTooLarge},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(strings.Repeat("x", c.size)))
		r.Header.Set("Content-Type", c.mediaType)
		w := httptest.NewRecorder()
		if text, ok := Read(w, r, TypeSDP, 10); ok != (c.want == http.StatusOK) || w.Code != c.want || ok && len(text) != c.size {
			t.Errorf("%q, %d bytes: %d", c.mediaType, c.size, w.Code)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	f.Add("a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range parseFragment(text) {
			if !strings.HasPrefix(c.Candidate, "candidate:") || c.SDPMid == nil {
				t.Errorf("candidate %+v", c)
			}
		}
	})
}
