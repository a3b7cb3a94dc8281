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
