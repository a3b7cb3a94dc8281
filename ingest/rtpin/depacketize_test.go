package rtpin

import (
	"bytes"
	"slices"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph265"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest/rtpin/rtptest"
)

// pictures makes RTP packets of access units, all fragmented when large.
func pictures(t *testing.T, aus ...[][]byte) []*rtp.Packet {
	t.Helper()
	enc := rtptest.Encoder(t)
	var all []*rtp.Packet
	for i, au := range aus {
		pkts, err := enc.Encode(au)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pkts {
			p.Timestamp = uint32(i * 3600)
			p.SSRC = 7
		}
		all = append(all, pkts...)
	}
	return all
}

// run pushes packets and returns the numbers of the pictures that came out.
func run(t *testing.T, d *depacketizer, pkts []*rtp.Packet) (got []int) {
	t.Helper()
	for _, p := range pkts {
		if u, ok := d.push(p); ok {
			nals := rtptest.NALs(t, u.data)
			last := nals[len(nals)-1]
			if u.rtp != uint32(last[2])*3600 {
				t.Errorf("picture %d has timestamp %d", last[2], u.rtp)
			}
			got = append(got, int(last[2]))
		}
	}
	return got
}

func TestDepacketizeLoss(t *testing.T) {
	const size = 4000 // three packets each
	aus := [][][]byte{{rtptest.IDR(0, size)}, {rtptest.Inter(1, size)}, {rtptest.Inter(2, size)}, {rtptest.Inter(3, size)}, {rtptest.Inter(4, size)}}
	all := pictures(t, aus...)
	if len(all) != 15 {
		t.Fatalf("%d packets, expected three for each picture", len(all))
	}
	for _, c := range []struct {
		name string
		lose []int
		want []int
		loss int
	}{
		{"none", nil, []int{0, 1, 2, 3, 4}, 0},
		{"middle", []int{4}, []int{0, 2, 3, 4}, 1},
		{"first", []int{3}, []int{0, 2, 3, 4}, 1},
		{"last: the next begins in view", []int{5}, []int{0, 2, 3, 4}, 1},
		{"a whole picture", []int{3, 4, 5}, []int{0, 2, 3, 4}, 1},
		{"last and first: both", []int{5, 6}, []int{0, 3, 4}, 2},
		{"two in one picture count once", []int{3, 5}, []int{0, 2, 3, 4}, 1},
		{"two in a row", []int{6, 7}, []int{0, 1, 3, 4}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var dr rtptest.Drops
			d, err := newDepacketizer(rtptest.H264(), [][]byte{rtptest.SPS(), rtptest.PPS()}, dr.Add)
			if err != nil {
				t.Fatal(err)
			}
			var kept []*rtp.Packet
			for i, p := range all {
				if !slices.Contains(c.lose, i) {
					kept = append(kept, p)
				}
			}
			if got := run(t, d, kept); !slices.Equal(got, c.want) {
				t.Errorf("pictures %v, want %v", got, c.want)
			}
			if got := dr.Get(DropLoss); got != c.loss {
				t.Errorf("%d lost, want %d", got, c.loss)
			}
		})
	}
}

func TestDepacketizeJoinsWithinAPicture(t *testing.T) {
	all := pictures(t, [][]byte{rtptest.IDR(0, 4000)}, [][]byte{rtptest.Inter(1, 4000)})
	var dr rtptest.Drops
	d, err := newDepacketizer(rtptest.H264(), nil, dr.Add)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, d, all[1:]); !slices.Equal(got, []int{1}) {
		t.Errorf("pictures %v, want 1 only", got)
	}
	if dr.Get(DropStart) != 1 || dr.Get(DropLoss) != 0 {
		t.Errorf("drops %v", &dr)
	}
}

