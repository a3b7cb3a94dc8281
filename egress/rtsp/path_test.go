package rtsp

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/engine/media"
)

func TestReaderGetsEverythingInOrder(t *testing.T) {
	for name, tr := range map[string]gortsplib.Transport{"tcp": gortsplib.TransportTCP, "udp": gortsplib.TransportUDP} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, Config{})
			joined := make(chan struct{}, 1)
			p := s.Path("cam1", PathConfig{OnReader: func() { joined <- struct{}{} }})
			mustOpen(t, p, videoTrack(), audioTrack())
			pl := newPlayer(tr)
			pl.play(t, pathURL(s, "cam1"))
			receive(t, joined, "request for a keyframe")
			mustWrite(t, p, picture(0, 100, false), sound(0), picture(1, 30000, true), sound(2), picture(2, 100, false))
			for _, want := range []int{1, 2} {
				if got := receive(t, pl.units, "picture"); got != want {
					t.Errorf("picture %d, want %d", got, want)
				}
			}
			if a := receive(t, pl.audio, "sound"); a.Payload[2] != 2 || a.PayloadType != 97 {
				t.Errorf("sound packet %v: what came before the picture must not be sent", a)
			}
			if st := p.Stats(); st.Readers != 1 || st.Frames != 3 || st.Bytes == 0 || st.Dropped["before_keyframe"] != 1 {
				t.Errorf("stats %+v", st)
			}
			f := pl.desc.Medias[0].Formats[0].(*format.H264)
			if string(f.SPS) != string(testSPS) || string(f.PPS) != string(testPPS) || f.PacketizationMode != 1 {
				t.Errorf("description %+v", f)
			}
		})
	}
}

func TestLateJoinerStartsWithTheGroupOfPictures(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1/original", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack(), audioTrack())
	mustWrite(t, p, picture(0, 10, true), picture(1, 10, false), picture(2, 10, true), sound(0), picture(3, 10, false), picture(4, 10, false))
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1/original"))
	for _, want := range []int{2, 3, 4} {
		if got := receive(t, pl.units, "picture"); got != want {
			t.Errorf("picture %d, want %d", got, want)
		}
	}
	mustWrite(t, p, picture(5, 10, false))
	if got := receive(t, pl.units, "picture"); got != 5 {
		t.Errorf("picture %d, want 5", got)
	}
}

func TestDescribeBeforeOpenSaysWhy(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{})
	reason := "camera cam1 has not been seen yet: connection refused (rtsp://cam1.lan:554/live)"
	for _, c := range []struct{ path, reason, want string }{
		{"cam1", "", "cam1 has not been seen yet"},
		{"cam1", reason, reason},
		{"nothing", "", `no stream "nothing"`},
	} {
		if c.reason != "" {
			p.SetUnavailable(c.reason)
		}
		err := newPlayer(gortsplib.TransportTCP).tryPlay(pathURL(s, c.path))
		if err == nil || !strings.Contains(err.Error(), "404") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want 404 with %q", err, c.want)
		}
	}
	mustOpen(t, p, videoTrack())
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := newPlayer(gortsplib.TransportTCP).tryPlay(pathURL(s, "cam1")); err == nil {
		t.Error("a closed path was served")
	}
}

func TestSameFormatKeepsReaders(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack(), audioTrack())
	mustWrite(t, p, picture(0, 10, true))
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	receive(t, pl.units, "picture")

	other := videoTrack()
	otherSPS := append([]byte(nil), testSPS...)
	otherSPS[3]++ // another level
	other.ParameterSets = [][]byte{otherSPS, testPPS}
	mustOpen(t, p, other, audioTrack())
	mustWrite(t, p, picture(1, 10, false), picture(2, 10, true))
	if got := receive(t, pl.units, "picture"); got != 2 {
		t.Errorf("after a reconnect picture %d came, want the keyframe 2", got)
	}
	late := newPlayer(gortsplib.TransportTCP)
	late.play(t, pathURL(s, "cam1"))
	if f := late.desc.Medias[0].Formats[0].(*format.H264); string(f.SPS) != string(testSPS) {
		t.Errorf("the keyframe's own SPS must be described, got % x", f.SPS)
	}

	alaw := media.Track{ID: 1, Kind: media.Audio, Codec: "pcma", ClockRate: 8000, RTP: media.RTPFormat{PayloadType: 8}}
	mustOpen(t, p, other, alaw)
	if err := pl.c.Wait(); err == nil {
		t.Error("the reader must be disconnected")
	}
	eventually(t, "no readers", func() bool { return p.Stats().Readers == 0 })
	again := newPlayer(gortsplib.TransportTCP)
	again.play(t, pathURL(s, "cam1"))
	mustWrite(t, p, picture(3, 10, true))
	if got := receive(t, again.units, "picture"); got != 3 {
		t.Errorf("picture %d, want 3", got)
	}
}

