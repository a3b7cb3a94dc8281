package whip

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
	"rave/engine/signalling"
	"rave/ingest"
	"rave/ingest/publish"
	"rave/ingest/rtpin"
	"rave/ingest/rtpin/rtptest"
)

// picture waits for the next access unit of video, and returns it with its number.
func picture(t *testing.T, out *rtptest.Collector) (media.Packet, int) {
	t.Helper()
	for {
		p := rtptest.Receive(t, out.Packets, "picture")
		if p.Track == 0 {
			nals := rtptest.NALs(t, p.Data)
			return p, int(nals[len(nals)-1][2])
		}
	}
}

func TestPublish(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	c.send(0, keyframe(0, 3000)...)
	c.sendSound(0)
	tracks := rtptest.Receive(t, out.Opened, "tracks")
	if len(tracks) != 2 || tracks[0].Codec != media.H264 || tracks[0].Kind != media.Video || tracks[1].Codec != "opus" ||
		tracks[1].ID != 1 || tracks[1].ClockRate != 48000 || tracks[1].RTP.RTPMap != "opus/48000/2" {
		t.Errorf("tracks %+v", tracks)
	}
	if p, n := picture(t, out); n != 0 || !p.Keyframe || p.PTS < 0 || rtptest.Types(t, p.Data) != "7 8 5" {
		t.Errorf("picture %d: %s, %v", n, rtptest.Types(t, p.Data), p.PTS)
	}
	heard := false
	for n := 1; n <= 20; n++ {
		c.send(n, rtptest.Inter(n, 10))
		c.sendSound(n)
	}
	for pictures := 0; pictures < 20 || !heard; {
		p := rtptest.Receive(t, out.Packets, "packet")
		if p.Track == 1 {
			heard = heard || p.Data[0] == 0xfc
		} else {
			pictures++
		}
	}
	rtptest.Receive(t, c.plis, "request for a first keyframe")
	res, _ := do(t, http.MethodDelete, c.resource, "", "")
	if res.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %d", res.StatusCode)
	}
	if err := rtptest.Receive(t, ended, "end"); !errors.Is(err, ingest.ErrEnded) || !strings.Contains(err.Error(), "publisher left: it said goodbye") {
		t.Errorf("Run returned %v", err)
	}
	res, body := do(t, http.MethodDelete, c.resource, "", "")
	problemOf(t, res, body, http.StatusNotFound)
}

