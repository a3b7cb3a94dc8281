package camera

import (
	"bytes"
	"slices"
	"testing"

	"rave/engine/media"
)

func TestNoise(t *testing.T) {
	whole := bytes.Repeat([]byte{0, 0, 0, 1, 0x65, 9}, 20)
	data := bytes.Clone(whole)
	got := noise(3, data)
	if !bytes.Equal(data, whole) {
		t.Error("the clip itself is spoiled")
	}
	units := slices.Collect(media.NALUs(got))
	if len(units) != 1 || units[0][0] != 0x65 || len(got) != len(whole) || bytes.Equal(got, whole) {
		t.Errorf("% x", got)
	}
	if !bytes.Equal(got, noise(3, data)) || bytes.Equal(got, noise(4, data)) {
		t.Error("the seed does not decide")
	}
}
