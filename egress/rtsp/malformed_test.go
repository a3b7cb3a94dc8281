package rtsp

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"

	"rave/bench/rawrtsp"
)

const setupTCP = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"

// exchange is one request and the code that answers it; 0 is an answer of silence: the server hangs up.
type exchange struct {
	text string // %s is the session of the victim
	code int
}

func request(line string, headers ...string) string {
	return line + " RTSP/1.0\r\n" + strings.Join(append([]string{"CSeq: 1"}, headers...), "\r\n") + "\r\n\r\n"
}

// What a client may get wrong, or try, has a code, and costs nobody else anything: not the victim, whose session is
// known to all of them, nor the witness.
func TestWrongRequestsHaveACode(t *testing.T) {
	s := startServer(t, Config{IdleTimeout: time.Second, Users: []User{
		{Name: "viewer", Password: "pass", Read: true, Streams: []string{"cam*"}},
	}})
	s.AcceptPublish("pub", newPublisher())
	login := "Authorization: " + basicAuth("viewer", "pass")
	p, other := s.Path("cam1", PathConfig{KeepGOP: true}), s.Path("cam2", PathConfig{})
	mustOpen(t, other, videoTrack())
	mustOpen(t, p, videoTrack())
	w := &witness{t: t, path: p, pl: newPlayer(gortsplib.TransportTCP), n: -1}
	w.pl.play(t, strings.Replace(pathURL(s, "cam1"), "rtsp://", "rtsp://viewer:pass@", 1))
	w.sees(true, 10)
	victim := dialRaw(t, s, "127.0.0.1")
	for _, r := range [][]string{{"SETUP", "cam1/trackID=0", setupTCP, login}, {"PLAY", "cam1", login}} {
		if a, err := victim.Do(r[0], r[1], r[2:]...); err != nil || a.Code != 200 {
			t.Fatalf("%s: %q, %v", r[0], a.Status, err)
		}
	}
	stolen, _, _ := strings.Cut(victim.Session, ";")
	stolen = "Session: " + stolen
	setup := request("SETUP rtsp://x/cam1/trackID=0", setupTCP, login)
	sdp := "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
	announce := func(path, login string) string {
		return request("ANNOUNCE rtsp://x/"+path, "Content-Type: application/sdp", fmt.Sprint("Content-Length: ", len(sdp)), login) + sdp
	}
	for name, exchanges := range map[string][]exchange{
		"no CSeq":                {{"OPTIONS rtsp://x/ RTSP/1.0\r\n\r\n", 400}},
		"two CSeqs":              {{request("OPTIONS rtsp://x/", "CSeq: 2"), 400}},
		"CSeq is no number":      {{strings.Replace(request("OPTIONS rtsp://x/"), "CSeq: 1", "CSeq: -x", 1), 200}},
		"CSeq goes back":         {{strings.Replace(request("OPTIONS rtsp://x/"), "CSeq: 1", "CSeq: 9", 1), 200}, {request("OPTIONS rtsp://x/"), 200}},
		"unknown method":         {{request("REDIRECT rtsp://x/cam1"), 501}},
		"another version":        {{"OPTIONS rtsp://x/ RTSP/2.0\r\nCSeq: 1\r\n\r\n", 0}},
		"body of 2 GiB":          {{request("SET_PARAMETER rtsp://x/", "Content-Length: 2147483648"), 0}},
		"negative body":          {{request("SET_PARAMETER rtsp://x/", "Content-Length: -1"), 0}},
		"header of 1 MiB":        {{request("OPTIONS rtsp://x/", "X: "+strings.Repeat("x", 1<<20)), 0}},
		"1000 headers":           {{request("OPTIONS rtsp://x/", strings.TrimSpace(strings.Repeat("X: y\r\n", 1000))), 0}},
		"URL of 1 MiB":           {{request("OPTIONS rtsp://x/" + strings.Repeat("x", 1<<20)), 0}},
		"binary":                 {{strings.Repeat("\x00\xff\x80\x01", 1<<14), 0}},
		"a response":             {{"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", 0}},
		"frame before PLAY":      {{"$\x00\x00\x04abcd", 0}},
		"no login":               {{request("DESCRIBE rtsp://x/cam1"), 401}, {request("SETUP rtsp://x/cam1/trackID=0", setupTCP), 401}},
		"no such stream":         {{request("DESCRIBE rtsp://x/cam9", login), 404}},
		"no such track":          {{request("SETUP rtsp://x/cam1/trackID=7", setupTCP, login), 400}},
		"no URL":                 {{request("DESCRIBE *", login), 400}},
		"no transport":           {{request("SETUP rtsp://x/cam1/trackID=0", login), 400}},
		"multicast":              {{request("SETUP rtsp://x/cam1/trackID=0", "Transport: RTP/AVP;multicast", login), 461}},
		"PLAY before SETUP":      {{request("PLAY rtsp://x/cam1", login), 501}},
		"PLAY of no session":     {{request("PLAY rtsp://x/cam1", "Session: 12345678", login), 454}},
		"SETUP twice":            {{setup, 200}, {setup, 400}},
		"SETUP of two streams":   {{setup, 200}, {request("SETUP rtsp://x/cam2/trackID=0", setupTCP, login), 400}},
		"PLAY of another stream": {{setup, 200}, {request("PLAY rtsp://x/cam2", login, "Session: own"), 400}},
		"RECORD of a reader":     {{setup, 200}, {request("RECORD rtsp://x/cam1", login, "Session: own"), 400}},
		"ANNOUNCE in a session":  {{setup, 200}, {announce("pub", login), 400}},
		"publishing as a reader": {{announce("pub", login), 403}},
		"publishing, no login":   {{announce("pub", "X: y"), 401}},
		"publishing to a camera": {{announce("cam1", login), 403}},
		"foreign TEARDOWN":       {{request("TEARDOWN rtsp://x/cam1", stolen), 454}},
		"foreign PAUSE":          {{request("PAUSE rtsp://x/cam1", stolen, login), 454}},
		"foreign PLAY":           {{request("PLAY rtsp://x/cam1", stolen, login), 454}},
		"foreign GET_PARAMETER":  {{request("GET_PARAMETER rtsp://x/cam1", stolen), 454}},
		"foreign SETUP":          {{setup, 200}, {request("SETUP rtsp://x/cam1/trackID=0", setupTCP, stolen, login), 400}},
	} {
		for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
			c := dialRaw(t, s, from)
			for i, e := range exchanges {
				checkExchange(t, fmt.Sprintf("%s, message %d from %s", name, i, from), c, e)
			}
			c.Close()
		}
		w.sees(false, 10)
		if _, err := victim.Frame(); err != nil {
			t.Fatalf("%s: the victim: %v", name, err)
		}
	}
	eventually(t, "only the victim and the witness are left", func() bool { return p.Stats().Readers == 2 })
}

