package webrtc

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rave/bench/whep"
	"rave/engine/media"
)

// Packets that are lost on the way come again when the viewer asks for them: with every tenth one lost all pictures are
// whole.
func TestLostPacketsComeAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	f := &play{size: 6000, ask: make(chan struct{}, 1)}
	p := s.Path("cam", PathConfig{OnKeyframe: f.keyframe})
	f.sink = p
	mustOpen(t, p, h264())
	f.start(t)
	network, err := whep.NewNetwork()
	if err != nil {
		t.Fatal(err)
	}
	var count, lost atomic.Int64
	network.Loses = func([]byte) bool {
		loses := count.Add(1)%10 == 0
		if loses {
			lost.Add(1)
		}
		return loses
	}
	e := newEyes(t)
	s.watch(t, "cam", whep.Config{OnPacket: e.packet, Settings: network.Settings})
	const enough = 500
	missing := func() (missing int) {
		var numbers []uint16
		for _, pkt := range e.packets {
			numbers = append(numbers, pkt.SequenceNumber-e.packets[0].SequenceNumber+1<<15) // those around the first
		}
		slices.Sort(numbers)
		numbers = slices.Compact(numbers)
		for i := 1; i < len(numbers); i++ {
			missing += int(numbers[i]-numbers[i-1]) - 1
		}
		return missing
	}
	// The newest packets may still be missing, those that have had time for a second attempt may not.
	e.until(t, "all that was lost", func() bool {
		return len(e.packets) >= enough && lost.Load() > enough/20 && missing() <= 5
	})
}

// A viewer that has lost a picture for good asks for a keyframe, at most two a second in the name of all.
func TestKeyframesAreAskedFor(t *testing.T) {
	s := serve(t, Config{})
	var asked atomic.Int64
	var last atomic.Int64 // when
	f := &play{size: 500, ask: make(chan struct{}, 1)}
	p := s.Path("cam", PathConfig{OnKeyframe: func() {
		now := time.Now().UnixNano()
		if before := last.Swap(now); before != 0 && now-before < int64(500*time.Millisecond) {
			t.Errorf("%v after another", time.Duration(now-before))
		}
		asked.Add(1)
		f.keyframe()
	}})
	f.sink = p
	mustOpen(t, p, h264())
	f.start(t)
	var viewers []*whep.Viewer
	var all []*eyes
	for range 3 {
		e := newEyes(t)
		viewers = append(viewers, s.watch(t, "cam", whep.Config{OnPacket: e.packet}))
		all = append(all, e)
	}
	for _, e := range all {
		e.pictures(t, 1) // each has its first keyframe
	}
	before := asked.Load()
	began := time.Now()
	for asked.Load() < before+2 {
		for _, v := range viewers {
			if err := v.RequestKeyframe(); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(began) > patience {
			t.Fatal("nobody has asked for a keyframe")
		}
		time.Sleep(frameTime) // between one storm and the next
	}
}

// One that asks in the half second after another is not forgotten.
func TestAskedTooSoonIsAskedAgain(t *testing.T) {
	s := serve(t, Config{})
	asked := make(chan struct{}, 100)
	f := &play{size: 500, ask: make(chan struct{}, 1)}
	p := s.Path("cam", PathConfig{OnKeyframe: func() { asked <- struct{}{} }})
	f.sink = p
	mustOpen(t, p, h264())
	f.start(t)
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	<-asked // for its start
	f.keyframe()
	e.pictures(t, 1)
	for len(asked) > 0 { // asked for once more before that came
		<-asked
	}
	if err := v.RequestKeyframe(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-asked:
	case <-time.After(patience):
		t.Error("what came too soon was forgotten")
	}
}

// A viewer whose network carries a quarter of the stream is found out by what its browser reports, and gets the small
// picture.
func TestSlowNetworkGetsTheSmallPicture(t *testing.T) {
	t.Parallel()
	s := serve(t, Config{})
	var d demands
	f := &play{size: 4000, ask: make(chan struct{}, 1)} // 3.2 Mb/s
	p := s.Path("cam", PathConfig{OnKeyframe: f.keyframe, Renditions: []string{Low}, OnDemand: d.say})
	f.sink = p
	mustOpen(t, p, h264())
	mustOpen(t, p.Rendition(Low), h264())
	const small = 1 << 20 // is added to the numbers of small pictures
	f.change = func(n int, pkt *media.Packet) {
		low := picture(small+n, n%25 == 0, 100)
		low.PTS = pkt.PTS
		if err := p.Rendition(Low).Write(low); err != nil {
			t.Error(err)
		}
	}
	f.start(t)
	network, err := whep.NewNetwork()
	if err != nil {
		t.Fatal(err)
	}
	const carries = 100_000 // bytes per second
	credit, last := 0.0, time.Now()
	network.Loses = func(p []byte) bool {
		now := time.Now()
		credit, last = min(carries/10, credit+now.Sub(last).Seconds()*carries), now
		if credit < float64(len(p)) {
			return true
		}
		credit -= float64(len(p))
		return false
	}
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet, Settings: network.Settings})
	e.until(t, "the small picture", func() bool { return len(e.whole) > 0 && e.whole[len(e.whole)-1].n >= small })
	if !strings.HasPrefix(d.list(), "+low") {
		t.Errorf("demands %s", d.list())
	}
	if got := told(t, v); got != Low || p.Stats().Renditions[Low] != 1 {
		t.Errorf("the viewer is told of %q, and %v are counted", got, p.Stats().Renditions)
	}
	before := len(e.pictures(t, 1))
	for i, pic := range e.pictures(t, before+50)[before:] {
		if pic.n < small {
			t.Errorf("the %dth picture after the change is a full one", i)
		}
	}
}
