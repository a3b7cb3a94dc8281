package media

import (
	"bytes"
	"slices"
	"testing"
)

func TestNALUsOfAnnexB(t *testing.T) {
	a, b := []byte{0x67, 1, 2}, []byte{0x65, 0, 0, 3, 1}
	for name, data := range map[string][]byte{
		"4-byte start codes":       AnnexB(a, b),
		"3-byte start codes":       slices.Concat([]byte{0, 0, 1}, a, []byte{0, 0, 1}, b),
		"trailing zeros and blank": slices.Concat([]byte{0, 0, 1}, a, []byte{0, 0, 0, 0, 1, 0, 0, 1}, b, []byte{0, 0}),
		"leading junk":             slices.Concat([]byte{9, 9}, AnnexB(a, b)),
	} {
		got := slices.Collect(NALUs(data))
		if len(got) != 2 || !bytes.Equal(got[0], a) || !bytes.Equal(got[1], b) {
			t.Errorf("%s: got %x", name, got)
		}
	}
	if got := slices.Collect(NALUs([]byte{1, 2, 3})); got != nil {
		t.Errorf("no start code: got %x", got)
	}
	if AnnexB() != nil {
		t.Error("AnnexB of nothing is not nil")
	}
}

func TestDisposable(t *testing.T) {
	for name, c := range map[string]struct {
		codec Codec
		head  byte
		want  bool
	}{
		"H.264 IDR": {H264, 0x65, false}, "H.264 P": {H264, 0x41, false}, "H.264 b": {H264, 0x01, true}, "H.264 SEI only": {H264, 0x06, false},
		"H.265 TRAIL_N": {H265, 0 << 1, true}, "H.265 TRAIL_R": {H265, 1 << 1, false}, "H.265 RASL_N": {H265, 8 << 1, true},
		"H.265 IDR": {H265, 19 << 1, false}, "H.265 SPS only": {H265, 33 << 1, false}, "JPEG": {MJPEG, 0x01, false},
	} {
		if got := Disposable(c.codec, AnnexB([]byte{c.head, 1, 2})); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSequenceSets(t *testing.T) {
	sps, pps, idr := []byte{0x67, 1}, []byte{0x68, 2}, []byte{0x65, 3}
	if got := SequenceSets(H264, AnnexB(sps, pps, idr)); !bytes.Equal(got, []byte{0, 0, 1, 0x67, 1}) {
		t.Errorf("H.264: %x", got)
	}
	if got := SequenceSets(H264, AnnexB(idr, sps)); got != nil {
		t.Errorf("behind the picture: %x", got)
	}
	if got := SequenceSets(H265, AnnexB([]byte{33 << 1, 1}, []byte{19 << 1, 1})); len(got) != 5 {
		t.Errorf("H.265: %x", got)
	}
	if got := SequenceSets(MJPEG, []byte{0xff, 0xd8}); got != nil {
		t.Errorf("JPEG: %x", got)
	}
}

func FuzzNALUs(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68})
	f.Add([]byte{0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		units := slices.Collect(NALUs(data))
		again := slices.Collect(NALUs(AnnexB(units...)))
		if !slices.EqualFunc(units, again, bytes.Equal) {
			t.Fatalf("%x: %x became %x", data, units, again)
		}
	})
}
