package ffmpeg

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/asticode/go-astiav"

	"rave/engine/enginetest"
	"rave/engine/media"
)

// TestLiveInputHasItsOwnDecoders: of what is compiled in, live input gets three; by no name does it get another.
func TestLiveInputHasItsOwnDecoders(t *testing.T) {
	live := []string{"h264", "hevc", "mjpeg"}
	refused := 0
	for _, c := range astiav.Codecs() {
		if !c.IsDecoder() || slices.Contains(live, c.Name()) {
			continue
		}
		refused++
		_, err := NewDecoder(DecoderConfig{Stream: "cam", Codec: media.Codec(c.Name()), MaxPixels: 1 << 20, Threads: 1})
		want := fmt.Sprintf(`stream cam: codec %q is not decoded from live input; set the camera to H.264, H.265 or MJPEG`, c.Name())
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", c.Name(), err)
		}
	}
	if refused < 20 {
		t.Errorf("only %d decoders are compiled in beside those of live input", refused)
	}
	var opened []string
	for _, codec := range []media.Codec{media.H264, media.H265, media.MJPEG} {
		d, err := NewDecoder(DecoderConfig{Stream: "cam", Codec: codec, MaxPixels: 1 << 20, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, d.ctx.CodecID().String())
		d.Close()
	}
	if !slices.Equal(opened, live) {
		t.Errorf("opened %v", opened)
	}
}

