package webrtc

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/engine/media"
	"rave/engine/problem"
	"rave/engine/signalling"
)

// goodOffer is what a browser offers that wants to see and hear, without candidates.
const goodOffer = `v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 102 103 106
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:0
a=recvonly
a=rtcp-mux
a=rtpmap:102 H264/90000
a=rtcp-fb:102 nack
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f
m=audio 9 UDP/TLS/RTP/SAVPF 111 8
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:abcd
a=ice-pwd:0123456789012345678901
a=fingerprint:sha-256 6B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08
a=setup:actpass
a=mid:1
a=recvonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:8 PCMA/8000
`

// crlf is how SDP ends its lines.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// ask sends a request and returns the answer with its body.
func ask(t *testing.T, method, url, contentType, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(data)
}

// wantProblem checks that an answer is a problem of that status whose detail has a text.
func wantProblem(t *testing.T, what string, res *http.Response, body string, status int, text string) {
	t.Helper()
	var p problem.Problem
	err := json.Unmarshal([]byte(body), &p)
	if err != nil || res.StatusCode != status || p.Status != status || res.Header.Get("Content-Type") != problem.ContentType ||
		!strings.Contains(p.Detail, text) {
		t.Errorf("%s: status %d, %q, want %d with %q", what, res.StatusCode, body, status, text)
	}
}