// checkExchange sends a message and compares the answer; "Session: own" is replaced by the connection's own.
func checkExchange(t *testing.T, what string, c *rawrtsp.Client, e exchange) {
	t.Helper()
	own, _, _ := strings.Cut(c.Session, ";")
	if err := c.Send(strings.ReplaceAll(e.text, "Session: own", "Session: "+own)); err != nil && e.code != 0 {
		t.Errorf("%s: %v", what, err) // a server that hangs up may do so before the end of what is sent
	}
	if e.code == 0 {
		if err := c.HungUp(waitLimit); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if a, err := c.Answer(); err != nil || a.Code != e.code {
		t.Errorf("%s: answer %q, %v; want %d", what, a.Status, err, e.code)
	}
}

// A playing reader may repeat itself, with any path, and send what it likes on channels that do not exist: it goes on
// playing, and when it goes nothing of it is left.
func TestReaderRepeatsItself(t *testing.T) {
	s := startServer(t, Config{})
	p, other := s.Path("cam1", PathConfig{KeepGOP: true}), s.Path("cam2", PathConfig{})
	mustOpen(t, other, videoTrack())
	w := newWitness(t, s, p)
	c := dialRaw(t, s, "")
	if err := c.PlayTCP("cam1"); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		if err := c.Send("$" + string([]byte{byte(i), 0, 4}) + "abcd"); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"cam1", "cam2", "cam9"} {
			if a, err := c.Do("PLAY", path); err != nil || a.Code != 200 {
				t.Fatalf("PLAY %s again: %q, %v", path, a.Status, err)
			}
		}
	}
	w.sees(false, 10)
	if _, err := c.Frame(); err != nil {
		t.Error(err)
	}
	if n := p.Stats().Readers; n != 2 {
		t.Errorf("%d readers", n)
	}
	c.Close()
	eventually(t, "it has left", func() bool { return p.Stats().Readers == 1 })
}