// What RFC 9725 wants of the answers.
func TestAnswers(t *testing.T) {
	h := startHouse(t)
	rtptest.Start(t, h.source, rtptest.NewCollector())
	c := newClient(t)
	res, answer := do(t, http.MethodPost, h.url, "application/sdp; charset=utf-8", c.offer())
	for name, want := range map[string]string{
		"Content-Type": "application/sdp", "Accept-Patch": "application/trickle-ice-sdpfrag", "Link": `<stun:stun.example.com:3478>; rel="ice-server"`,
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	location, etag := res.Header.Get("Location"), res.Header.Get("ETag")
	if res.StatusCode != http.StatusCreated || !strings.HasPrefix(location, "/cam1/whip/") || len(location) < len("/cam1/whip/")+32 ||
		len(etag) < 34 || etag[0] != '"' || strings.Contains(location, strings.Trim(etag, `"`)) {
		t.Errorf("%d, Location %q, ETag %q", res.StatusCode, location, etag)
	}
	for _, want := range []string{"a=recvonly", "H264/90000", "opus/48000/2", "a=candidate:", "nack pli", "transport-wide-cc", "rtx/90000"} {
		if !strings.Contains(answer, want) {
			t.Errorf("the answer has no %q:\n%s", want, answer)
		}
	}
	if strings.Contains(answer, "VP8") || strings.Contains(answer, "a=sendrecv") {
		t.Errorf("the answer has too much:\n%s", answer)
	}
	resource := strings.TrimSuffix(h.url, "/cam1/whip") + location
	const fragment = "a=mid:0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 1 typ host\r\n"
	for _, r := range []struct {
		name, method, url, contentType, body, match string
		want                                        int
	}{
		{"read the endpoint", http.MethodGet, h.url, "", "", "", http.StatusMethodNotAllowed},
		{"put to the endpoint", http.MethodPut, h.url, signalling.TypeSDP, "x", "", http.StatusMethodNotAllowed},
		{"delete the endpoint", http.MethodDelete, h.url, "", "", "", http.StatusMethodNotAllowed},
		{"read a session", http.MethodGet, resource, "", "", "", http.StatusMethodNotAllowed},
		{"no SDP", http.MethodPost, h.url, "text/plain", "x", "", http.StatusUnsupportedMediaType},
		{"too much", http.MethodPost, h.url, signalling.TypeSDP, strings.Repeat("v", signalling.MaxSDP+1), "", http.StatusRequestEntityTooLarge},
		{"another session", http.MethodPatch, resource + "0", signalling.TypeFragment, fragment, etag, http.StatusNotFound},
		{"no ETag", http.MethodPatch, resource, signalling.TypeFragment, fragment, "", http.StatusPreconditionRequired},
		{"another ETag", http.MethodPatch, resource, signalling.TypeFragment, fragment, `"x"`, http.StatusPreconditionFailed},
		{"ICE restart", http.MethodPatch, resource, signalling.TypeFragment, fragment, "*", http.StatusUnprocessableEntity},
		{"no fragment", http.MethodPatch, resource, signalling.TypeSDP, fragment, etag, http.StatusUnsupportedMediaType},
		{"nonsense", http.MethodPatch, resource, signalling.TypeFragment, "a=candidate:nonsense\r\n", etag, http.StatusBadRequest},
		{"many candidates", http.MethodPatch, resource, signalling.TypeFragment, strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 1 typ host\r\n", 65), etag, http.StatusBadRequest},
	} {
		t.Run(r.name, func(t *testing.T) {
			var header []string
			if r.match != "" {
				header = []string{"If-Match", r.match}
			}
			res, body := do(t, r.method, r.url, r.contentType, r.body, header...)
			problemOf(t, res, body, r.want)
			if r.want == http.StatusMethodNotAllowed && res.Header.Get("Allow") == "" {
				t.Error("no Allow")
			}
		})
	}
	res, _ = do(t, http.MethodOptions, h.url, "", "")
	if res.StatusCode != http.StatusNoContent || res.Header.Get("Accept-Post") != "application/sdp" {
		t.Errorf("OPTIONS: %d %v", res.StatusCode, res.Header)
	}
}

// A publisher that finds its addresses after its offer.
func TestTrickle(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	rtptest.Start(t, h.source, out)
	c := newClient(t)
	var without, fragment strings.Builder
	fragment.WriteString("a=mid:0\r\n")
	for line := range strings.Lines(c.offer()) {
		if strings.HasPrefix(line, "a=candidate:") {
			fragment.WriteString(strings.ReplaceAll(line, "\r\n", "") + "\r\n")
		} else if !strings.HasPrefix(line, "a=end-of-candidates") {
			without.WriteString(line)
		}
	}
	c.post(h, without.String())
	res, body := do(t, http.MethodPatch, c.resource, signalling.TypeFragment, fragment.String(), "If-Match", c.etag)
	if res.StatusCode != http.StatusNoContent {
		t.Fatalf("PATCH: %d %s", res.StatusCode, body)
	}
	rtptest.Receive(t, c.ready, "connection")
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
}

// Two want to publish: the second is told so and changes nothing, whichever way the first has come.
func TestTwoPublishers(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, h.source, out)
	first, second := newClient(t), newClient(t)
	first.publish(h)
	offer := second.offer()
	res, body := do(t, http.MethodPost, h.url, signalling.TypeSDP, offer)
	if detail := problemOf(t, res, body, http.StatusConflict); !strings.Contains(detail, "stream cam1 has a publisher already: stop it first") || res.Header.Get("Retry-After") == "" {
		t.Errorf("%q", body)
	}
	if _, err := h.source.Take(func() {}); !errors.Is(err, publish.ErrBusy) {
		t.Errorf("one that does not come by WHIP: %v", err)
	}
	first.send(0, keyframe(0, 10)...)
	before, _ := picture(t, out)
	first.close() // says goodbye by DTLS
	rtptest.Receive(t, ended, "end")

	rtptest.Start(t, h.source, out)
	for { // until nothing is left of the first
		if res, body = do(t, http.MethodPost, h.url, signalling.TypeSDP, offer); res.StatusCode == http.StatusCreated {
			break
		}
		problemOf(t, res, body, http.StatusConflict)
	}
	do(t, http.MethodDelete, strings.TrimSuffix(h.url, "/cam1/whip")+res.Header.Get("Location"), "", "")
	other, err := h.source.Take(func() {})
	if err != nil {
		t.Fatal(err)
	}
	res, body = do(t, http.MethodPost, h.url, signalling.TypeSDP, offer)
	problemOf(t, res, body, http.StatusConflict)
	other.Leave(nil)
	second.connect(h, offer)
	second.send(0, keyframe(1, 10)...)
	if p, n := picture(t, out); n != 1 || p.PTS <= before.PTS || !p.Discontinuity {
		t.Errorf("picture %d at %v, after one at %v", n, p.PTS, before.PTS)
	}
}

// A publisher that is killed says nothing. The watchdog ends its turn, and it can come back: its first keyframe arrives.
func TestKilledAndBack(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	states := make(chan ingest.State, 64)
	keep(t, h.source, ingest.Policy{VideoTimeout: 300 * time.Millisecond, OnState: func(s ingest.State) { states <- s }}, out)
	first := newClient(t)
	first.publish(h)
	first.send(0, keyframe(0, 10)...)
	before, _ := picture(t, out)
	_ = first.socket.Close()
	for {
		if s := rtptest.Receive(t, states, "end of the first"); s.Phase == ingest.Connecting && s.Err != nil {
			break
		}
	}
	second := newClient(t)
	offer := second.offer()
	for {
		res, body := do(t, http.MethodPost, h.url, signalling.TypeSDP, offer)
		if res.StatusCode == http.StatusCreated {
			do(t, http.MethodDelete, strings.TrimSuffix(h.url, "/cam1/whip")+res.Header.Get("Location"), "", "")
			break
		}
		problemOf(t, res, body, http.StatusConflict)
	}
	third := newClient(t)
	third.publish(h)
	third.send(0, keyframe(7, 10)...)
	if p, n := picture(t, out); n != 7 || p.PTS <= before.PTS {
		t.Errorf("picture %d at %v", n, p.PTS)
	}
}

// A tenth of the packets is lost: each is asked for again, and no picture is missing.
func TestLossIsMended(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	const pictures, every = 100, 10 * time.Millisecond
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
	c.loss.share.Store(100)
	tick := time.NewTicker(every) // its rate
	defer tick.Stop()
	for n := 1; n <= pictures; n++ {
		<-tick.C
		if n == pictures {
			c.loss.share.Store(0)
		}
		c.send(n, rtptest.Inter(n, 3000))
	}
	for n := 1; n <= pictures; n++ {
		if p, got := picture(t, out); got != n || p.Lost {
			t.Fatalf("picture %d, want %d; drops %v", got, n, &h.drops)
		}
	}
	if lost, asked := c.loss.lost.Load(), c.nacks.Load(); lost < pictures/5 || asked < lost || asked > 5*lost {
		t.Errorf("%d packets lost, %d asked for", lost, asked)
	}
	if n := h.drops.Get(rtpin.DropLoss); n != 0 {
		t.Errorf("drops %v", &h.drops)
	}
}

// What stays away is waited for no longer than the bound, costs its picture, and a keyframe is asked for.
func TestLossThatStays(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
	rtptest.Receive(t, c.plis, "first request")
	c.loss.again.Store(true)
	c.loss.share.Store(1000)
	c.send(1, rtptest.Inter(1, 10))
	c.loss.share.Store(0)
	gap := time.Now()
	c.send(2, rtptest.Inter(2, 10))
	p, n := picture(t, out)
	if waited := time.Since(gap); n != 2 || !p.Lost || waited < patience || waited > patience+2*time.Second {
		t.Errorf("picture %d after %v, lost %v", n, waited, p.Lost)
	}
	if h.drops.Get(rtpin.DropLoss) != 1 {
		t.Errorf("drops %v", &h.drops)
	}
	rtptest.Receive(t, c.plis, "request for a keyframe")
}

// Keyframes are asked for as a session begins, in time, and soon after a loss, but not more often than the limit.
func TestKeyframesAreAskedFor(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name  string
		lost  []time.Duration
		until time.Duration
		want  []time.Duration
	}{
		{"nothing lost", nil, 5 * time.Second, []time.Duration{0, keyframePeriod, 2 * keyframePeriod}},
		{"at once", []time.Duration{time.Millisecond}, time.Second, []time.Duration{0, keyframeLimit}},
		{"later", []time.Duration{time.Second}, 2 * time.Second, []time.Duration{0, time.Second}},
		{"often", []time.Duration{600 * ms, 610 * ms, 620 * ms}, 1600 * ms, []time.Duration{0, 600 * ms, 600*ms + keyframeLimit}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				s := &session{damaged: make(chan struct{}, 1), endpoint: &Endpoint{cfg: Config{Source: publish.New(publish.Config{Name: "cam1"})}}}
				s.ctx, s.end = context.WithCancelCause(context.Background())
				for _, at := range c.lost {
					time.AfterFunc(at, func() { s.dropped(rtpin.DropLoss, 1) })
				}
				time.AfterFunc(c.until, func() { s.end(errLeft) })
				var got []time.Duration
				s.askKeyframes(func() { got = append(got, time.Since(begin)) })
				if !slices.Equal(got, c.want) {
					t.Errorf("asked at %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestRequests(t *testing.T) {
	now := time.Unix(1000, 0)
	r := requests{}
	for i, c := range []struct {
		after   time.Duration
		missing []uint16
		want    []uint16
	}{
		{0, []uint16{5, 6}, []uint16{5, 6}},
		{askAgain - 1, []uint16{5, 6, 9}, []uint16{9}},
		{askAgain, []uint16{6, 9}, []uint16{6}},
		{2*askAgain - 1, []uint16{6, 9}, []uint16{9}},
		{2 * askAgain, nil, nil},
		{2 * askAgain, []uint16{6}, []uint16{6}}, // of the next round of numbers
	} {
		if got := r.due(c.missing, now.Add(c.after)); !slices.Equal(got, c.want) {
			t.Errorf("%d: asked for %v, want %v", i, got, c.want)
		}
	}
	if len(r) != 1 {
		t.Errorf("%d numbers are kept", len(r))
	}
}

// Endpoints that are closed end their sessions, and let nobody in.
func TestClose(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
	h.endpoint.Close()
	rtptest.Receive(t, ended, "end")
	res, body := do(t, http.MethodPost, h.url, signalling.TypeSDP, newClient(t).offer())
	problemOf(t, res, body, http.StatusNotFound)
}

// Who may not publish any more is sent away, and told so in the log; one that comes too late does not even begin.
func TestGrantEnds(t *testing.T) {
	h := startHouse(t)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, h.source, out)
	c := newClient(t)
	c.publish(h)
	c.send(0, keyframe(0, 10)...)
	picture(t, out)
	h.revoke(errors.New("the users have changed"))
	if err := rtptest.Receive(t, ended, "end"); err == nil || !strings.Contains(err.Error(), "the users have changed") {
		t.Errorf("it ended: %v", err)
	}
	late := newClient(t)
	late.post(h, late.offer())
	for { // until nothing is left of it
		if res, _ := do(t, http.MethodDelete, late.resource, "", ""); res.StatusCode == http.StatusNotFound {
			break
		}
	}
	turn, err := h.source.Take(func() {})
	if err != nil {
		t.Fatalf("the stream is not free: %v", err)
	}
	turn.Leave(nil)
}

// keep runs a source until the test ends.
func keep(t *testing.T, src media.Source, policy ingest.Policy, out media.Output) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ingest.Keep(ctx, src, policy, out)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}
