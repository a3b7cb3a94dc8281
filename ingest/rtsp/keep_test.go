package rtsp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/publish"
	"rave/ingest/rtpin/rtptest"
)

// startKeep runs Keep until the test ends and returns its states.
func startKeep(t *testing.T, src media.Source, p ingest.Policy, out media.Output) <-chan ingest.State {
	t.Helper()
	states := make(chan ingest.State, 256)
	p.Name = "cam1"
	p.OnState = func(s ingest.State) { states <- s }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ingest.Keep(ctx, src, p, out) }()
	t.Cleanup(func() {
		cancel()
		if err := rtptest.Receive(t, done, "end of Keep"); !errors.Is(err, context.Canceled) {
			t.Errorf("Keep returned %v", err)
		}
	})
	return states
}

func waitFor(t *testing.T, states <-chan ingest.State, phase ingest.Phase) ingest.State {
	t.Helper()
	for {
		if s := rtptest.Receive(t, states, phase.String()); s.Phase == phase {
			return s
		}
	}
}

// The camera's sound goes on and its pictures do not: a new connection is made.
func TestWatchdogSeesSilentVideo(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264(), rtptest.Opus()))
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP})
	out := rtptest.NewCollector()
	states := startKeep(t, p, ingest.Policy{Camera: p.Redacted(), VideoTimeout: 300 * time.Millisecond, Min: 10 * time.Millisecond}, out)
	waitFor(t, states, ingest.Online)
	playing(t, cam, out)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // sound only
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-tick.C:
				cam.sendAudio(t, n)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	s := waitFor(t, states, ingest.Waiting)
	if !strings.Contains(s.Err.Error(), "no video for 300ms although the connection lives: check the encoder of the camera ("+p.Redacted()+") of stream cam1") {
		t.Errorf("given up because of %v", s.Err)
	}
	waitFor(t, states, ingest.Online)
	playing(t, cam, out)
}

// A publisher that fell silent is disconnected and comes back at once: its first keyframe arrives.
func TestPublisherThatComesBackLosesNothing(t *testing.T) {
	p := publish.New(publish.Config{Name: "cam1"})
	r := startRecorder(t, p)
	out := rtptest.NewCollector()
	states := startKeep(t, p, ingest.Policy{VideoTimeout: 200 * time.Millisecond, Min: time.Minute, Max: time.Minute}, out)
	desc := session(rtptest.H264())
	first, err := r.publish(t, desc)
	if err != nil {
		t.Fatal(err)
	}
	sendPicture(t, first, desc, 0)
	rtptest.Receive(t, out.Packets, "picture")
	if err := first.Wait(); err == nil {
		t.Error("the silent publisher was not disconnected")
	}
	waitFor(t, states, ingest.Online)
	if s := waitFor(t, states, ingest.Connecting); s.Err == nil || !strings.Contains(s.Err.Error(), "check the encoder of the publisher of stream cam1") {
		t.Errorf("disconnected because of %v", s.Err)
	}
	var second *gortsplib.Client
	for second == nil { // until the server has seen the first one off
		if second, err = r.publish(t, desc); err != nil {
			second = nil
		}
	}
	sendPicture(t, second, desc, 500)
	if pkt := rtptest.Receive(t, out.Packets, "the second's first picture"); !pkt.Keyframe || !pkt.Discontinuity {
		t.Errorf("%+v", pkt)
	}
}

// A camera that restarts with another clock: the stream's time goes on, and a gap is marked.
func TestReconnectNeverRunsBackwards(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP})
	out := rtptest.NewCollector()
	states := startKeep(t, p, ingest.Policy{Min: 10 * time.Millisecond}, out)
	last := time.Duration(-1)
	start := 5000
	for range 3 {
		waitFor(t, states, ingest.Online)
		rtptest.Receive(t, cam.transports, "PLAY")
		enc := rtptest.Encoder(t)
		n, first := start, true
		tick := time.NewTicker(5 * time.Millisecond)
		for got := 0; got < 10; {
			cam.send(t, enc, n, [][]byte{rtptest.IDR(n, 10)})
			n++
			select {
			case pkt := <-out.Packets:
				if pkt.PTS <= last || pkt.Discontinuity != first {
					t.Errorf("picture at %v after %v, discontinuity %v", pkt.PTS, last, pkt.Discontinuity)
				}
				last, first = pkt.PTS, false
				got++
			case <-tick.C:
			}
		}
		tick.Stop()
		start -= 2000 // the next connection's clock is behind this one's
		cam.disconnect(t)
		for len(out.Packets) > 0 {
			last = max(last, (<-out.Packets).PTS)
		}
	}
}

// Whatever goes wrong, credentials are in no log line, error or state.
func TestCredentialsAreNeverSaid(t *testing.T) {
	const user, password = "operator", "s3cr#t!p@ss%w"
	urls := map[string]string{
		"refused":     "rtsp://" + user + ":" + password + "@127.0.0.1:1/live",
		"no host":     "rtsp://" + user + ":" + password + "@no-such-host.invalid/live",
		"bad port":    "rtsp://" + user + ":" + password + "@cam:port/live",
		"bad scheme":  "http://" + user + ":" + password + "@cam/live",
		"bad escape":  "rtsp://" + user + ":" + password + "@cam/%zz",
		"raw slash":   "rtsp://" + user + ":" + password + "/x@cam/live",
		"wrong login": "", "404": "", "codec": "", "works": "", "camera that echoes": "",
	}
	for name, u := range urls {
		t.Run(name, func(t *testing.T) {
			var logs logBuffer
			if u == "" {
				f := format.Format(rtptest.H264())
				opts := []cameraOptions{login(user, password)}
				switch name {
				case "wrong login":
					opts = []cameraOptions{login(user, "other")}
				case "404":
					opts = append(opts, func(c *camera) { c.status = 404 })
				case "camera that echoes":
					opts = append(opts, func(c *camera) {
						c.status, c.message = 503, "busy: rtsp://"+user+":"+password+"@cam ("+password+")"
					})
				case "codec":
					f = &format.VP8{PayloadTyp: 96}
				}
				u = fmt.Sprintf("rtsp://%s:%s@%s/live", user, password, startCamera(t, session(f), opts...).addr)
			}
			said := speak(t, u, &logs)
			for _, secret := range []string{password, "s3cr", "p@ss", "p%40ss", user} {
				if strings.Contains(said, secret) {
					t.Errorf("%q is in: %s", secret, said)
				}
			}
			if !strings.Contains(said, "cam1") {
				t.Errorf("the stream is not named: %s", said)
			}
		})
	}
}

// speak lets a source run into its trouble and returns everything that was said.
func speak(t *testing.T, u string, logs *logBuffer) string {
	t.Helper()
	p, err := NewPull(PullConfig{Name: "cam1", URL: u, Transport: TCP, ReadTimeout: 300 * time.Millisecond, Log: logs.logger()})
	if err != nil {
		return err.Error() + ingest.RedactURL(u)
	}
	said := p.Redacted()
	states := startKeep(t, p, ingest.Policy{Log: logs.logger(), Min: time.Millisecond}, rtptest.NewCollector())
	for phase := ingest.Connecting; phase == ingest.Connecting; {
		s := rtptest.Receive(t, states, "state")
		phase = s.Phase
		said += fmt.Sprintf("%+v", s)
		if s.Err != nil {
			said += s.Err.Error() + fmt.Sprintf("%#v", errors.Unwrap(s.Err))
		}
	}
	return said + logs.String()
}