// TestPictureWithoutSize: of a picture that declares no pixels the error does not say that it has too many.
func TestPictureWithoutSize(t *testing.T) {
	_, packets := enginetest.Stream(t, enginetest.MJPEG420)
	d, err := NewDecoder(DecoderConfig{Stream: "cam", Codec: media.MJPEG, MaxPixels: 8192 * 4608, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	_, err = d.Send(declare(t, media.MJPEG, packets[0].Data, 0, 0), 0)
	if err == nil || strings.Contains(err.Error(), "max_pixels") || !strings.Contains(err.Error(), "stream cam: the camera sends a picture of 0x0 pixels") {
		t.Errorf("%v", err)
	}
}

// TestHugePicturesAreRefused: a few bytes that declare a picture above the limit take no memory, and the error says which
// stream, what size, and which setting.
func TestHugePicturesAreRefused(t *testing.T) {
	for _, c := range []struct {
		codec media.Codec
		name  string
		size  [2]int // as it is coded
		limit int
		big   bool
	}{
		{media.H264, enginetest.H264, [2]int{16384, 16384}, 8192 * 4608, true},
		{media.H264, enginetest.H264, [2]int{8208, 4608}, 8192 * 4608, true},
		{media.H264, enginetest.H264, [2]int{160, 96}, 160*96 - 1, true},
		{media.H264, enginetest.H264, [2]int{160, 96}, 160 * 96, false},
		{media.H265, enginetest.H265, [2]int{16384, 16384}, 8192 * 4608, true},
		{media.H265, enginetest.H265, [2]int{15872, 15872}, 8192 * 4608, true}, // the parser of FFmpeg lets it pass
		{media.H265, enginetest.H265, [2]int{160, 96}, 160*96 - 1, true},
		{media.H265, enginetest.H265, [2]int{160, 96}, 160 * 96, false},
		{media.MJPEG, enginetest.MJPEG420, [2]int{16384, 16384}, 8192 * 4608, true},
		{media.MJPEG, enginetest.MJPEG420, [2]int{65535, 65535}, 8192 * 4608, true},
		{media.MJPEG, enginetest.MJPEG420, [2]int{160, 96}, 160*96 - 1, true},
		{media.MJPEG, enginetest.MJPEG420, [2]int{160, 96}, 160 * 96, false},
	} {
		t.Run(fmt.Sprintf("%s_%dx%d_%d", c.codec, c.size[0], c.size[1], c.limit), func(t *testing.T) {
			_, packets := enginetest.Stream(t, c.name)
			unit := declare(t, c.codec, packets[0].Data, c.size[0], c.size[1])
			cfg := DecoderConfig{Stream: "cam", Codec: c.codec, MaxPixels: c.limit, Threads: 2}
			d, err := NewDecoder(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			before := peak(t)
			_, err = d.Send(unit, 0)
			grown := peak(t) - before
			if !c.big {
				if err != nil {
					t.Error(err)
				}
				return
			}
			want := fmt.Sprintf("stream cam: the camera sends %dx%d pixels, and max_pixels is %d; lower the camera's resolution, or raise "+
				"max_pixels of the stream", c.size[0], c.size[1], c.limit)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
			if grown > 8<<10 {
				t.Errorf("the peak of memory grew by %d KiB", grown)
			}
			if c.codec == media.MJPEG {
				return
			}
			for u := range media.NALUs(unit) { // from the description
				if media.NALKindOf(c.codec, u) == media.NALSPS {
					cfg.ParameterSets = [][]byte{u}
				}
			}
			if d, err := NewDecoder(cfg); err == nil || err.Error() != want {
				t.Errorf("as parameter sets: %v", err)
				d.Close()
			}
		})
	}
}

// peak is the largest resident memory since the last call, in KiB.
func peak(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // begin anew
		t.Fatal(err)
	}
	return kib
}

// declare writes another size into the headers of an access unit.
func declare(t *testing.T, codec media.Codec, unit []byte, w, h int) []byte {
	t.Helper()
	if codec == media.MJPEG {
		unit = bytes.Clone(unit)
		sof := bytes.Index(unit, []byte{0xff, 0xc0})
		copy(unit[sof+5:], []byte{byte(h >> 8), byte(h), byte(w >> 8), byte(w)})
		return unit
	}
	var nals [][]byte
	for u := range media.NALUs(unit) {
		if media.NALKindOf(codec, u) == media.NALSPS {
			u = resized(codec, u, w, h)
		}
		nals = append(nals, u)
	}
	return media.AnnexB(nals...)
}

// resized writes another size into a sequence parameter set.
func resized(codec media.Codec, sps []byte, w, h int) []byte {
	if codec == media.H264 { // profile 66, level 3; id, 4 bits of frame_num, POC type 2, one reference, no gaps; size; no more
		return unbits([]byte{0x67}, "01000010 11000000 00011110 1 1 011 010 0"+ue(w/16-1)+ue(h/16-1)+"1 1 0 0 1")
	}
	var b strings.Builder
	for _, v := range media.Unescape(sps) {
		fmt.Fprintf(&b, "%08b", v)
	}
	bits := b.String()
	const size = 2*8 + 8 + 96 // NAL header; VPS id, sub-layers; profile, tier and level of one layer
	at := size + 4            // id 0, 4:2:0
	rest := at
	for range 2 {
		zeros := strings.IndexByte(bits[rest:], '1')
		rest += 2*zeros + 1
	}
	return unbits(nil, bits[:at]+ue(w)+ue(h)+bits[rest:])
}

// ue is ue(v), ITU-T H.264 section 9.1.
func ue(v int) string {
	s := strconv.FormatInt(int64(v+1), 2)
	return strings.Repeat("0", len(s)-1) + s
}

// unbits makes a NAL unit of bits.
func unbits(nal []byte, bits string) []byte {
	bits = strings.ReplaceAll(bits, " ", "")
	for i := 0; i < len(bits); i += 8 {
		v, err := strconv.ParseUint((bits + "00000000")[i:i+8], 2, 8)
		if err != nil {
			panic(err)
		}
		if n := len(nal); n >= 2 && nal[n-1] == 0 && nal[n-2] == 0 && v <= 3 { // emulation prevention
			nal = append(nal, 3)
		}
		nal = append(nal, byte(v))
	}
	return bytes.TrimRight(nal, "\x00")
}