func TestAbruptDisconnectRemovesTheReader(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{})
	mustOpen(t, p, videoTrack())
	for range 3 {
		pl := newPlayer(gortsplib.TransportTCP)
		pl.play(t, pathURL(s, "cam1"))
		eventually(t, "one reader", func() bool { return p.Stats().Readers == 1 })
		pl.c.Close()
		eventually(t, "no reader", func() bool { return p.Stats().Readers == 0 })
	}
}

func TestPauseAndPlayAgain(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack())
	mustWrite(t, p, picture(0, 10, true))
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	receive(t, pl.units, "picture")
	if _, err := pl.c.Pause(); err != nil {
		t.Fatal(err)
	}
	if n := p.Stats().Readers; n != 0 {
		t.Errorf("%d readers while paused", n)
	}
	mustWrite(t, p, picture(1, 10, true))
	if _, err := pl.c.Play(nil); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, pl.units, "picture"); got != 1 {
		t.Errorf("picture %d, want 1", got)
	}
}

func TestWriteErrors(t *testing.T) {
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{})
	if err := p.Write(picture(0, 1, true)); err == nil {
		t.Error("a path that is not open took a packet")
	}
	mustOpen(t, p, videoTrack())
	if err := p.Write(sound(0)); err == nil {
		t.Error("a packet of an unknown track was taken")
	}
	bad := videoTrack()
	bad.Codec = "vp9"
	if err := p.Open([]media.Track{bad}); err == nil || !strings.Contains(err.Error(), "vp9") {
		t.Errorf("unknown codec: %v", err)
	}
}

// strangeTrack is sound that SDP cannot carry.
func strangeTrack() media.Track {
	return media.Track{ID: 2, Kind: media.Audio, Codec: "opus", ClockRate: 48000,
		RTP: media.RTPFormat{PayloadType: 98, RTPMap: "opus/48000/many"}}
}

func TestSoundThatCannotBeDescribedIsLeftOut(t *testing.T) {
	var logs logBuffer
	told := map[string]int{}
	s := startServer(t, Config{
		Log: slog.New(slog.NewTextHandler(&logs, nil)), OnDrop: func(_, reason string, n int) { told[reason] += n },
	})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	for range 3 { // reconnects
		mustOpen(t, p, strangeTrack(), videoTrack(), audioTrack())
	}
	strange := sound(0)
	strange.Track = 2
	mustWrite(t, p, strange, picture(0, 10, true), strange)
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	if n := len(pl.desc.Medias); n != 2 {
		t.Errorf("%d medias are described, want 2", n)
	}
	receive(t, pl.units, "picture")
	mustWrite(t, p, sound(1))
	if a := receive(t, pl.audio, "sound"); a.Payload[2] != 1 {
		t.Errorf("sound %v", a)
	}
	if n := p.Stats().Dropped["unsupported_track"]; n != 2 || told["unsupported_track"] != 2 {
		t.Errorf("%d packets counted, %d told, want 2", n, told["unsupported_track"])
	}
	if text := logs.String(); strings.Count(text, "left out") != 1 || !strings.Contains(text, "opus/48000/many") || !strings.Contains(text, "stream=cam1") {
		t.Errorf("log: %s", text)
	}
	if err := s.Path("cam2", PathConfig{}).Open([]media.Track{strangeTrack()}); err == nil {
		t.Error("a path with nothing to serve was opened")
	}
}

// Video and sound come from goroutines of their own: each track keeps its order.
func TestTracksAreWrittenAtOnce(t *testing.T) {
	const n = 200
	s := startServer(t, Config{QueueUnits: 3 * n})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack(), audioTrack())
	mustWrite(t, p, picture(0, 10, true))
	pl := newPlayer(gortsplib.TransportTCP)
	pl.play(t, pathURL(s, "cam1"))
	receive(t, pl.units, "picture")
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; i <= n; i++ {
			if err := p.Write(picture(i, 3000, i%10 == 0)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := 1; i <= n; i++ {
			if err := p.Write(sound(i)); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	lastPicture, lastSound := 0, 0
	for lastPicture < n || lastSound < n {
		select {
		case got := <-pl.units:
			if lastPicture++; got != lastPicture {
				t.Fatalf("picture %d, want %d", got, lastPicture)
			}
		case a := <-pl.audio:
			if lastSound++; int(a.Payload[2]) != lastSound {
				t.Fatalf("sound %d, want %d", a.Payload[2], lastSound)
			}
		case <-time.After(waitLimit):
			t.Fatalf("picture %d and sound %d were the last", lastPicture, lastSound)
		}
	}
}