func TestDepacketizeMalformedAndTooLarge(t *testing.T) {
	var dr rtptest.Drops
	d, err := newDepacketizer(rtptest.H264(), [][]byte{rtptest.SPS(), rtptest.PPS()}, dr.Add)
	if err != nil {
		t.Fatal(err)
	}
	good := pictures(t, [][]byte{rtptest.IDR(0, 10)}, [][]byte{rtptest.Inter(1, 10)}, [][]byte{rtptest.Inter(2, 10)}, [][]byte{rtptest.Inter(3, maxUnit)}, [][]byte{rtptest.Inter(4, 10)})
	good[1].Payload = []byte{24, 0xff, 0xff, 1} // STAP-A that promises more than it holds
	if got := run(t, d, good); !slices.Equal(got, []int{0, 2, 4}) {
		t.Errorf("pictures %v, want 0, 2, 4", got)
	}
	if dr.Get(DropMalformed) != 1 || dr.Get(DropTooLarge) != 1 || dr.Get(DropLoss) != 0 {
		t.Errorf("drops %v", &dr)
	}
}

// Cameras without marker bits (FLIR M400): a unit ends where the timestamp changes, and keeps its own timestamp.
func TestDepacketizeWithoutMarkers(t *testing.T) {
	all := pictures(t, [][]byte{rtptest.IDR(0, 10)}, [][]byte{rtptest.Inter(1, 10)}, [][]byte{rtptest.Inter(2, 10)}, [][]byte{rtptest.Inter(3, 10)})
	for _, p := range all {
		p.Marker = false
	}
	d, err := newDepacketizer(rtptest.H264(), [][]byte{rtptest.SPS(), rtptest.PPS()}, func(r string, _ int) { t.Error(r) })
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, d, all); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("pictures %v", got)
	}
}

func TestUnits(t *testing.T) {
	sei := []byte{6, 5, 1, 0, 0x80}
	recovery := func(count string) []byte { // ue(v) and the flags that follow, padded with the trailing bit
		switch count {
		case "0":
			return []byte{6, 6, 1, 0b1_0_0_00_100, 0x80}
		default: // 14
			return []byte{6, 6, 2, 0b0001111_0, 0b0_00_10000, 0x80}
		}
	}
	sps2 := append(append([]byte(nil), rtptest.SPS()...), 0x11)
	pps2 := []byte{0x68, 0x5b, 0x83} // id 1
	type au struct {
		nals [][]byte
		want string // types; "" if nothing comes out
		key  bool
	}
	for _, c := range []struct {
		name  string
		known [][]byte
		aus   []au
	}{
		{"sets from the description", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.IDR(0, 1)}, "7 8 5", true}, {[][]byte{rtptest.Inter(1, 1)}, "1", false}}},
		{"sets in-band stay where they are", nil, []au{{[][]byte{{9, 0xf0}, rtptest.SPS(), rtptest.PPS(), sei, rtptest.IDR(0, 1)}, "7 8 6 5", true}, {[][]byte{rtptest.IDR(1, 1)}, "7 8 5", true}}},
		{"only the SPS in-band", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.SPS(), sei, rtptest.IDR(0, 1)}, "7 8 6 5", true}}},
		{"two PPS", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.SPS(), rtptest.PPS(), pps2, rtptest.IDR(0, 1)}, "7 8 8 5", true}, {[][]byte{rtptest.IDR(0, 1)}, "7 8 8 5", true}}},
		{"a new SPS voids the PPS", [][]byte{rtptest.SPS(), rtptest.PPS(), pps2}, []au{{[][]byte{sps2, rtptest.PPS(), rtptest.IDR(0, 1)}, "7 8 5", true}, {[][]byte{rtptest.IDR(0, 1)}, "7 8 5", true}}},
		{"nothing known", nil, []au{{[][]byte{rtptest.IDR(0, 1)}, "5", true}}},
		{"sets with a marker of their own", nil, []au{{[][]byte{rtptest.SPS()}, "", false}, {[][]byte{rtptest.PPS()}, "", false}, {[][]byte{rtptest.IDR(0, 1)}, "7 8 5", true}}},
		{"intra refresh without IDR", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.Inter(0, 1)}, "1", false}, {[][]byte{recovery("14"), rtptest.Inter(1, 1)}, "7 8 6 1", true}}},
		{"open GOP", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.IDR(0, 1)}, "7 8 5", true}, {[][]byte{recovery("0"), rtptest.Inter(1, 1)}, "7 8 6 1", true}}},
		{"gradual recovery soon after an IDR", [][]byte{rtptest.SPS(), rtptest.PPS()}, []au{{[][]byte{rtptest.IDR(0, 1)}, "7 8 5", true}, {[][]byte{recovery("14"), rtptest.Inter(1, 1)}, "6 1", false}}},
		{"filler and empty units", nil, []au{{[][]byte{{}, {9, 0xf0}, rtptest.Inter(1, 1), {12, 0xff, 0x80}}, "1 12", false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := newUnits(media.H264, c.known)
			for i, a := range c.aus {
				data, key, _ := u.build(a.nals)
				if a.want == "" {
					if data != nil {
						t.Errorf("unit %d: % x", i, data)
					}
					continue
				}
				if got := rtptest.Types(t, data); got != a.want || key != a.key {
					t.Errorf("unit %d: %s, keyframe %v; want %s, %v", i, got, key, a.want, a.key)
				}
			}
		})
	}
}

