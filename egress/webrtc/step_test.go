package webrtc

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/engine/media"
)

// demands collects what OnDemand says.
type demands struct {
	mu  sync.Mutex
	all []string
}

func (d *demands) say(rendition string, wanted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if wanted {
		d.all = append(d.all, "+"+rendition)
	} else {
		d.all = append(d.all, "-"+rendition)
	}
}

func (d *demands) list() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.all, " ")
}

// told is what OPTIONS of a viewer's resource says that it gets.
func told(t *testing.T, v *whep.Viewer) string {
	t.Helper()
	res, err := v.Request(t.Context(), http.MethodOptions, "", "", nil)
	if err != nil || res.Code != http.StatusNoContent {
		t.Fatalf("OPTIONS: %v, %v", res, err)
	}
	return res.Header.Get("Rave-Rendition")
}

// What a browser cannot play as it is is asked for in another form, while somebody watches; times and timestamps are the
// stream's own.
func TestRenditions(t *testing.T) {
	mjpeg := media.Track{Kind: media.Video, Codec: media.MJPEG, ClockRate: 90000}
	aac := media.Track{ID: 1, Kind: media.Audio, Codec: "mpeg4-generic", ClockRate: 44100}
	s := serve(t, Config{})
	var d demands
	p := s.Path("cam", PathConfig{KeepGOP: true, Renditions: []string{Browser, Opus}, OnDemand: d.say})
	if p.Rendition(Low) != nil || p.Rendition(Browser) == nil {
		t.Fatal("there must be a browser's rendition and no small one")
	}
	mustOpen(t, p, mjpeg, aac)
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet, Sound: true})
	eventually(t, "both are wanted", func() bool { return len(d.list()) == len("+browser +opus") })
	if got := v.Header.Get("Rave-Rendition"); got != "browser, opus" {
		t.Errorf("the answer tells of renditions %q", got)
	}
	mustOpen(t, p.Rendition(Browser), h264())
	sound := opus()
	mustOpen(t, p.Rendition(Opus), sound)
	f := &play{sink: p.Rendition(Browser), size: 2000, keys: 25}
	f.change = func(_ int, pkt *media.Packet) {
		if err := p.Write(media.Packet{PTS: pkt.PTS, Data: []byte{0xff, 0xd8}, Keyframe: true, Arrival: pkt.Arrival}); err != nil {
			t.Error(err)
		}
		if err := p.Write(media.Packet{Track: 1, PTS: pkt.PTS, Data: []byte{9}, Keyframe: true}); err != nil {
			t.Error(err)
		}
		if err := p.Rendition(Opus).Write(media.Packet{Track: sound.ID, PTS: pkt.PTS, Data: []byte{1, 2}, Keyframe: true}); err != nil {
			t.Error(err)
		}
	}
	f.start(t)
	e.until(t, "picture and sound", func() bool { return len(e.whole) > 20 && len(e.sound) > 20 })
	e.mu.Lock()
	for _, pic := range e.whole[len(e.whole)-5:] {
		if want := s.offset("cam") + uint32(media.Ticks(time.Duration(pic.n)*frameTime, 90000)); pic.stamp != want {
			t.Errorf("picture %d has the timestamp %d, want %d", pic.n, pic.stamp, want)
		}
	}
	if got := e.sound[0].Payload; !slices.Equal(got, []byte{1, 2}) {
		t.Errorf("sound %v", got)
	}
	e.mu.Unlock()
	if got := p.Stats().Renditions; !maps.Equal(got, map[string]int{Browser: 1, Opus: 1}) {
		t.Errorf("counted are %v", got)
	}
	if err := v.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.Stats(); got.Viewers != 0 || len(got.Renditions) != 0 {
		t.Errorf("when it has left, counted are %v", got)
	}
	eventually(t, "nobody wants them any more", func() bool { return strings.Count(d.list(), "-") == 2 })
}

