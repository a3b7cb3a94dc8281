package ingest

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/engine/media"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sender makes stamps of a 25 frames/s camera.
type sender struct {
	c   *Clock
	rtp uint32
	now time.Time
}

func (s *sender) video(rtp uint32) (time.Duration, bool, bool) {
	return s.c.Map(Stamp{Track: 0, Kind: media.Video, RTP: rtp, Rate: 90000, Arrival: s.now})
}

// frame sends the next picture, 40 ms after the one before.
func (s *sender) frame() (time.Duration, bool, bool) {
	s.rtp += 3600
	s.now = s.now.Add(40 * time.Millisecond)
	return s.video(s.rtp)
}

func newSender(rtp uint32) *sender { return &sender{c: &Clock{}, rtp: rtp, now: epoch} }

func expect(t *testing.T, what string, pts, want time.Duration, disc, wantDisc, ok bool) {
	t.Helper()
	if pts != want || disc != wantDisc || !ok {
		t.Errorf("%s: %v, discontinuity %v, ok %v; want %v, %v", what, pts, disc, ok, want, wantDisc)
	}
}

func TestClockRunsWithTheSender(t *testing.T) {
	s := newSender(0xffffffff - 3600*2) // wraps soon
	for i := range 10 {
		pts, disc, ok := s.frame()
		expect(t, "frame", pts, time.Duration(i)*40*time.Millisecond, disc, i == 0, ok)
	}
}

func TestClockReconnect(t *testing.T) {
	for _, c := range []struct {
		name string
		away time.Duration // how long nothing came
		held time.Duration // up to when the last picture was held; 0: it was not
		want time.Duration // time of the first frame afterwards
	}{
		{"at once: one frame later", 0, 0, 400 * time.Millisecond},
		{"after a while: the wall time", 10 * time.Second, 0, 10*time.Second + 360*time.Millisecond},
		{"after a while in which others ran ahead: after them", 10 * time.Second, 12 * time.Second, 12*time.Second + 40*time.Millisecond},
		{"after a while in which others came nowhere", 10 * time.Second, 9 * time.Second, 10*time.Second + 360*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSender(1)
			for range 10 {
				s.frame()
			}
			s.c.Reach(c.held)
			s.c.Connect()
			s.rtp = 77777 // another base
			s.now = s.now.Add(c.away - 40*time.Millisecond)
			pts, disc, ok := s.frame()
			expect(t, "first", pts, c.want, disc, true, ok)
			pts, disc, ok = s.frame()
			expect(t, "second", pts, c.want+40*time.Millisecond, disc, false, ok)
		})
	}
}

// A burst that arrives faster than it plays leaves stream time ahead of wall time; a reconnect must not go back.
func TestClockReconnectAfterABurst(t *testing.T) {
	s := newSender(1)
	var last time.Duration
	for range 100 {
		s.rtp += 3600
		last, _, _ = s.video(s.rtp) // 4 s of pictures at one moment
	}
	s.c.Connect()
	pts, disc, ok := s.frame()
	expect(t, "first", pts, last+40*time.Millisecond, disc, true, ok)
}

func TestClockBFrames(t *testing.T) {
	s := newSender(0)
	var got []time.Duration
	for _, display := range []uint32{0, 3, 1, 2, 6, 4, 5} {
		s.now = s.now.Add(40 * time.Millisecond)
		pts, disc, ok := s.video(display * 3600)
		if disc != (display == 0) || !ok {
			t.Errorf("picture %d: discontinuity %v, ok %v", display, disc, ok)
		}
		got = append(got, pts/(40*time.Millisecond))
	}
	for i, want := range []time.Duration{0, 3, 1, 2, 6, 4, 5} {
		if got[i] != want {
			t.Errorf("times %v", got)
			break
		}
	}
	// After a reconnect that opens with leading pictures none goes back behind what was given.
	s.c.Connect()
	for _, display := range []uint32{103, 101, 102} {
		if pts, _, ok := s.video(display * 3600); ok && pts <= 6*40*time.Millisecond {
			t.Errorf("picture %d at %v", display, pts)
		}
	}
}

func TestClockDropsWhatPrecedesTheStart(t *testing.T) {
	s := newSender(36000)
	s.frame()
	if _, _, ok := s.video(36000); ok { // a leading picture of the very first one
		t.Error("stream time begins at 0")
	}
	if pts, _, ok := s.video(36000 + 7200); !ok || pts != 40*time.Millisecond {
		t.Errorf("next: %v, %v", pts, ok)
	}
}

func TestClockJumps(t *testing.T) {
	for _, c := range []struct {
		name    string
		seconds int
	}{
		{"back by an hour", -3600},
		{"back by three seconds", -3},
		{"ahead by a minute", 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSender(0)
			var last time.Duration
			for range 50 {
				last, _, _ = s.frame()
			}
			s.rtp += uint32(c.seconds * 90000)
			pts, disc, ok := s.frame()
			expect(t, "jump", pts, last+40*time.Millisecond, disc, true, ok)
			last = pts
			pts, disc, ok = s.frame()
			expect(t, "after it", pts, last+40*time.Millisecond, disc, false, ok)
		})
	}
}

// A step back that B-frames could make is found when it lasts.
func TestClockSmallStepBack(t *testing.T) {
	s := newSender(0)
	for range 50 {
		s.frame()
	}
	s.rtp -= 90000
	jumped := -1
	var last time.Duration
	for i := range 25 {
		pts, disc, ok := s.frame()
		if !ok {
			t.Fatalf("frame %d dropped", i)
		}
		if disc {
			jumped = i
		}
		if jumped >= 0 && i > jumped && pts != last+40*time.Millisecond {
			t.Errorf("frame %d at %v after %v", i, pts, last)
		}
		last = pts
	}
	if jumped != maxDepth {
		t.Errorf("found at frame %d, want %d", jumped, maxDepth)
	}
}

