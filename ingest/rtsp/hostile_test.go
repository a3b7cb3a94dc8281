package rtsp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/ingest"

	"rave/ingest/rtpin/rtptest"
)

// stranger is a server that answers as a function says, with a conscious lack of manners.
type stranger struct {
	addr  string
	mu    sync.Mutex
	conns []net.Conn
	ended bool
}

// startStranger runs answer for each connection until the test ends, or it returns.
func startStranger(t *testing.T, answer func(c net.Conn)) *stranger {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stranger{addr: l.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			if s.ended {
				_ = c.Close()
			}
			s.mu.Unlock()
			running.Go(func() { answer(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		s.ended = true
		for _, c := range s.conns {
			_ = c.Close()
		}
		s.mu.Unlock()
		running.Wait()
	})
	return s
}

func (s *stranger) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// nextRequest reads a request and returns its method and CSeq.
func nextRequest(r *bufio.Reader) (method, cseq string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSpace(line)
		if method == "" {
			method, _, _ = strings.Cut(line, " ")
		}
		if n, ok := strings.CutPrefix(line, "CSeq: "); ok {
			cseq = n
		}
		if line == "" {
			return method, cseq, nil
		}
	}
}

// answers returns a script: what is said to each method, after "RTSP/1.0 200 OK" and the CSeq; nothing for the others.
func answers(say map[string]func(c net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			method, cseq, err := nextRequest(r)
			if err != nil {
				return
			}
			if say[method] != nil {
				if _, err := fmt.Fprintf(c, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n", cseq); err != nil {
					return
				}
				say[method](c)
			}
		}
	}
}

// raw says something else to the first request than the beginning of an answer.
func raw(say func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if _, _, err := nextRequest(bufio.NewReader(c)); err == nil {
			say(c)
		}
	}
}

func text(s string) func(net.Conn) { return func(c net.Conn) { _, _ = io.WriteString(c, s) } }

// drip sends a text again and again, piece by piece.
func drip(s string, pause time.Duration) func(net.Conn) {
	return func(c net.Conn) {
		for {
			for i := range len(s) {
				if _, err := c.Write([]byte{s[i]}); err != nil {
					return
				}
				time.Sleep(pause)
			}
		}
	}
}

// flood sends a text again and again without a pause.
func flood(s string) func(net.Conn) {
	return func(c net.Conn) {
		many := []byte(strings.Repeat(s, 1000))
		for {
			if _, err := c.Write(many); err != nil {
				return
			}
		}
	}
}

const options = "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n\r\n"

