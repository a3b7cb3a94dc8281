package rtsp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/rtpin/rtptest"
)

func newPull(t *testing.T, cfg PullConfig) *Pull {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "cam1"
	}
	p, err := NewPull(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// playing waits until the reader is active: gortsplib does not say, so the camera sends until something comes.
func playing(t *testing.T, c *camera, out *rtptest.Collector) {
	t.Helper()
	enc := rtptest.Encoder(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(waitLimit)
	for n := 0; ; n++ {
		c.send(t, enc, n, [][]byte{rtptest.IDR(n, 10)})
		select {
		case <-out.Packets:
			return
		case <-tick.C:
		case <-deadline:
			t.Fatal("nothing arrives")
		}
	}
}

func TestPullTransports(t *testing.T) {
	udp, tcp := gortsplib.TransportUDP, gortsplib.TransportTCP
	for _, c := range []struct {
		name      string
		transport Transport
		noUDP     bool
		want      gortsplib.Transport
	}{
		{"auto", "", false, udp},
		{"udp", UDP, false, udp},
		{"tcp", TCP, false, tcp},
		{"auto, camera refuses UDP", Auto, true, tcp},
	} {
		t.Run(c.name, func(t *testing.T) {
			cam := startCamera(t, session(rtptest.H264(), rtptest.Opus()), func(cam *camera) { cam.noUDP = c.noUDP })
			p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: c.transport})
			out := rtptest.NewCollector()
			rtptest.Start(t, p, out)
			if got := rtptest.Receive(t, cam.transports, "PLAY"); got != c.want {
				t.Errorf("transport %v, want %v", got, c.want)
			}
			tracks := rtptest.Receive(t, out.Opened, "tracks")
			if len(tracks) != 2 || tracks[0].Width != 1920 || tracks[0].Height != 1080 || len(tracks[0].ParameterSets) != 2 {
				t.Errorf("tracks %+v", tracks)
			}
			if a := tracks[1]; a.ID != 1 || a.Codec != "opus" || a.ClockRate != 48000 || a.RTP.RTPMap != "opus/48000/2" || a.RTP.PayloadType != 97 {
				t.Errorf("audio track %+v", a)
			}
			playing(t, cam, out)
			cam.sendAudio(t, 0)
			for {
				if got := rtptest.Receive(t, out.Packets, "sound"); got.Track == 1 {
					if string(got.Data) != "\xfc\x00" || !got.Marker || !got.Discontinuity || !got.Keyframe {
						t.Errorf("sound %+v", got)
					}
					break
				}
			}
		})
	}
}

// Nothing arrives over UDP: the camera sends only once somebody reads over TCP.
func TestPullFallsBackToTCPAndRemembers(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	var logs logBuffer
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Log: logs.logger()})
	out := rtptest.NewCollector()
	stop, _ := rtptest.Start(t, p, out)
	if got := rtptest.Receive(t, cam.transports, "PLAY"); got != gortsplib.TransportUDP {
		t.Fatalf("first transport %v", got)
	}
	rtptest.Receive(t, out.Opened, "tracks")
	if got := rtptest.Receive(t, cam.transports, "second PLAY"); got != gortsplib.TransportTCP {
		t.Fatalf("second transport %v", got)
	}
	rtptest.Receive(t, out.Opened, "tracks again, which arms the watchdog anew")
	playing(t, cam, out)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	rtptest.Start(t, p, rtptest.NewCollector())
	if got := rtptest.Receive(t, cam.transports, "PLAY of the next connection"); got != gortsplib.TransportTCP {
		t.Errorf("next connection over %v", got)
	}
	if n := strings.Count(logs.String(), "using TCP"); n != 1 {
		t.Errorf("said %d times that it uses TCP", n)
	}
}

