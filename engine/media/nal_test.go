package media

import (
	"bytes"
	"slices"
	"testing"
)

func TestNALKindOf(t *testing.T) {
	for _, c := range []struct {
		codec Codec
		types []byte
		want  NALKind
	}{
		{H264, []byte{1, 2, 3, 4}, NALPicture}, {H264, []byte{5}, NALIDR}, {H264, []byte{6}, NALSEI},
		{H264, []byte{7}, NALSPS}, {H264, []byte{8}, NALPPS}, {H264, []byte{9}, NALDelimiter},
		{H264, []byte{10, 11, 12}, NALSuffix}, {H264, []byte{0, 13, 14, 19, 20, 31}, NALOther},
		{H265, []byte{0, 1, 9, 15, 24, 31}, NALPicture}, {H265, []byte{16, 19, 21, 23}, NALIDR},
		{H265, []byte{32}, NALVPS}, {H265, []byte{33}, NALSPS}, {H265, []byte{34}, NALPPS}, {H265, []byte{35}, NALDelimiter},
		{H265, []byte{36, 37, 38, 40}, NALSuffix}, {H265, []byte{39}, NALSEI}, {H265, []byte{41, 47, 48, 63}, NALOther},
	} {
		for _, typ := range c.types {
			nal := []byte{0x60 | typ, 1}
			if c.codec == H265 {
				nal[0] = typ << 1
			}
			if got := NALKindOf(c.codec, nal); got != c.want {
				t.Errorf("%s type %d: kind %d, want %d", c.codec, typ, got, c.want)
			}
		}
	}
	if NALKindOf(H264, nil) != NALDelimiter || NALKindOf(H265, []byte{0x40}) != NALDelimiter {
		t.Error("what is shorter than a header carries nothing")
	}
}

func TestParameterSets(t *testing.T) {
	vps, sps, sps2 := []byte{0x40, 1, 1}, []byte{0x42, 1, 2}, []byte{0x42, 1, 3}
	pps0, pps1, pps1b := []byte{0x44, 1, 0x80}, []byte{0x44, 1, 0x40}, []byte{0x44, 1, 0x41}
	s := ParameterSets{Codec: H265}
	for i, c := range []struct {
		nal     []byte
		changed bool
		want    [][]byte
	}{
		{pps1, true, [][]byte{pps1}},
		{sps, true, [][]byte{sps}}, // its PPSs come after it
		{vps, true, [][]byte{vps, sps}},
		{pps0, true, [][]byte{vps, sps, pps0}},
		{pps1, true, [][]byte{vps, sps, pps0, pps1}},
		{pps1, false, [][]byte{vps, sps, pps0, pps1}},
		{pps1b, true, [][]byte{vps, sps, pps0, pps1b}},
		{sps, false, [][]byte{vps, sps, pps0, pps1b}},
		{[]byte{0x26, 1, 0x80}, false, [][]byte{vps, sps, pps0, pps1b}}, // a picture
		{append([]byte{0x42, 1}, make([]byte, maxParameterSet)...), false, [][]byte{vps, sps, pps0, pps1b}},
		{sps2, true, [][]byte{vps, sps2}},
	} {
		nal := bytes.Clone(c.nal)
		if got := s.Add(nal); got != c.changed {
			t.Errorf("step %d: changed %v, want %v", i, got, c.changed)
		}
		clear(nal) // the caller's memory is not kept
		if !slices.EqualFunc(s.List(), c.want, bytes.Equal) {
			t.Errorf("step %d: % x, want % x", i, s.List(), c.want)
		}
	}
	for id := range 200 { // ids of 8 to 207: ue(v) of 7 or more bits
		s.Add([]byte{0x44, 1, byte((id + 9) >> 7), byte((id + 9) << 1), 0x80})
	}
	if len(s.PPS) != maxPPS {
		t.Errorf("%d PPSs are kept", len(s.PPS))
	}
}
