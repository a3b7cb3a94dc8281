package webrtc

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/egress/capture"
	"rave/engine/media"
)

// A viewer gets every picture whole and in order, over UDP and over TCP.
func TestPlay(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		t.Run(fmt.Sprint("tcp ", tcp), func(t *testing.T) {
			s := serve(t, Config{})
			f := &play{size: 5000, ask: make(chan struct{}, 1)}
			p := s.Path("cam", PathConfig{OnKeyframe: f.keyframe})
			f.sink = p
			mustOpen(t, p, h264())
			f.start(t)
			e := newEyes(t)
			v := s.watch(t, "cam", whep.Config{OnPacket: e.packet, TCP: tcp})
			all := e.pictures(t, 50)
			for i := 1; i < len(all); i++ {
				if all[i].n != all[i-1].n+1 || all[i].stamp-all[i-1].stamp != uint32(media.Ticks(frameTime, 90000)) {
					t.Fatalf("%+v after %+v", all[i], all[i-1])
				}
			}
			e.mu.Lock()
			if first := e.packets[0].Payload[0] & 0x1f; first != 24 {
				t.Errorf("the first packet is of type %d: it must hold the parameter sets", first)
			}
			e.mu.Unlock()
			if st := p.Stats(); st.Viewers != 1 || st.Frames == 0 || st.Bytes == 0 || len(st.Dropped) != 0 {
				t.Errorf("stats %+v", st)
			}
			if err := v.Leave(t.Context()); err != nil {
				t.Error(err)
			}
			if st := p.Stats(); st.Viewers != 0 {
				t.Errorf("%d viewers are left", st.Viewers)
			}
			if tcp && !strings.Contains(v.Answer, "tcptype passive") {
				t.Errorf("no TCP candidate in %s", v.Answer)
			}
		})
	}
}

// The original and the enhanced picture of one frame have one timestamp, in every connection. Those of other streams do not
// tell anything.
func TestTimestampsMatch(t *testing.T) {
	s := serve(t, Config{})
	fast, late := s.Path("cam/original", PathConfig{KeepGOP: true}), s.Path("cam", PathConfig{KeepGOP: true})
	other := s.Path("cam2", PathConfig{KeepGOP: true})
	for _, p := range []*Path{fast, late, other} {
		mustOpen(t, p, h264())
	}
	f := &play{sink: fast, size: 100, keys: 25}
	f.change = func(n int, pkt *media.Packet) {
		if n >= 3 { // the enhanced picture comes later
			if err := late.Write(picture(n-3, (n-3)%25 == 0, 2000)); err != nil {
				t.Error(err)
			}
		}
		if err := other.Write(*pkt); err != nil {
			t.Error(err)
		}
	}
	f.start(t)
	watching := map[string]*eyes{}
	for _, path := range []string{"cam/original", "cam", "cam2"} {
		watching[path] = newEyes(t)
		s.watch(t, path, whep.Config{OnPacket: watching[path].packet})
	}
	stamps := map[string]map[int]uint32{}
	for path, e := range watching {
		stamps[path] = map[int]uint32{}
		for _, pic := range e.pictures(t, 150)[30:] { // those before may be of the group of pictures that it starts with
			stamps[path][pic.n] = pic.stamp
		}
	}
	matched := 0
	for n, stamp := range stamps["cam/original"] {
		if want, ok := stamps["cam"][n]; ok && want == stamp {
			matched++
		} else if ok {
			t.Errorf("picture %d has %d and %d", n, stamp, want)
		}
		if same, ok := stamps["cam2"][n]; ok && same == stamp {
			t.Error("another stream has the same timestamps")
		}
	}
	if matched < 50 {
		t.Errorf("%d pictures of two connections are the same", matched)
	}
	e, again := newEyes(t), 0
	s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	for _, pic := range e.pictures(t, 40)[30:] {
		if uint32(media.Ticks(time.Duration(pic.n)*frameTime, 90000))+s.offset("cam") == pic.stamp {
			again++
		}
	}
	if again < 10 {
		t.Errorf("%d pictures of another connection have the same timestamps", again)
	}
}

// The group of pictures that a viewer starts with is over at once: it must not take it for delay.
func TestStartsAtOnceWithoutDelay(t *testing.T) {
	s := serve(t, Config{})
	p := s.Path("cam", PathConfig{KeepGOP: true})
	mustOpen(t, p, h264())
	for n := range 20 {
		if err := p.Write(picture(n, n == 0, 3000)); err != nil {
			t.Fatal(err)
		}
	}
	e := newEyes(t)
	s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	all := e.pictures(t, 20)
	if all[0].n != 0 || all[19].n != 19 {
		t.Errorf("from %d to %d", all[0].n, all[19].n)
	}
	if span := all[19].stamp - all[0].stamp; span != 19*90 {
		t.Errorf("the pictures that it starts with span %d ticks", span)
	}
	if err := p.Write(picture(20, false, 3000)); err != nil {
		t.Fatal(err)
	}
	if last := e.pictures(t, 21)[20]; last.stamp-all[19].stamp != uint32(media.Ticks(frameTime, 90000)) {
		t.Errorf("the first live picture is %d ticks later", last.stamp-all[19].stamp)
	}
}