// A stream is found to have B-frames: who watches it follows to the rendition, or goes if there is none. Who comes later is
// told.
func TestStreamTurnsOutToHaveBFrames(t *testing.T) {
	for _, renditions := range [][]string{{Browser}, nil} {
		s := serve(t, Config{})
		var d demands
		p := s.Path("cam", PathConfig{KeepGOP: true, Renditions: renditions, OnDemand: d.say})
		mustOpen(t, p, h264())
		e := newEyes(t)
		write := func(n int, key bool) {
			t.Helper()
			if err := p.Write(picture(n, key, 100)); err != nil {
				t.Fatal(err)
			}
		}
		write(0, true)
		v := s.watch(t, "cam", whep.Config{OnPacket: e.packet})
		e.pictures(t, 1)
		write(3, false)
		write(2, false) // it is shown before 3
		write(6, false)
		write(5, false)
		if renditions == nil {
			mustGo(t, v)
			_, err := whep.Connect(t.Context(), whep.Config{URL: s.url + "/cam/whep"})
			if err == nil || !strings.Contains(err.Error(), "B-frames") {
				t.Errorf("one that comes later: %v", err)
			}
			mustOpen(t, p, h264()) // the camera has come back, perhaps with other settings
			again := newEyes(t)
			v = s.watch(t, "cam", whep.Config{OnPacket: again.packet})
			write(0, true)
			again.pictures(t, 1)
			for _, n := range []int{3, 2, 6, 5} { // with the same
				write(n, false)
			}
			mustGo(t, v)
			continue
		}
		eventually(t, "the rendition is wanted", func() bool { return d.list() == "+browser" })
		if got := told(t, v); v.Header.Get("Rave-Rendition") != "" || got != "" {
			t.Errorf("before it comes the viewer is told of %q", got)
		}
		mustOpen(t, p.Rendition(Browser), h264())
		if err := p.Rendition(Browser).Write(picture(7, true, 100)); err != nil {
			t.Fatal(err)
		}
		write(8, true) // comes after the change: not for this viewer
		if err := p.Rendition(Browser).Write(picture(9, false, 100)); err != nil {
			t.Fatal(err)
		}
		all := e.pictures(t, 7)
		var numbers []int
		for _, pic := range all {
			numbers = append(numbers, pic.n)
		}
		if want := []int{0, 3, 2, 6, 5, 7, 9}; !slices.Equal(numbers, want) {
			t.Errorf("pictures %v, want %v", numbers, want)
		}
		if got := told(t, v); got != Browser {
			t.Errorf("the viewer is told of %q", got)
		}
	}
}

// A viewer whose network is too slow gets the small picture, tries the full one after a rest, and rests for longer each time
// that fails.
func TestStepsDownAndUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		low := &feed{name: Low}
		p := &Path{server: s, main: &feed{}, renditions: map[string]*feed{Low: low}}
		low.path, p.main.path = p, p
		h264 := pion.RTPCodecParameters{RTPCodecCapability: pion.RTPCodecCapability{MimeType: pion.MimeTypeH264}}
		v := &viewer{path: p, wants: p.main, picture: p.main, video: &track{plain: h264}}
		arrive := func(f *feed) { v.picture, v.next = f, nil }
		for i, want := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			if !v.slower(time.Now()) || v.slower(time.Now()) || v.next != low {
				t.Fatalf("step %d: not moved to the small picture once", i)
			}
			arrive(low)
			time.Sleep(want*time.Second - 1)
			if v.faster(time.Now()) {
				t.Fatalf("step %d: it tries again before %v s are over", i, int(want))
			}
			time.Sleep(time.Nanosecond)
			if !v.faster(time.Now()) || v.faster(time.Now()) || v.next != p.main {
				t.Fatalf("step %d: it does not try again after %v s, or twice", i, int(want))
			}
			arrive(p.main)
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Nanosecond) // it has served for more than a minute
		if v.slower(time.Now()); v.rest != leastRest {
			t.Errorf("after a good minute it rests for %v", v.rest)
		}
		w := &viewer{path: p, wants: p.main, picture: p.main, video: &track{}}
		if w.slower(time.Now()) || w.next != nil {
			t.Error("it goes to a small picture whose codec it does not take")
		}
		p.renditions, w.video = nil, v.video
		if w.slower(time.Now()) || w.next != nil {
			t.Error("there is no small picture to go to")
		}
	})
}

// The change from one picture to the other is at a keyframe, and no timestamp runs back.
func TestChangesAtAKeyframe(t *testing.T) {
	s := serve(t, Config{})
	var d demands
	asked := make(chan struct{}, 100)
	p := s.Path("cam", PathConfig{Renditions: []string{Low}, OnDemand: d.say, OnKeyframe: func() { asked <- struct{}{} }})
	mustOpen(t, p, h264())
	mustOpen(t, p.Rendition(Low), h264())
	e := newEyes(t)
	s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	<-asked
	write := func(sink media.Sink, n int, key bool) {
		t.Helper()
		if err := sink.Write(picture(n, key, 100)); err != nil {
			t.Fatal(err)
		}
	}
	write(p, 0, true)
	p.mu.Lock()
	var v *viewer
	for _, v = range p.viewers {
		v.slower(time.Now())
	}
	p.mu.Unlock()
	p.tellDemand()
	if d.list() != "+low" {
		t.Fatalf("demands %s", d.list())
	}
	write(p, 1, false)
	write(p.Rendition(Low), 0, false) // no keyframe
	write(p, 2, false)
	write(p.Rendition(Low), 1, true) // late, as the small picture is
	write(p, 3, false)               // not for it any more
	write(p.Rendition(Low), 2, false)
	write(p.Rendition(Low), 3, false)
	p.mu.Lock()
	v.retry = time.Now()
	p.mu.Unlock()
	write(p.Rendition(Low), 4, false)
	write(p, 5, false)
	write(p, 6, true)
	write(p.Rendition(Low), 5, false) // not for it any more
	write(p, 7, false)
	all := e.pictures(t, 9)
	var numbers []int
	for i, pic := range all {
		numbers = append(numbers, pic.n)
		if i > 0 && int32(pic.stamp-all[i-1].stamp) <= 0 {
			t.Errorf("picture %d (the %dth) has no later timestamp", pic.n, i)
		}
	}
	if want := []int{0, 1, 2, 1, 2, 3, 4, 6, 7}; !slices.Equal(numbers, want) {
		t.Errorf("pictures %v, want %v", numbers, want)
	}
	if want := s.offset("cam") + uint32(media.Ticks(7*frameTime, 90000)); all[8].stamp != want {
		t.Errorf("the last timestamp is %d, want %d", all[8].stamp, want)
	}
	if d.list() != "+low -low" {
		t.Errorf("demands %s", d.list())
	}
}