func TestUnitsAfterManyPicturesWithoutIDR(t *testing.T) {
	u := newUnits(media.H264, nil)
	if _, key, _ := u.build([][]byte{rtptest.IDR(0, 1)}); !key {
		t.Error("IDR")
	}
	for range idrMemory {
		u.build([][]byte{rtptest.Inter(0, 1)})
	}
	if _, key, _ := u.build([][]byte{{6, 6, 2, 0b0001111_0, 0b0_00_10000, 0x80}, rtptest.Inter(0, 1)}); !key {
		t.Error("an intra-refresh stream must be entered at its recovery points")
	}
}

func TestDepacketizeH265(t *testing.T) {
	vps, sps, pps := []byte{0x40, 1, 1}, []byte{0x42, 1, 2}, []byte{0x44, 1, 0xc0}
	enc := &rtph265.Encoder{PayloadType: 96, PayloadMaxSize: 1200}
	if err := enc.Init(); err != nil {
		t.Fatal(err)
	}
	d, err := newDepacketizer(&format.H265{PayloadTyp: 96}, [][]byte{vps, sps, pps}, func(r string, _ int) { t.Error(r) })
	if err != nil {
		t.Fatal(err)
	}
	slice := func(typ byte) []byte { return append([]byte{typ << 1, 1, 0x80}, bytes.Repeat([]byte{0xee}, 5000)...) }
	for i, c := range []struct {
		typ byte
		key bool
	}{{19, true}, {1, false}, {21, true}, {16, true}, {0, false}, {20, true}, {9, false}} {
		pkts, err := enc.Encode([][]byte{{0x46, 1, 0x50}, slice(c.typ)})
		if err != nil {
			t.Fatal(err)
		}
		var got accessUnit
		for _, p := range pkts {
			p.Timestamp = uint32(i)
			if u, ok := d.push(p); ok {
				got = u
			}
		}
		want := annexB265(slice(c.typ))
		if c.key {
			want = annexB265(vps, sps, pps, slice(c.typ))
		}
		if got.keyframe != c.key || !bytes.Equal(got.data, want) {
			t.Errorf("slice type %d: keyframe %v, %d bytes; want %v, %d", c.typ, got.keyframe, len(got.data), c.key, len(want))
		}
	}
}