// Kept pictures that would take too long to send are left alone: the viewer starts with the next keyframe.
func TestDoesNotStartWithTooMuch(t *testing.T) {
	s := serve(t, Config{})
	p := s.Path("cam", PathConfig{KeepGOP: true})
	mustOpen(t, p, h264())
	for n, size := range []int{3 << 20, 1 << 19, 1 << 20} {
		if err := p.Write(picture(n, n == 0, size)); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		units := len(p.main.start())
		p.mu.Unlock()
		if want := (n + 1) * (1 - n/2); units != want {
			t.Errorf("with %d pictures it starts with %d, want %d", n+1, units, want)
		}
	}
}

// When pictures were captured is said with each of them and in sender reports, for sound alike; keyframes ask browsers for
// no delay.
func TestCaptureTimes(t *testing.T) {
	s := serve(t, Config{})
	p := s.Path("cam", PathConfig{})
	mustOpen(t, p, h264(), opus())
	captured := time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC) // of stream time 0
	f := &play{sink: p, size: 1000, keys: 10}
	f.change = func(n int, pkt *media.Packet) {
		pkt.NTP = captured.Add(pkt.PTS)
		sound := media.Packet{Track: 1, PTS: pkt.PTS, Data: []byte{1, 2, 3}, Keyframe: true, NTP: pkt.NTP}
		if err := p.Write(sound); err != nil {
			t.Error(err)
		}
	}
	f.start(t)
	var mu sync.Mutex
	reports := map[pion.RTPCodecType]*rtcp.SenderReport{}
	e := newEyes(t)
	v := s.watch(t, "cam", whep.Config{OnPacket: e.packet, Sound: true, OnReport: func(kind pion.RTPCodecType, sr *rtcp.SenderReport) {
		mu.Lock()
		defer mu.Unlock()
		reports[kind] = sr
	}})
	e.until(t, "sound and pictures", func() bool { return len(e.sound) > 20 && len(e.whole) > 20 })
	eventually(t, "sender reports", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(reports) == 2
	})
	checkReports(t, s, captured, &mu, reports)
	ids := extensionIDs(v.Answer)
	e.mu.Lock()
	defer e.mu.Unlock()
	delays, stamp := 0, uint32(0)
	for _, pkt := range e.packets {
		ntp := pkt.GetExtension(ids["abs-capture-time"])
		if first := pkt.Timestamp != stamp; first != (ntp != nil) {
			t.Fatalf("packet %d: capture time %v, first of its picture %v", pkt.SequenceNumber, ntp, first)
		}
		stamp = pkt.Timestamp
		if ntp != nil {
			checkCaptureTime(t, ntp, captured.Add(media.Duration(int64(pkt.Timestamp-s.offset("cam")), 90000)))
		}
		if pkt.GetExtension(ids["transport-wide-cc-extensions-01"]) == nil {
			t.Fatal("a packet has no transport-wide number")
		}
		if d := pkt.GetExtension(ids["playout-delay"]); d != nil {
			delays++
			if string(d) != "\x00\x00\x32" {
				t.Errorf("playout delay % x, want 0 to 500 ms", d)
			}
		}
	}
	if delays == 0 {
		t.Error("no playout delay")
	}
}

// checkReports holds sender reports to what they relate.
func checkReports(t *testing.T, s *served, captured time.Time, mu *sync.Mutex, reports map[pion.RTPCodecType]*rtcp.SenderReport) {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	rates := map[pion.RTPCodecType]int{pion.RTPCodecTypeVideo: 90000, pion.RTPCodecTypeAudio: 48000}
	for kind, sr := range reports {
		pts := media.Duration(int64(sr.RTPTime-s.offset("cam")), rates[kind])
		if want := capture.NTP(captured.Add(pts)); max(sr.NTPTime, want)-min(sr.NTPTime, want) > 1<<32/10000 {
			t.Errorf("%v: the report says %x, want %x", kind, sr.NTPTime, want)
		}
	}
}

func checkCaptureTime(t *testing.T, got []byte, want time.Time) {
	t.Helper()
	var e rtp.AbsCaptureTimeExtension
	if err := e.Unmarshal(got); err != nil {
		t.Fatal(err)
	}
	if d := e.CaptureTime().Sub(want).Abs(); d > time.Millisecond {
		t.Fatalf("captured at %v, want %v", e.CaptureTime(), want)
	}
}

// extensionIDs reads the ids of header extensions, by the end of their names.
func extensionIDs(sdp string) map[string]uint8 {
	ids := map[string]uint8{}
	for line := range strings.Lines(sdp) {
		var id uint8
		var uri string
		if n, _ := fmt.Sscanf(line, "a=extmap:%d %s", &id, &uri); n == 2 {
			name := uri[strings.LastIndexByte(uri, '/')+1:]
			ids[strings.TrimPrefix(name, "draft-holmer-rmcat-")] = id
		}
	}
	return ids
}
