package webrtc

import (
	"hash/maphash"
	"log/slog"
	"slices"
	"strings"
	"testing"

	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/engine/media"
)

// Which streams a browser is given as they are, by their profile and what it offers.
func TestProfiles(t *testing.T) {
	const main, main10 = "m=video 9 UDP/TLS/RTP/SAVPF 49 50 102\na=rtpmap:49 H265/90000\na=fmtp:49 level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST\n",
		"a=rtpmap:50 H265/90000\na=fmtp:50 level-id=180; profile-id=2\n"
	const unnamed = "m=video 9 UDP/TLS/RTP/SAVPF 51 102\na=rtpmap:51 H265/90000\n"
	const head, plain = "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\n", "a=rtpmap:102 H264/90000\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\n"
	h264 := func(profile byte) []byte { return []byte{0x67, profile, 0, 31, 1} }
	h265 := func(profile byte) []byte { return []byte{0x42, 1, 1, 1<<5 | profile, 0x60} }
	for _, c := range []struct {
		name, offer string
		codec       media.Codec
		sps         []byte
		want        pion.PayloadType // 0: not as it is
		why         string
	}{
		{"Baseline", main, media.H264, h264(0x42), 102, ""},
		{"Main", main, media.H264, h264(0x4d), 102, ""},
		{"Extended", main, media.H264, h264(0x58), 102, ""},
		{"High", main, media.H264, h264(0x64), 102, ""},
		{"High 10", main, media.H264, h264(0x6e), 0, "8 bits"},
		{"High 4:2:2", main, media.H264, h264(0x7a), 0, "4:2:0"},
		{"High 4:4:4 Predictive", main, media.H264, h264(0xf4), 0, "4:2:0"},
		{"CAVLC 4:4:4 Intra", main, media.H264, h264(0x2c), 0, "4:2:0"},
		{"H.264, not known", main, media.H264, nil, 102, ""},
		{"H.265 Main", main + main10, media.H265, h265(1), 49, ""},
		{"Main where nothing is said of it", unnamed, media.H265, h265(1), 51, ""},
		{"Main 10 where it is offered", main + main10, media.H265, h265(2), 50, ""},
		{"Main 10 where Main is", main, media.H265, h265(2), 0, "which is not in the offer with profile-id 2"},
		{"Main 10 where nothing is said of it", unnamed, media.H265, h265(2), 0, "profile-id 2"},
		{"range extensions", main + main10, media.H265, h265(4), 0, "profile-id 4"},
		{"H.265, not known", main, media.H265, nil, 49, ""},
	} {
		o, err := parseOffer(crlf(head + c.offer + plain))
		if err != nil {
			t.Fatal(err)
		}
		track := media.Track{Kind: media.Video, Codec: c.codec, ClockRate: media.VideoClockRate}
		for _, in := range []string{"description", "keyframe"} {
			for _, renditions := range [][]string{{Browser}, nil} {
				p := newPath(&Server{log: slog.New(slog.DiscardHandler), seed: maphash.MakeSeed()}, "cam", PathConfig{Renditions: renditions})
				if described := track; in == "description" && c.sps != nil {
					described.ParameterSets = [][]byte{c.sps}
					mustOpen(t, p, described)
				} else {
					mustOpen(t, p, track)
					if err := p.Write(media.Packet{Data: media.AnnexB(slices.Concat(c.sps, []byte{9, 9}), []byte{0x65, 1, 1, 1}), Keyframe: true}); err != nil {
						t.Fatal(err)
					}
				}
				pl, err := p.choose(o)
				switch {
				case c.want != 0 && (err != nil || pl.picture != p.main || pl.video.PayloadType != c.want):
					t.Errorf("%s by its %s: %v, payload type %d, want it as it is, under %d", c.name, in, err, pl.video.PayloadType, c.want)
				case c.want == 0 && renditions == nil && (err == nil || !strings.Contains(err.Error(), c.why)):
					t.Errorf("%s by its %s: %v, want a refusal with %q", c.name, in, err, c.why)
				case c.want == 0 && renditions != nil && (err != nil || pl.picture != p.renditions[Browser] || pl.video.PayloadType != 102):
					t.Errorf("%s by its %s: %v, payload type %d, want the rendition", c.name, in, err, pl.video.PayloadType)
				}
			}
		}
	}
}

// A camera comes back with another profile, under the same format: who watches follows to the rendition.
func TestProfileChanges(t *testing.T) {
	s := serve(t, Config{})
	var d demands
	p := s.Path("cam", PathConfig{KeepGOP: true, Renditions: []string{Browser}, OnDemand: d.say})
	mustOpen(t, p, h264())
	e := newEyes(t)
	s.watch(t, "cam", whep.Config{OnPacket: e.packet})
	write := func(sink media.Sink, n int, profile byte) {
		t.Helper()
		pkt := picture(n, true, 100)
		pkt.Data[slices.Index(pkt.Data, 0x67)+1] = profile
		if err := sink.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
	write(p, 0, 0x64)
	e.pictures(t, 1)
	high10 := h264()
	high10.ParameterSets[0][1] = 0x6e
	mustOpen(t, p, high10)
	write(p, 1, 0x6e)
	eventually(t, "the rendition is wanted", func() bool { return d.list() == "+browser" })
	mustOpen(t, p.Rendition(Browser), h264())
	write(p.Rendition(Browser), 2, 0x42)
	for all := e.pictures(t, 2); all[len(all)-1].n != 2; {
		all = e.pictures(t, len(all)+1)
	}
}