func annexB265(nals ...[]byte) (b []byte) {
	for _, n := range nals {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	return b
}

func TestDepacketizeMJPEG(t *testing.T) {
	enc := &rtpmjpeg.Encoder{PayloadMaxSize: 1200}
	if err := enc.Init(); err != nil {
		t.Fatal(err)
	}
	var dr rtptest.Drops
	d, err := newDepacketizer(&format.MJPEG{}, nil, dr.Add)
	if err != nil {
		t.Fatal(err)
	}
	image := testJPEG()
	var got int
	for i := range 4 {
		pkts, err := enc.Encode(image)
		if err != nil {
			t.Fatal(err)
		}
		for j, p := range pkts {
			p.Timestamp = uint32(i)
			if i == 1 && j == 1 { // lost
				continue
			}
			if u, ok := d.push(p); ok {
				got++
				if !u.keyframe || u.rtp != uint32(i) || !bytes.HasPrefix(u.data, []byte{0xff, 0xd8}) || !bytes.HasSuffix(u.data, []byte{0xff, 0xd9}) {
					t.Errorf("image %d: %v", i, u.keyframe)
				}
			}
		}
	}
	if got != 3 || dr.Get(DropLoss) != 1 {
		t.Errorf("%d images, drops %v", got, &dr)
	}
}

// testJPEG is a 64×64 image as far as RTP looks at it.
func testJPEG() []byte {
	b := []byte{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0}
	b = append(b, bytes.Repeat([]byte{16}, 64)...)
	b = append(b, 0xff, 0xc0, 0, 17, 8, 0, 64, 0, 64, 3, 0, 0x22, 0, 1, 0x11, 0, 2, 0x11, 0)
	b = append(b, 0xff, 0xda, 0, 12, 3, 0, 0, 1, 0x11, 2, 0x11, 0, 63, 0)
	b = append(b, bytes.Repeat([]byte{0x5a}, 5000)...)
	return append(b, 0xff, 0xd9)
}

func TestPictureSize(t *testing.T) {
	for _, c := range []struct {
		codec media.Codec
		sps   []byte
		w, h  int
	}{
		{media.H264, rtptest.SPS(), 1920, 1080},
		{media.H264, rtptest.SPS()[:6], 0, 0},
		{media.H264, nil, 0, 0},
		{media.H265, []byte{0x42, 1}, 0, 0},
		{media.MJPEG, rtptest.SPS(), 0, 0},
	} {
		if w, h := pictureSize(c.codec, c.sps); w != c.w || h != c.h {
			t.Errorf("%s % x: %d×%d, want %d×%d", c.codec, c.sps, w, h, c.w, c.h)
		}
	}
}

// Browsers send packets of padding to find out what the network carries. They are numbered like others, belong to no picture,
// and may be lost.
func TestDepacketizePadding(t *testing.T) {
	for _, c := range []struct {
		name string
		lose int
		want []int
		loss int
	}{
		{"none lost", -1, []int{0, 1, 2}, 0},
		{"padding lost", 1, []int{0, 1, 2}, 1}, // nobody can tell that it was padding
		{"a picture lost before padding", 2, []int{0, 2}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := pictures(t, [][]byte{rtptest.IDR(0, 10)}, [][]byte{rtptest.Inter(1, 10)}, [][]byte{rtptest.Inter(2, 10)})
			var numbered []*rtp.Packet
			n := 0
			add := func(p *rtp.Packet) {
				p.SequenceNumber = uint16(n)
				if n != c.lose {
					numbered = append(numbered, p)
				}
				n++
			}
			for _, p := range all {
				add(p)
				add(&rtp.Packet{Header: rtp.Header{Version: 2, Timestamp: p.Timestamp, Padding: true}})
			}
			var dr rtptest.Drops
			d, err := newDepacketizer(rtptest.H264(), nil, dr.Add)
			if err != nil {
				t.Fatal(err)
			}
			if got := run(t, d, numbered); !slices.Equal(got, c.want) || dr.Get(DropLoss) != c.loss || dr.Get(DropMalformed) != 0 {
				t.Errorf("pictures %v, drops %v", got, &dr)
			}
		})
	}
}