func TestPullPrependsParameterSetsOfTheDescription(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	var d rtptest.Drops
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP, OnDrop: d.Add})
	out := rtptest.NewCollector()
	rtptest.Start(t, p, out)
	rtptest.Receive(t, cam.transports, "PLAY")
	playing(t, cam, out)
	enc := rtptest.Encoder(t)
	cam.send(t, enc, 1000, [][]byte{{9, 0xf0}, rtptest.IDR(1, 5000)})
	cam.send(t, enc, 1001, [][]byte{{9, 0xf0}, rtptest.Inter(2, 10)})
	for {
		pkt := rtptest.Receive(t, out.Packets, "picture")
		if len(pkt.Data) < 5000 {
			continue
		}
		if got := rtptest.Types(t, pkt.Data); got != "7 8 5" || !pkt.Keyframe {
			t.Errorf("keyframe has NAL units %s", got)
		}
		break
	}
	if pkt := rtptest.Receive(t, out.Packets, "picture"); rtptest.Types(t, pkt.Data) != "1" || pkt.Keyframe || pkt.Discontinuity {
		t.Errorf("second picture %s, %+v", rtptest.Types(t, pkt.Data), pkt)
	}
}

var hardPasswords = []string{"simple", "p@ss", "a#b!c%d", "100%", "x?y=z", "co:lon", "sp ace", "ünï", "%41", "a/b", `q"uote`}

func TestPullCredentials(t *testing.T) {
	for _, password := range hardPasswords {
		for name, method := range map[string]cameraOptions{"digest": digestOnly, "basic": basicOnly} {
			for form, cfg := range map[string]PullConfig{
				"fields":  {URL: "rtsp://%s/live", Username: "admin", Password: password},
				"encoded": {URL: "rtsp://" + strings.ReplaceAll(url.UserPassword("admin", password).String(), "%", "%%") + "@%s/live"},
				"raw":     {URL: "rtsp://admin:" + strings.ReplaceAll(password, "%", "%%") + "@%s/live"},
			} {
				if form == "raw" && (password == "a/b" || password == "%41") {
					continue // ambiguous: must be encoded
				}
				t.Run(name+" "+form+" "+password, func(t *testing.T) {
					cam := startCamera(t, session(rtptest.H264()), method, login("admin", password))
					cfg := cfg
					cfg.URL, cfg.Transport = fmt.Sprintf(cfg.URL, cam.addr), TCP
					rtptest.Start(t, newPull(t, cfg), rtptest.NewCollector())
					rtptest.Receive(t, cam.transports, "PLAY")
				})
			}
		}
	}
}

func TestPullErrorsSayTheFix(t *testing.T) {
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := refused.Addr().String()
	_ = refused.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, in the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	vp9 := &format.VP9{PayloadTyp: 96}
	for _, c := range []struct {
		name      string
		addr      string
		cam       []cameraOptions
		format    format.Format
		want      []string
		permanent bool
	}{
		{name: "no login", cam: []cameraOptions{login("u", "right")}, want: []string{": the camera answers 401 (Unauthorized): check username and password of stream cam1"}, permanent: true},
		{name: "no path", cam: []cameraOptions{func(c *camera) { c.status = base.StatusNotFound }}, want: []string{": the camera answers 404 (Not Found): check the path"}},
		{name: "codec", format: vp9, want: []string{"video VP9", "H.264, H.265 or MJPEG"}, permanent: true},
		{name: "no video", format: rtptest.Opus(), want: []string{"no video is offered", "audio Opus"}, permanent: true},
		{name: "refused", addr: closed, want: []string{"connection refused", closed}},
		{name: "silent", addr: silent.Addr().String(), want: []string{"does not answer OPTIONS: does the camera hang, or is this not its RTSP port"}},
		{name: "unknown host", addr: "camera.invalid:554", want: []string{"check the host name"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.addr == "" {
				f := c.format
				if f == nil {
					f = rtptest.H264()
				}
				c.addr = startCamera(t, session(f), c.cam...).addr
			}
			p := newPull(t, PullConfig{URL: "rtsp://viewer:s3cr3t-pw@" + c.addr + "/live", ReadTimeout: 300 * time.Millisecond})
			_, ended := rtptest.Start(t, p, rtptest.NewCollector())
			err := rtptest.Receive(t, ended, "error")
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range append(c.want, "stream cam1", "rtsp://"+c.addr+"/live") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "viewer") {
				t.Errorf("%q shows credentials", err)
			}
			if got := errors.Is(err, ingest.ErrPermanent); got != c.permanent {
				t.Errorf("permanent: %v", got)
			}
		})
	}
}