// Whatever answers, or doesn't: an attempt ends in time, costs little memory, and says who and what.
func TestPullFromStrangers(t *testing.T) {
	const readTimeout = 300 * time.Millisecond
	slow := func(c net.Conn) { time.Sleep(readTimeout * 8 / 10) }
	for _, c := range []struct {
		name   string
		scheme string
		answer func(net.Conn)
		want   string
	}{
		{"silent", "rtsp", answers(nil), "does not answer OPTIONS: does the camera hang, or is this not its RTSP port? (request timed out)"},
		{"silent after OPTIONS", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": text(options)}), "does not answer DESCRIBE"},
		{"silent instead of TLS", "rtsps", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "does not answer OPTIONS"},
		{"endless TLS record", "rtsps", func(c net.Conn) { text("\x16\x03\x03\x3f\xff")(c); drip("\x02", time.Millisecond)(c) }, "answer to OPTIONS did not end in time"},
		{"header byte by byte", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": drip("Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", 20*time.Millisecond)}),
			"answer to OPTIONS did not end in time, after"},
		{"description byte by byte", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": text(options), "DESCRIBE": func(c net.Conn) {
			text("Content-Type: application/sdp\r\nContent-Length: 5000\r\n\r\n")(c)
			drip("v=0\r\n", 20*time.Millisecond)(c)
		}}), "answer to DESCRIBE did not end in time, after"},
		{"endless header", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": flood("A: b\r\n")}), "answer to OPTIONS is not valid RTSP: headers count exceeds"},
		{"endless line", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": func(c net.Conn) { text("A: ")(c); flood("b")(c) }}), "not valid RTSP: buffer length exceeds"},
		{"endless body", "rtsp", answers(map[string]func(net.Conn){"OPTIONS": text(options), "DESCRIBE": func(c net.Conn) {
			text("Content-Length: 99999999999\r\n\r\n")(c)
			flood("v=0\r\n")(c)
		}}), "Content-Length exceeds"},
		{"endless answers to other questions", "rtsp", raw(flood("RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n")), "stream cam1"},
		{"endless noise", "rtsp", raw(flood("noise")), `answer to OPTIONS is not RTSP, beginning with "noisenoise`},
		{"endless packets", "rtsp", raw(flood("$\x00\x00\x04abcd")), "unexpected interleaved frame"},
		{"HTTP", "rtsp", raw(text("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n400 Bad Request")),
			`answer to OPTIONS is not RTSP, beginning with "HTTP/1.1 400 Bad Request": is this its RTSP port?`},
		{"malformed header", "rtsp", raw(func(c net.Conn) {
			text("RTSP/1.0 200 OK\r\nCSeq 1\r\n\r\n")(c)
			_, _ = io.Copy(io.Discard, c)
		}), `answer to OPTIONS is not RTSP, with the header line "CSeq 1"`},
		{"slow and never done", "rtsp", func(c net.Conn) {
			answers(map[string]func(net.Conn){
				"OPTIONS": func(c net.Conn) { slow(c); text(options)(c) },
				"DESCRIBE": func(c net.Conn) {
					slow(c)
					text("Content-Type: application/sdp\r\nContent-Length: " + fmt.Sprint(len(manySDP)) + "\r\n\r\n" + manySDP)(c)
				},
				"SETUP": func(c net.Conn) {
					slow(c)
					text("Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")(c)
				},
			})(c)
		}, "connecting took longer than 900ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startStranger(t, c.answer)
			p := newPull(t, PullConfig{URL: c.scheme + "://" + s.addr + "/live", ReadTimeout: readTimeout, Transport: TCP})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			begin := time.Now()
			_, ended := rtptest.Start(t, p, rtptest.NewCollector())
			err := rtptest.Receive(t, ended, "end")
			if d := time.Since(begin); d > maxConnecting*readTimeout+2*time.Second {
				t.Errorf("it took %v", d)
			}
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
				t.Errorf("%d MiB of memory", grown>>20)
			}
			for _, want := range []string{c.want, "stream cam1 (" + c.scheme + "://" + s.addr + "/live)"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if len(err.Error()) > 500 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		})
	}
}

const manySDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:0\r\n" +
	"m=audio 0 RTP/AVP 0\r\na=control:1\r\nm=audio 0 RTP/AVP 0\r\na=control:2\r\nm=audio 0 RTP/AVP 0\r\na=control:3\r\n"

// A camera that plays and then sends nothing at all is given up without the watchdog on video, over either transport
// and after the change from one to the other.
func TestPullGivesUpSilentCameras(t *testing.T) {
	for _, transport := range []Transport{TCP, UDP, Auto} {
		t.Run(string(transport), func(t *testing.T) {
			cam := startCamera(t, session(rtptest.H264()))
			_, ended := rtptest.Start(t, newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: transport, ReadTimeout: 300 * time.Millisecond}), rtptest.NewCollector())
			err := rtptest.Receive(t, ended, "end")
			if want := "stream cam1 (rtsp://" + cam.addr + "/live): no packet for 300ms: the camera has stopped sending"; err == nil || err.Error() != want {
				t.Errorf("%v, want %q", err, want)
			}
		})
	}
}

