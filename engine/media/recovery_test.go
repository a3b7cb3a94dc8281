package media

import "testing"

func TestRecoveryPoint(t *testing.T) {
	for name, c := range map[string]struct {
		codec Codec
		sei   []byte
		count int
		ok    bool
	}{
		"at once":                 {H264, []byte{6, 6, 1, 0b1_0_0_00_100, 0x80}, 0, true},
		"14":                      {H264, []byte{6, 6, 2, 0b0001111_0, 0b0_00_10000, 0x80}, 14, true},
		"behind another message":  {H264, []byte{6, 5, 2, 9, 9, 6, 1, 0b1_0_0_00_100, 0x80}, 0, true},
		"H.265, 7 later":          {H265, []byte{0x4e, 1, 6, 2, 0b0001110_1, 0b10000000, 0x80}, 7, true}, // se(v): ue 13
		"H.265, before":           {H265, []byte{0x4e, 1, 6, 1, 0b011_1_0_100, 0x80}, 0, true},           // se(v): -1
		"escaped":                 {H264, []byte{6, 5, 4, 0, 0, 3, 1, 7, 6, 1, 0b1_0_0_00_100, 0x80}, 0, true},
		"none":                    {H264, []byte{6, 5, 1, 0, 0x80}, 0, false},
		"longer than it is":       {H264, []byte{6, 5, 200, 0, 0x80}, 0, false},
		"nothing":                 {H264, nil, 0, false},
		"a count without its end": {H264, []byte{6, 6, 1, 0}, 0, false},
	} {
		if count, ok := RecoveryPoint(c.codec, c.sei); count != c.count || ok != c.ok {
			t.Errorf("%s: %d, %v; want %d, %v", name, count, ok, c.count, c.ok)
		}
	}
}