func TestBadRequests(t *testing.T) {
	s := serve(t, Config{})
	mustOpen(t, s.Path("cam", PathConfig{}), h264())
	s.Path("away", PathConfig{}).SetUnavailable("stream away is not there: connection refused")
	s.Path("new", PathConfig{})
	mustOpen(t, s.Path("hevc", PathConfig{}), media.Track{Kind: media.Video, Codec: media.H265, ClockRate: 90000})
	mustOpen(t, s.Path("jpeg", PathConfig{}), media.Track{Kind: media.Video, Codec: media.MJPEG, ClockRate: 90000})
	const sdp = "application/sdp"
	video, sound, _ := strings.Cut(goodOffer, "m=audio")
	for _, c := range []struct {
		what, method, path, contentType, body string
		status                                int
		text                                  string
	}{
		{"GET", "GET", "cam/whep", "", "", 405, "OPTIONS, POST"},
		{"PUT", "PUT", "cam/whep", sdp, goodOffer, 405, "OPTIONS, POST"},
		{"DELETE of the endpoint", "DELETE", "cam/whep", "", "", 405, "OPTIONS, POST"},
		{"no content type", "POST", "cam/whep", "", goodOffer, 415, sdp},
		{"JSON", "POST", "cam/whep", "application/json", "{}", 415, sdp},
		{"empty", "POST", "cam/whep", sdp, "", 400, "no video"},
		{"no SDP", "POST", "cam/whep", sdp, "hello", 400, "cannot be read"},
		{"half an SDP", "POST", "cam/whep", sdp, crlf(goodOffer[:len(goodOffer)/3]), 400, ""},
		{"huge", "POST", "cam/whep", sdp, crlf(goodOffer) + strings.Repeat("a=x\r\n", signalling.MaxSDP/5), 413, "65536 bytes"},
		{"sound only", "POST", "cam/whep", sdp, crlf("v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio" + sound), 400, "no video"},
		{"two videos", "POST", "cam/whep", sdp, crlf(video + "m=video" + strings.SplitN(video, "m=video", 2)[1]), 400, "two videos"},
		{"data channels", "POST", "cam/whep", sdp, crlf(goodOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\nc=IN IP4 0.0.0.0\na=mid:2\n"), 400, "no data channels"},
		{"a publisher", "POST", "cam/whep", sdp, crlf(strings.ReplaceAll(goodOffer, "recvonly", "sendonly")), 400, "WHIP"},
		{"many candidates", "POST", "cam/whep", sdp, crlf(goodOffer + strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\n", 65)), 400, "65 candidates"},
		{"no ICE", "POST", "cam/whep", sdp, crlf(strings.ReplaceAll(goodOffer, "a=ice-", "a=no-")), 400, ""},
		{"no fingerprint", "POST", "cam/whep", sdp, crlf(strings.ReplaceAll(goodOffer, "a=fingerprint", "a=no")), 400, ""},
		{"no codec of ours", "POST", "cam/whep", sdp, crlf(strings.ReplaceAll(goodOffer, "H264", "VP8")), 406, "h264, which is not in the offer"},
		{"single NAL unit mode only", "POST", "cam/whep", sdp, crlf(strings.ReplaceAll(goodOffer, "packetization-mode=1", "packetization-mode=0")), 406, "h264"},
		{"H.265", "POST", "hevc/whep", sdp, crlf(goodOffer), 406, "h265, which is not in the offer"},
		{"MJPEG", "POST", "jpeg/whep", sdp, crlf(goodOffer), 406, "mjpeg, which is not in the offer"},
		{"away", "POST", "away/whep", sdp, crlf(goodOffer), 409, "connection refused"},
		{"never seen", "POST", "new/whep", sdp, crlf(goodOffer), 409, "new has not been seen yet"},
		{"PATCH of nobody", "PATCH", "cam/whep/nobody", "application/trickle-ice-sdpfrag", "", 404, "no such viewer"},
		{"DELETE of nobody", "DELETE", "cam/whep/nobody", "", "", 404, "no such viewer"},
	} {
		res, body := ask(t, c.method, s.url+"/"+c.path, c.contentType, c.body)
		wantProblem(t, c.what, res, body, c.status, c.text)
		if c.status == 405 && res.Header.Get("Allow") != "OPTIONS, POST" {
			t.Errorf("%s: allowed are %q", c.what, res.Header.Get("Allow"))
		}
		if c.status == 409 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", c.what)
		}
	}
	if s.viewers != 0 {
		t.Errorf("%d viewers are left", s.viewers)
	}
}

// What a viewer may do with its resource, and what is answered.
func TestResource(t *testing.T) {
	s := serve(t, Config{})
	mustOpen(t, s.Path("cam", PathConfig{}), h264())
	res, answer := ask(t, "POST", s.url+"/cam/whep", "application/sdp; charset=utf-8", crlf(goodOffer))
	if res.StatusCode != http.StatusCreated || res.Header.Get("Content-Type") != "application/sdp" {
		t.Fatalf("status %d, %v, %s", res.StatusCode, res.Header, answer)
	}
	where, etag := res.Header.Get("Location"), res.Header.Get("ETag")
	if !strings.HasPrefix(where, "/cam/whep/") || !strings.HasPrefix(etag, `"`) || strings.Contains(where, strings.Trim(etag, `"`)) {
		t.Errorf("Location %s, ETag %s", where, etag)
	}
	for _, want := range []string{"m=video 9 UDP/TLS/RTP/SAVPF 106\r\n", "profile-level-id=64001f", "a=sendonly", " typ host", "a=end-of-candidates",
		"m=audio 0 "} { // the stream has no sound
		if !strings.Contains(answer, want) {
			t.Errorf("the answer lacks %q:\n%s", want, answer)
		}
	}
	const fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n" +
		"a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
	const fragmentType = "application/trickle-ice-sdpfrag"
	for _, c := range []struct {
		what, contentType, body, match string
		status                         int
		text                           string
	}{
		{"no If-Match", fragmentType, fragment, "", 428, "If-Match"},
		{"another answer", fragmentType, fragment, `"other"`, 412, "If-Match"},
		{"a restart", fragmentType, fragment, "*", 422, "connect again"},
		{"no fragment", "application/sdp", fragment, etag, 415, fragmentType},
		{"a candidate that is none", fragmentType, "a=mid:0\r\na=candidate:x\r\n", etag, 400, "candidate"},
		{"many", fragmentType, strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 65), etag, 400, "64"},
		{"huge", fragmentType, strings.Repeat("a=x\r\n", signalling.MaxFragment/4), etag, 413, "16384 bytes"},
	} {
		header := []string{"If-Match", c.match}
		if c.match == "" {
			header = nil
		}
		res, body := ask(t, "PATCH", s.url+where, c.contentType, c.body, header...)
		wantProblem(t, c.what, res, body, c.status, c.text)
	}
	if res, body := ask(t, "PATCH", s.url+where, fragmentType, fragment, "If-Match", etag); res.StatusCode != http.StatusNoContent || body != "" {
		t.Errorf("candidates: status %d, %s", res.StatusCode, body)
	}
	if res, _ := ask(t, "OPTIONS", s.url+"/cam/whep", "", ""); res.StatusCode != http.StatusNoContent || res.Header.Get("Accept-Post") != "application/sdp" {
		t.Errorf("OPTIONS: %d, %v", res.StatusCode, res.Header)
	}
	res, body := ask(t, "PUT", s.url+where, "", "")
	wantProblem(t, "PUT", res, body, 405, "DELETE, OPTIONS, PATCH")
	if res, _ := ask(t, "DELETE", s.url+where, "", ""); res.StatusCode != http.StatusOK {
		t.Errorf("DELETE: status %d", res.StatusCode)
	}
	res, body = ask(t, "DELETE", s.url+where, "", "")
	wantProblem(t, "DELETE again", res, body, 404, "no such viewer")
}

func TestMaxViewers(t *testing.T) {
	s := serve(t, Config{MaxViewers: 2})
	p := s.Path("cam", PathConfig{})
	mustOpen(t, p, h264())
	first := s.watch(t, "cam", whep.Config{})
	s.watch(t, "cam", whep.Config{})
	_, err := whep.Connect(t.Context(), whep.Config{URL: s.url + "/cam/whep"})
	var status *whep.StatusError
	if !errors.As(err, &status) || status.Code != 503 || status.Header.Get("Retry-After") == "" || !strings.Contains(status.Body, `"key":"webrtc.max_viewers"`) {
		t.Errorf("the third viewer: %v", err)
	}
	if s.Refused()["viewers"] != 1 {
		t.Errorf("refused: %v", s.Refused())
	}
	if err := first.Leave(t.Context()); err != nil {
		t.Error(err)
	}
	s.watch(t, "cam", whep.Config{}) // there is room again
}

// Word is given of the first viewer and of the end of the last.
func TestOnViewers(t *testing.T) {
	s := serve(t, Config{})
	told := make(chan struct{}, 10)
	p := s.Path("cam", PathConfig{OnViewers: func() { told <- struct{}{} }})
	mustOpen(t, p, h264())
	viewers := func(want int) {
		t.Helper()
		select {
		case <-told:
		case <-time.After(patience):
			t.Fatal("no word")
		}
		if n := p.Stats().Viewers; n != want {
			t.Errorf("%d viewers, want %d", n, want)
		}
	}
	first := s.watch(t, "cam", whep.Config{})
	viewers(1)
	second := s.watch(t, "cam", whep.Config{})
	for _, v := range []*whep.Viewer{first, second} {
		if err := v.Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	viewers(0)
	if len(told) > 0 {
		t.Errorf("told %d times more", len(told))
	}
}

// A viewer that never connects is given up, and one whose stream ends is told.
func TestViewersGo(t *testing.T) {
	s := serve(t, Config{ConnectTimeout: 50 * time.Millisecond})
	p := s.Path("cam", PathConfig{})
	mustOpen(t, p, h264())
	if res, body := ask(t, "POST", s.url+"/cam/whep", "application/sdp", crlf(goodOffer)); res.StatusCode != http.StatusCreated {
		t.Fatal(body)
	}
	eventually(t, "the viewer that has not connected is given up", func() bool { return p.Stats().Viewers == 0 })

	s = serve(t, Config{})
	p = s.Path("cam", PathConfig{})
	for _, ends := range []struct {
		what string
		end  func()
	}{
		{"another codec", func() { mustOpen(t, p, media.Track{Kind: media.Video, Codec: media.H265, ClockRate: 90000}) }},
		{"the path is closed", func() { _ = p.Close() }},
		{"the path is removed", func() { s.Remove("cam") }},
	} {
		mustOpen(t, p, h264())
		e := newEyes(t)
		v := s.watch(t, "cam", whep.Config{OnPacket: e.packet})
		eventually(t, "connected", func() bool {
			if err := p.Write(picture(0, true, 100)); err != nil {
				t.Fatal(err)
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			return len(e.packets) > 0
		})
		mustOpen(t, p, h264()) // the same again: nobody goes
		if p.Stats().Viewers != 1 {
			t.Errorf("%s: the viewer has gone before", ends.what)
		}
		ends.end()
		mustGo(t, v)
	}
	if s.Lookup("cam") != nil {
		t.Error("the removed path is still there")
	}
}

// A viewer that may not watch any more is sent away, and one that comes too late as well.
func TestGrantEnds(t *testing.T) {
	log := &journal{}
	s := serve(t, Config{Log: log.logger()})
	p := s.Path("cam", PathConfig{KeepGOP: true})
	mustOpen(t, p, h264())
	if err := p.Write(picture(0, true, 100)); err != nil {
		t.Fatal(err)
	}
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	e.pictures(t, 1)
	s.revoke(errors.New("the users have changed"))
	mustGo(t, v)
	eventually(t, "nothing is left of it", func() bool { return p.Stats().Viewers == 0 })
	eventually(t, "the log says why", func() bool { return strings.Contains(log.String(), `why="the users have changed"`) })
	if res, body := ask(t, "POST", s.url+"/cam/whep", "application/sdp", crlf(goodOffer)); res.StatusCode != http.StatusCreated {
		t.Fatalf("status %d: %s", res.StatusCode, body)
	}
	eventually(t, "nothing is left of one that came too late", func() bool { return p.Stats().Viewers == 0 })
}

func FuzzParseOffer(f *testing.F) {
	f.Add(crlf(goodOffer))
	f.Add("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 RTP/AVP 96 0\r\na=rtpmap:96 H264/90000/2/x\r\na=fmtp:96\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parseOffer(text)
		if err != nil {
			return
		}
		for _, c := range append(o.video, o.sound...) {
			if c.PayloadType > 127 || !strings.Contains(c.MimeType, "/") {
				t.Errorf("codec %+v", c)
			}
		}
		if c, ok := choose(o.video, pion.MimeTypeH264, "64"); ok && !strings.Contains(c.SDPFmtpLine, "packetization-mode=1") {
			t.Errorf("chose %+v", c)
		}
	})
}