// mutate damages a text in one to four places.
func mutate(rnd *rand.Rand, text []byte) []byte {
	text = bytes.Clone(text)
	for range 1 + rnd.IntN(4) {
		i := rnd.IntN(len(text))
		n := min(1+rnd.IntN(16), len(text)-i)
		switch rnd.IntN(5) {
		case 0:
			text[i] ^= byte(1 << rnd.IntN(8))
		case 1:
			text = append(text[:i], text[i+n:]...)
		case 2:
			text = append(text[:i], append(bytes.Repeat(text[i:i+n:i+n], 1+rnd.IntN(40)), text[i:]...)...)
		case 3:
			for j := range n {
				text[i+j] = byte(rnd.Uint32())
			}
		case 4:
			text = append(text[:i], append([]byte("$\x01\x00\x08"), text[i:]...)...)
		}
		if len(text) == 0 {
			return []byte{0}
		}
	}
	return text
}

// Damaged conversations, from a seed: the server lives, others see every picture, and nothing is left of them.
func TestDamagedConversations(t *testing.T) {
	const rounds, seed = 400, 11
	s := startServer(t, Config{IdleTimeout: 5 * time.Second, SessionTimeout: time.Second})
	s.AcceptPublish("pub", newPublisher())
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	w := newWitness(t, s, p)
	goroutines, heap := runtime.NumGoroutine(), liveHeap()
	rnd := rand.New(rand.NewPCG(seed, seed))
	for round := range rounds {
		c := dialRaw(t, s, fmt.Sprintf("127.0.0.%d", 1+rnd.IntN(9)))
		a, err := c.Do("SETUP", "cam1/trackID=0", setupTCP)
		if err != nil || a.Code != 200 {
			t.Fatalf("round %d: SETUP: %q, %v", round, a.Status, err)
		}
		session := "Session: " + c.Session
		talk := request("OPTIONS *", session) + request("DESCRIBE rtsp://x/cam1") +
			request("PLAY rtsp://x/cam1", session) + "$\x00\x00\x04\x80\x60\x00\x00" + request("GET_PARAMETER rtsp://x/cam1", session, "Content-Length: 4") + "ping" +
			request("PAUSE rtsp://x/cam1", session) + request("SETUP rtsp://x/cam1/trackID=0", "Transport: RTP/AVP;unicast;client_port=9000-9001") +
			request("ANNOUNCE rtsp://x/pub", "Content-Type: application/sdp", "Content-Length: 9") + "v=0\r\ns=x\r\n" +
			request("TEARDOWN rtsp://x/cam1", session)
		_, _ = c.Conn.Write(mutate(rnd, []byte(talk))) // the server may hang up in between
		_ = c.Conn.CloseWrite()
		_ = c.Conn.SetReadDeadline(time.Now().Add(waitLimit))
		if _, err := io.Copy(io.Discard, c.Conn); isTimeout(err) {
			t.Errorf("round %d of seed %d: the server keeps the connection", round, seed)
		}
		c.Close()
		if round%10 == 0 {
			w.sees(round%50 == 0, 10)
		}
	}
	eventually(t, "the readers are gone", func() bool { return p.Stats().Readers == 1 })
	eventually(t, "their goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
	if grown := liveHeap() - heap; grown > 4<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error) //nolint:errorlint // net.OpError itself
	return ok && e.Timeout()
}
