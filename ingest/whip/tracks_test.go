package whip

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/logging"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/signalling"
	"rave/ingest/rtpin/rtptest"
)

const leftOut = "a track of the publisher is left out: a stream has one video and one sound"

// Of a publisher that does not name its sources, the first video and the first sound count; nothing else is mixed into them.
func TestFirstTrackOfAKind(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	rtptest.Start(t, h.source, out)
	c := newClient(t)
	var unnamed strings.Builder
	for line := range strings.Lines(c.offer()) {
		if !strings.HasPrefix(line, "a=ssrc") {
			unnamed.WriteString(line)
		}
	}
	c.connect(h, unnamed.String())
	ours := c.encode
	stray := func(as source) {
		t.Helper()
		c.encode = rtptest.Encoder(t).Encode // with numbers of its own
		c.loss.as.Store(&as)
		c.send(9, keyframe(9, 10)...)
		c.loss.as.Store(nil)
		c.encode = ours
		h.said.until(t, leftOut)
	}
	stray(source{1001, 107}) // retransmissions come first
	c.send(0, keyframe(0, 10)...)
	if _, n := picture(t, out); n != 0 {
		t.Errorf("picture %d, want 0", n)
	}
	stray(source{1002, 106})
	for n := 1; n <= 3; n++ {
		c.send(n, rtptest.Inter(n, 10))
		if p, got := picture(t, out); got != n || p.Lost {
			t.Errorf("picture %d, want %d; drops %v", got, n, &h.drops)
		}
	}
}

// A track that comes when the session has ended begins nothing, and so does a sound that was not offered.
func TestTracksThatComeToNothing(t *testing.T) {
	h := startHouse(t)
	s, err := h.endpoint.newSession(t.Context(), t.Context(), offer{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.input(pion.RTPCodecTypeAudio, pion.MimeTypeOpus) != nil {
		t.Error("sound was taken that was not offered")
	}
	if s.input(pion.RTPCodecTypeVideo, "video/RTX") != nil {
		t.Error("retransmissions were taken for a video")
	}
	s.end(errLeft)
	if s.input(pion.RTPCodecTypeVideo, pion.MimeTypeH264) != nil {
		t.Error("a track was taken after the end")
	}
	_ = s.run()
}

// Sound that is missing is not asked for again, so it is not waited for as long as video; what was only overtaken is put in
// order.
func TestSoundWaitsForReorderingOnly(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
	sound := func() int {
		t.Helper()
		for {
			if p := rtptest.Receive(t, out.Packets, "sound"); p.Track == 1 {
				return int(p.Data[1])
			}
		}
	}
	n := 0
	c.sendSound(n)
	for sound() != n { // the first may wait for a sender report
	}
	for range 50 { // on a busy machine one may take longer
		n += 2 // a gap
		c.sendSound(n)
		began := time.Now()
		if got := sound(); got != n {
			t.Fatalf("sound %d, want %d", got, n)
		}
		if time.Since(began) < patience {
			break
		}
		if n == 100 {
			t.Fatalf("sound waits for %v each time", time.Since(began))
		}
	}
	c.sendSound(n + 2)
	c.sendSound(n + 1)
	if first, second := sound(), sound(); first != n+1 || second != n+2 {
		t.Errorf("sound %d and %d, want %d and %d", first, second, n+1, n+2)
	}
}

// An offer that is refused by pion is no publisher that has come and gone.
func TestRefusedIsNotGone(t *testing.T) {
	h := startHouse(t)
	res, body := do(t, http.MethodPost, h.url, signalling.TypeSDP, crlf(strings.ReplaceAll(browserOffer, "a=fingerprint:", "a=finger:")))
	problemOf(t, res, body, http.StatusBadRequest)
	h.endpoint.Close()
	close(h.said)
	var all []string
	for m := range h.said {
		all = append(all, m)
	}
	if want := []string{"publisher refused"}; !slices.Equal(all, want) {
		t.Errorf("the log says %q, want %q", all, want)
	}
}

// loggers implements logging.LoggerFactory.
type loggers func(scope string) logging.LeveledLogger

func (l loggers) NewLogger(scope string) logging.LeveledLogger { return l(scope) }

// What handles packets has our log: pion's own goes to the standard error.
func TestInterceptorsLog(t *testing.T) {
	var asked []string
	_, registry, err := offer{}.engine(loggers(func(scope string) logging.LeveledLogger {
		asked = append(asked, scope)
		return signalling.Logger{Log: slog.New(slog.DiscardHandler)}.NewLogger(scope)
	}))
	if err != nil {
		t.Fatal(err)
	}
	built, err := registry.Build("test")
	if err != nil {
		t.Fatal(err)
	}
	defer built.Close()
	for _, scope := range []string{"twcc_sender_interceptor", "receiver_interceptor"} {
		if !slices.Contains(asked, scope) {
			t.Errorf("%s logs elsewhere; %q do not", scope, asked)
		}
	}
}
