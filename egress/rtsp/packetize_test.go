package rtsp

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/pion/rtp"

	"rave/engine/media"
)

func testJPEG(width, height int) []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xe0, 0, 4, 'J', 'F', 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{16}, 64)...)
	b = append(b, 0xff, 0xc0, 0, 17, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 3, 0, 0x22, 0, 1, 0x11, 0, 2, 0x11, 0)
	b = append(b, 0xff, 0xda, 0, 12, 3, 0, 0, 1, 0x11, 2, 0x11, 0, 63, 0)
	b = append(b, bytes.Repeat([]byte{0x5a}, 5000)...)
	return append(b, 0xff, 0xd9)
}

func packets(u *unit) []*rtp.Packet {
	var l []*rtp.Packet
	for i, p := range u.payloads {
		l = append(l, &rtp.Packet{Header: rtp.Header{Marker: u.marker && i == len(u.payloads)-1, SequenceNumber: uint16(i)}, Payload: p})
	}
	return l
}

func TestPacketizeH265(t *testing.T) {
	vps, sps, pps := []byte{0x40, 1, 1}, []byte{0x42, 1, 2}, []byte{0x44, 1, 0xc0}
	slice := append([]byte{19 << 1, 1, 0x80}, bytes.Repeat([]byte{7}, 4000)...)
	o, err := newOutTrack(media.Track{Kind: media.Video, Codec: media.H265, ClockRate: 90000, ParameterSets: [][]byte{vps}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := o.packetize(0, media.Packet{PTS: time.Second, Data: annexB(vps, sps, pps, slice), Keyframe: true})
	if err != nil {
		t.Fatal(err)
	}
	if u.rtp != o.base+90000 || !u.marker || !u.video || !u.keyframe {
		t.Errorf("unit %+v", u)
	}
	d := &rtph265.Decoder{}
	if err := d.Init(); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for _, p := range packets(u) {
		if len(p.Payload) > maxPayload {
			t.Errorf("payload of %d bytes", len(p.Payload))
		}
		if nals, err := d.Decode(p); err == nil {
			got = nals
		}
	}
	if !slices.EqualFunc(got, [][]byte{vps, sps, pps, slice}, bytes.Equal) {
		t.Errorf("%d NAL units came back", len(got))
	}
	f := o.format.(*format.H265)
	if v, s, p := f.SafeParams(); !bytes.Equal(v, vps) || !bytes.Equal(s, sps) || !bytes.Equal(p, pps) {
		t.Errorf("description % x, % x, % x", v, s, p)
	}
}

func TestPacketizeMJPEG(t *testing.T) {
	o, err := newOutTrack(media.Track{Kind: media.Video, Codec: media.MJPEG, ClockRate: 90000})
	if err != nil {
		t.Fatal(err)
	}
	u, err := o.packetize(0, media.Packet{Data: testJPEG(64, 64), Keyframe: true})
	if err != nil {
		t.Fatal(err)
	}
	d := &rtpmjpeg.Decoder{}
	var image []byte
	for _, p := range packets(u) {
		if got, err := d.Decode(p); err == nil {
			image = got
		}
	}
	if !bytes.HasSuffix(image, testJPEG(64, 64)[len(testJPEG(64, 64))-5002:]) {
		t.Errorf("image of %d bytes came back", len(image))
	}
}

func TestPacketizeErrors(t *testing.T) {
	track := func(c media.Codec) media.Track {
		return media.Track{Kind: media.Video, Codec: c, ClockRate: 90000}
	}
	jpeg := testJPEG(64, 64)
	for _, c := range []struct {
		name  string
		track media.Track
		data  []byte
		want  error
	}{
		{"no start code", track(media.H264), []byte{1, 2, 3}, errMalformed},
		{"empty", track(media.H264), nil, errMalformed},
		{"start codes only", track(media.H265), []byte{0, 0, 1, 0, 0, 0, 1}, errMalformed},
		{"no JPEG", track(media.MJPEG), []byte("hello"), errMalformed},
		{"cut JPEG", track(media.MJPEG), jpeg[:70], errMalformed},
		{"JPEG without scan", track(media.MJPEG), []byte{0xff, 0xd8, 0xff, 0xc0}, errMalformed},
		{"JPEG with a wrong length", track(media.MJPEG), []byte{0xff, 0xd8, 0xff, 0xdb, 0, 1, 0, 0}, errMalformed},
		{"JPEG beyond RTP", track(media.MJPEG), testJPEG(4000, 3000), errMalformed},
		{"large sound", audioTrack(), make([]byte, maxPayload+1), errTooLarge},
		{"empty sound", audioTrack(), nil, errMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := newOutTrack(c.track)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := o.packetize(0, media.Packet{Data: c.data}); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestDropsAreCountedAndTold(t *testing.T) {
	told := map[string]int{}
	s := startServer(t, Config{OnDrop: func(_, reason string, n int) { told[reason] += n }})
	p := s.Path("cam1", PathConfig{})
	mustOpen(t, p, videoTrack(), audioTrack())
	loud := sound(0)
	loud.Data = make([]byte, 2000)
	mustWrite(t, p, loud, picture(0, 10, false), media.Packet{Data: []byte{1}, Keyframe: true}, picture(1, 10, true))
	want := map[string]int{"too_large": 1, "before_keyframe": 1, "malformed": 1}
	for reason, n := range want {
		if told[reason] != n || s.Stats()["cam1"].Dropped[reason] != uint64(n) {
			t.Errorf("%s: told %d, counted %d", reason, told[reason], s.Stats()["cam1"].Dropped[reason])
		}
	}
}

func TestSplitNALs(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want [][]byte
	}{
		{[]byte{0, 0, 0, 1, 0x65, 1, 0, 0, 1, 0x41, 2}, [][]byte{{0x65, 1}, {0x41, 2}}},
		{[]byte{0, 0, 1, 0x65, 1, 0, 0, 0, 0, 1, 0x41, 2, 0, 0}, [][]byte{{0x65, 1}, {0x41, 2}}},
		{[]byte{9, 9, 0, 0, 1, 0x65, 1}, [][]byte{{0x65, 1}}},
		{[]byte{0, 0, 1, 0x65}, nil},
		{nil, nil},
	} {
		if got := splitNALs(c.in, 1); !slices.EqualFunc(got, c.want, bytes.Equal) {
			t.Errorf("% x: % x, want % x", c.in, got, c.want)
		}
	}
}

// FuzzPacketize feeds what a camera could have sent: no panic, bounded payloads, nothing invented.
func FuzzPacketize(f *testing.F) {
	f.Add(uint8(0), annexB(testSPS, testPPS, []byte{0x65, 0x88, 1}))
	f.Add(uint8(0), picture(1, 5000, false).Data)
	f.Add(uint8(1), annexB([]byte{0x40, 1, 1}, []byte{19 << 1, 1, 0x80}))
	f.Add(uint8(2), testJPEG(64, 64))
	f.Add(uint8(2), []byte{0xff, 0xd8, 0xff, 0xdb, 0, 2, 0xff, 0xda, 0, 2, 1})
	f.Fuzz(func(t *testing.T, codec uint8, data []byte) {
		c := []media.Codec{media.H264, media.H265, media.MJPEG}[codec%3]
		o, err := newOutTrack(media.Track{Kind: media.Video, Codec: c, ClockRate: 90000})
		if err != nil {
			t.Fatal(err)
		}
		u, err := o.packetize(0, media.Packet{Data: data, Keyframe: true})
		if err != nil {
			return
		}
		for _, p := range u.payloads {
			if len(p) == 0 || len(p) > maxPayload {
				t.Errorf("payload of %d bytes", len(p))
			}
		}
		desc := &description.Session{Medias: []*description.Media{o.media}}
		if _, err := desc.Marshal(false); err != nil {
			t.Errorf("description: %v", err)
		}
	})
}