func TestPullIgnoresOtherMedias(t *testing.T) {
	second := rtptest.H264()
	second.PayloadTyp = 98
	meta := &format.Generic{PayloadTyp: 107, RTPMa: "vnd.onvif.metadata/90000"}
	if err := meta.Init(); err != nil {
		t.Fatal(err)
	}
	cam := startCamera(t, session(rtptest.H264(), rtptest.Opus(), second, meta))
	var logs logBuffer
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP, Log: logs.logger()})
	for range 2 {
		out := rtptest.NewCollector()
		stop, _ := rtptest.Start(t, p, out)
		if tracks := rtptest.Receive(t, out.Opened, "tracks"); len(tracks) != 2 {
			t.Errorf("tracks %+v", tracks)
		}
		_ = stop()
	}
	text := logs.String()
	if strings.Count(text, "ignored") != 1 || !strings.Contains(text, "vnd.onvif.metadata") || !strings.Contains(text, "a second video") {
		t.Errorf("log: %s", text)
	}
}

func TestPullReturnsTheOutputsError(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP})
	out := rtptest.NewCollector()
	out.Err = errOutput
	_, ended := rtptest.Start(t, p, out)
	rtptest.Receive(t, out.Opened, "tracks")
	enc := rtptest.Encoder(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		cam.send(t, enc, n, [][]byte{rtptest.IDR(n, 10)})
		select {
		case err := <-ended:
			if !errors.Is(err, errOutput) {
				t.Errorf("got %v", err)
			}
			return
		case <-tick.C:
		}
	}
}

func TestPullEndsWhenTheCameraHangsUp(t *testing.T) {
	cam := startCamera(t, session(rtptest.H264()))
	p := newPull(t, PullConfig{URL: "rtsp://" + cam.addr + "/live", Transport: TCP})
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, p, out)
	playing(t, cam, out)
	cam.hangUp()
	if err := rtptest.Receive(t, ended, "end"); err == nil || !strings.Contains(err.Error(), "stream cam1") {
		t.Errorf("got %v", err)
	}
}

var _ media.Output = (*rtptest.Collector)(nil)

// Credentials follow a redirect on the camera's own host only.
func TestRedirects(t *testing.T) {
	for _, c := range []struct {
		name, host, user string
		follows          bool
	}{
		{"same host, another port", "127.0.0.1", "admin", true},
		{"another host", "::ffff:127.0.0.1", "admin", false},
		{"another host, nothing to lose", "::ffff:127.0.0.1", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := startCamera(t, session(rtptest.H264()), login(c.user, "s3cr#t"))
			_, port, err := net.SplitHostPort(target.addr)
			if err != nil {
				t.Fatal(err)
			}
			cam := startCamera(t, session(rtptest.H264()), login(c.user, "s3cr#t"), func(cam *camera) {
				cam.status, cam.location = base.StatusFound, "rtsp://"+net.JoinHostPort(c.host, port)+"/live"
			})
			p := newPull(t, PullConfig{Name: "cam1", URL: "rtsp://" + cam.addr + "/live", Username: c.user, Password: "s3cr#t", Transport: TCP})
			out := rtptest.NewCollector()
			_, ended := rtptest.Start(t, p, out)
			if c.follows {
				rtptest.Receive(t, out.Opened, "tracks")
				return
			}
			err = rtptest.Receive(t, ended, "end")
			for _, want := range []string{"cam1", "redirects to " + net.JoinHostPort(c.host, port), "credentials for 127.0.0.1"} {
				if !errors.Is(err, ingest.ErrPermanent) || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			if len(target.requests) != 0 {
				t.Error("the other host was asked")
			}
		})
	}
}