// What a TCP backlog delivers late is no jump: neither the late data nor what follows it at once.
func TestClockBacklogIsNoJump(t *testing.T) {
	s := newSender(0)
	for range 50 {
		s.frame()
	}
	s.now = s.now.Add(30 * time.Second)
	for i := range 750 {
		s.rtp += 3600
		pts, disc, ok := s.video(s.rtp)
		expect(t, "backlog", pts, time.Duration(50+i)*40*time.Millisecond, disc, false, ok)
	}
}

func TestClockThatStandsStill(t *testing.T) {
	s := newSender(5)
	s.frame()
	var pts, last time.Duration
	jumps := 0
	for range 100 {
		s.now = s.now.Add(40 * time.Millisecond)
		var disc, ok bool
		pts, disc, ok = s.video(s.rtp)
		if disc {
			jumps++
		}
		if !ok || pts < last {
			t.Fatalf("%v after %v", pts, last)
		}
		last = pts
	}
	if pts != 4*time.Second || jumps != 1 {
		t.Errorf("after 4 s the stream is at %v, %d discontinuities", pts, jumps)
	}
	pts, disc, ok := s.frame()
	expect(t, "moving again", pts, last+40*time.Millisecond, disc, true, ok)
}

// Slices of one picture that a camera marks as units of their own share a timestamp; that is not standing still.
func TestClockEqualTimestamps(t *testing.T) {
	s := newSender(0)
	for i := range 100 {
		pts, _, _ := s.frame()
		s.now = s.now.Add(time.Millisecond)
		again, disc, ok := s.video(s.rtp)
		expect(t, "second slice", again, pts, disc, false, ok)
		if pts != time.Duration(i)*40*time.Millisecond {
			t.Fatalf("frame %d at %v", i, pts)
		}
	}
}

func TestClockLipSync(t *testing.T) {
	s := newSender(0)
	wall := time.Unix(1_700_000_000, 0)
	audio := func(n int, ntp time.Time) (time.Duration, bool, bool) {
		return s.c.Map(Stamp{Track: 1, Kind: media.Audio, RTP: uint32(n * 160), Rate: 8000, Arrival: s.now, NTP: ntp})
	}
	video := func(ntp time.Time) time.Duration {
		s.rtp += 3600
		s.now = s.now.Add(40 * time.Millisecond)
		pts, _, _ := s.c.Map(Stamp{Kind: media.Video, RTP: s.rtp, Rate: 90000, Arrival: s.now, NTP: ntp})
		return pts
	}
	video(time.Time{})
	pts, disc, ok := audio(0, time.Time{})
	expect(t, "placed by arrival", pts, 0, disc, true, ok)
	video(wall)                                             // stream time 40 ms is wall
	pts, disc, ok = audio(1, wall.Add(60*time.Millisecond)) // so this belongs to 100 ms, not to 20
	expect(t, "moved by the reports", pts, 100*time.Millisecond, disc, false, ok)
	pts, disc, ok = audio(2, wall.Add(80*time.Millisecond))
	expect(t, "goes on", pts, 120*time.Millisecond, disc, false, ok)
	pts, disc, ok = audio(3, wall.Add(40*time.Millisecond)) // back by 60 ms: sound still ascends
	expect(t, "back", pts, 120*time.Millisecond+125*time.Microsecond, disc, false, ok)
	pts, _, _ = audio(100, wall.Add(time.Hour)) // a broken sender
	if pts > 5*time.Second {
		t.Errorf("a correction of an hour was believed: %v", pts)
	}
}

// Whatever a sender does, connections never overlap, sound ascends and video stays above its last base.
func TestClockProperties(t *testing.T) {
	for seed := range uint64(200) {
		checkClock(t, rand.New(rand.NewPCG(seed, 1)), 400)
	}
}

func checkClock(t *testing.T, r *rand.Rand, n int) {
	t.Helper()
	c := &Clock{}
	now := epoch
	rtp := [2]uint32{r.Uint32(), r.Uint32()}
	var most, floor, lastAudio time.Duration = -1, -1, -1
	for range n {
		now = now.Add(time.Duration(r.IntN(60)) * time.Millisecond)
		if r.IntN(40) == 0 {
			c.Connect()
			floor = most
			rtp = [2]uint32{r.Uint32(), r.Uint32()}
		}
		track, kind := r.IntN(2), media.Video
		if track == 1 {
			kind = media.Audio
		}
		switch r.IntN(30) {
		case 0:
			rtp[track] = r.Uint32()
		case 1, 2:
		case 3:
			rtp[track] -= 7200
		default:
			rtp[track] += 1800
		}
		s := Stamp{Track: track, Kind: kind, RTP: rtp[track], Rate: []int{90000, 8000}[track], Arrival: now}
		if r.IntN(3) == 0 {
			s.NTP = now.Add(time.Duration(r.IntN(3000)-1500) * time.Millisecond)
		}
		pts, _, ok := c.Map(s)
		if !ok {
			if kind == media.Audio {
				t.Fatal("sound was dropped")
			}
			continue
		}
		if pts <= floor || pts < 0 {
			t.Fatalf("%v is not above the last connection's %v", pts, floor)
		}
		if kind == media.Audio {
			if pts <= lastAudio {
				t.Fatalf("sound at %v after %v", pts, lastAudio)
			}
			lastAudio = pts
		}
		most = max(most, pts)
	}
}

func FuzzClock(f *testing.F) {
	f.Add(uint64(1), uint16(100))
	f.Add(uint64(77), uint16(1000))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		checkClock(t, rand.New(rand.NewPCG(seed, 2)), int(n))
	})
}
