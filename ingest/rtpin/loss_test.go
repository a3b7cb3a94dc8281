package rtpin

import (
	"testing"

	"rave/engine/media"
	"rave/ingest/rtpin/rtptest"
)

// TestLossIsPassedOn: the first access unit after lost ones says so, whether they were seen or are missing as a whole.
func TestLossIsPassedOn(t *testing.T) {
	const size = 4000 // three packets each
	all := pictures(t, [][]byte{rtptest.IDR(0, size)}, [][]byte{rtptest.Inter(1, size)}, [][]byte{rtptest.Inter(2, size)}, [][]byte{rtptest.Inter(3, size)})
	for name, lose := range map[string][2]int{"nothing": {0, 0}, "one packet": {4, 5}, "a whole picture": {3, 6}} {
		t.Run(name, func(t *testing.T) {
			d, err := newDepacketizer(rtptest.H264(), [][]byte{rtptest.SPS(), rtptest.PPS()}, func(string, int) {})
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range all {
				if i >= lose[0] && i < lose[1] {
					continue
				}
				u, ok := d.push(p)
				if !ok {
					continue
				}
				if want := lose[1] > 0 && u.rtp == 2*3600; u.lost != want {
					t.Errorf("unit with timestamp %d: lost %v", u.rtp, u.lost)
				}
			}
		})
	}
}

// TestRecoveryIsPassedOn: how far a recovery point is from a whole picture goes with the access unit.
func TestRecoveryIsPassedOn(t *testing.T) {
	gradual := []byte{6, 6, 2, 0b0001111_0, 0b0_00_10000, 0x80} // 14
	instant := []byte{6, 6, 1, 0b1_0_0_00_100, 0x80}
	for i, c := range []struct {
		nals     [][]byte
		key      bool
		recovery int
	}{
		{[][]byte{rtptest.IDR(0, 1)}, true, 0},
		{[][]byte{rtptest.Inter(0, 1)}, false, 0},
		{[][]byte{gradual, rtptest.Inter(0, 1)}, false, 15}, // soon after an IDR: not worth entering, but it mends
		{[][]byte{instant, rtptest.Inter(0, 1)}, true, 1},
		{[][]byte{gradual, rtptest.IDR(0, 1)}, true, 0},
	} {
		u := newUnits(media.H264, nil)
		u.build([][]byte{rtptest.IDR(0, 1)})
		if _, key, recovery := u.build(c.nals); key != c.key || recovery != c.recovery {
			t.Errorf("unit %d: keyframe %v, recovery %d; want %v, %d", i, key, recovery, c.key, c.recovery)
		}
	}
}