// A viewer of H.265 gets renditions as H.264 under the payload type that it has for that, if it takes both.
func TestSmallPictureOfAnotherCodec(t *testing.T) {
	s := serve(t, Config{})
	var d demands
	p := s.Path("cam", PathConfig{KeepGOP: true, Renditions: []string{Low}, OnDemand: d.say})
	mustOpen(t, p, media.Track{Kind: media.Video, Codec: media.H265, ClockRate: media.VideoClockRate})
	mustOpen(t, p.Rendition(Low), h264())
	h265 := func(n int, key bool) {
		t.Helper()
		slice := []byte{1 << 1, 1, 0x80, 1, 2, 3} // TRAIL_R
		if key {
			slice[0] = 19 << 1 // IDR_W_RADL
		}
		if err := p.Write(media.Packet{PTS: time.Duration(n) * frameTime, Data: media.AnnexB(slice), Keyframe: key, Arrival: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	h265(0, true)
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet, Codecs: []string{"H265", "H264"}})
	e.until(t, "the picture as it is", func() bool { return len(e.packets) == 1 })
	p.mu.Lock()
	for _, viewer := range p.viewers {
		if !viewer.slower(time.Now()) {
			t.Error("it does not go to the small picture")
		}
	}
	p.mu.Unlock()
	if err := p.Rendition(Low).Write(picture(1, true, 100)); err != nil {
		t.Fatal(err)
	}
	h265(2, true) // not for it any more
	if err := p.Rendition(Low).Write(picture(3, false, 100)); err != nil {
		t.Fatal(err)
	}
	all := e.pictures(t, 2)
	if all[0].n != 1 || all[1].n != 3 || told(t, v) != Low {
		t.Errorf("pictures %v, told of %q", all, told(t, v))
	}
	var types []string
	e.mu.Lock()
	for _, pkt := range e.packets {
		line := v.Answer[strings.Index(v.Answer, fmt.Sprintf("a=rtpmap:%d ", pkt.PayloadType)):]
		name, _, _ := strings.Cut(line[strings.Index(line, " ")+1:], "/")
		if len(types) == 0 || types[len(types)-1] != name {
			types = append(types, name)
		}
	}
	e.mu.Unlock()
	if want := []string{"H265", "H264"}; !slices.Equal(types, want) {
		t.Errorf("sent as %v, want %v", types, want)
	}
}

// Sound and codecs of the answer follow the offer.
func TestChooses(t *testing.T) {
	o, err := parseOffer(crlf(goodOffer))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mime, profile string
		want          pion.PayloadType
		ok            bool
	}{
		{pion.MimeTypeH264, "64", 106, true}, {pion.MimeTypeH264, "42", 102, true}, {pion.MimeTypeH264, "", 102, true},
		{pion.MimeTypeH264, "4d", 102, true}, {pion.MimeTypeH265, "", 0, false}, {"video/h264", "64", 106, true},
	} {
		if got, ok := choose(o.video, c.mime, c.profile); ok != c.ok || got.PayloadType != c.want {
			t.Errorf("%s %s: %d, %v", c.mime, c.profile, got.PayloadType, ok)
		}
	}
	track := func(codec media.Codec, rate int, rtpmap string) media.Track {
		return media.Track{ID: 1, Kind: media.Audio, Codec: codec, ClockRate: rate, RTP: media.RTPFormat{RTPMap: rtpmap}}
	}
	for _, c := range []struct {
		track media.Track
		want  pion.PayloadType // 0: no sound
	}{
		{track("opus", 48000, "opus/48000/2"), 111}, {track("pcma", 8000, ""), 8}, {track("pcma", 16000, "pcma/16000"), 0},
		{track("pcma", 8000, "pcma/8000/2"), 0}, {track("pcmu", 8000, ""), 0}, {track("mpeg4-generic", 48000, "mpeg4-generic/48000/2"), 0},
	} {
		p := newPath(&Server{log: slog.New(slog.DiscardHandler), seed: maphash.MakeSeed()}, "cam", PathConfig{})
		if err := p.Open([]media.Track{h264(), c.track}); err != nil {
			t.Fatal(err)
		}
		pl, err := p.choose(o)
		if err != nil || pl.sound.PayloadType != c.want || (pl.listens != nil) != (c.want != 0) {
			t.Errorf("%s at %d Hz: %d, %v", c.track.Codec, c.track.ClockRate, pl.sound.PayloadType, err)
		}
	}
}