// Jumps of the camera's clock are said, once.
func TestJumpsOfTheClockAreSaid(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	var logs logBuffer
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP, Log: logs.logger()})
	out := rtptest.NewCollector()
	rtptest.Start(t, p, out)
	playing(t, cam, out)
	enc := rtptest.Encoder(t)
	for _, n := range []int{200_000, 200_001, 100_000, 100_001} { // 2 h ahead, 1 h back
		cam.send(t, enc, n, [][]byte{rtptest.IDR(n, 3000)})
	}
	for jumps := 0; jumps < 2; {
		if rtptest.Receive(t, out.Packets, "picture").Discontinuity {
			jumps++
		}
	}
	if text := logs.String(); strings.Count(text, "the sender's clock has jumped") != 1 || !strings.Contains(text, "stream=cam1") || !strings.Contains(text, "track=video") {
		t.Errorf("log: %s", text)
	}
}

// A handshake that never ends does not hold Run when its context is done.
func TestPullEndsDuringTLSHandshake(t *testing.T) {
	connected := make(chan struct{}, 8)
	s := startStranger(t, func(c net.Conn) {
		_, _ = io.ReadFull(c, make([]byte, 5)) // of the client's hello
		connected <- struct{}{}
		_, _ = io.Copy(io.Discard, c)
	})
	stop, _ := rtptest.Start(t, newPull(t, PullConfig{URL: "rtsps://" + s.addr + "/live"}), rtptest.NewCollector())
	rtptest.Receive(t, connected, "connection")
	_ = stop() // which checks the time
}

func TestEndlessRedirects(t *testing.T) {
	redirect := func(to func() string) func(net.Conn) {
		return func(c net.Conn) {
			r := bufio.NewReader(c)
			for {
				method, cseq, err := nextRequest(r)
				if err != nil {
					return
				}
				if method == "OPTIONS" {
					fmt.Fprintf(c, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%s", cseq, options)
				} else {
					fmt.Fprintf(c, "RTSP/1.0 302 Found\r\nCSeq: %s\r\nLocation: rtsp://u:s3cret@%s/again\r\n\r\n", cseq, to())
				}
			}
		}
	}
	var self, a, b *stranger
	self = startStranger(t, redirect(func() string { return self.addr }))
	a = startStranger(t, redirect(func() string { return b.addr }))
	b = startStranger(t, redirect(func() string { return a.addr }))
	for name, c := range map[string]struct {
		first *stranger
		all   []*stranger
	}{"to itself": {self, []*stranger{self}}, "A to B to A": {a, []*stranger{a, b}}} {
		t.Run(name, func(t *testing.T) {
			p := newPull(t, PullConfig{URL: "rtsp://" + c.first.addr + "/live", Username: "admin", Password: "s3cret"})
			_, ended := rtptest.Start(t, p, rtptest.NewCollector())
			err := rtptest.Receive(t, ended, "end")
			last := c.first // after an even number of hops
			if !errors.Is(err, ingest.ErrPermanent) || !strings.Contains(err.Error(), "redirects more than 5 times") ||
				!strings.Contains(err.Error(), "stream cam1") || !strings.Contains(err.Error(), last.addr) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v", err)
			}
			n := 0
			for _, s := range c.all {
				n += s.connections()
			}
			if n != 1+maxRedirects {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// A description may not cost more than it is worth: sockets for each track, names in the log.
func TestChooseIsBounded(t *testing.T) {
	var formats []format.Format
	formats = append(formats, rtptest.H264())
	for range 3000 {
		formats = append(formats, rtptest.Opus())
	}
	inputs, ignored, err := choose(session(formats...), func(string, int) {})
	if err != nil || len(inputs) != 1+maxSounds || len(ignored) != maxNames+1 || !strings.Contains(ignored[maxNames], "more") {
		t.Errorf("%d inputs, ignored %q, %v", len(inputs), ignored, err)
	}
	desc := &description.Session{}
	for range 3000 {
		desc.Medias = append(desc.Medias, &description.Media{Type: description.MediaTypeVideo, Formats: []format.Format{&format.VP9{PayloadTyp: 96}}})
	}
	if _, _, err := choose(desc, nil); err == nil || len(err.Error()) > 500 {
		t.Errorf("%v", err)
	}
}
