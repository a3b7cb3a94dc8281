package enginetest

import (
	"bytes"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"rave/engine/media"
)

//go:embed testdata/*.h264 testdata/*.h265 testdata/*.mjpeg testdata/*.pts
var streams embed.FS

// frameTime is the time between two pictures of every stream here.
const frameTime = 40 * time.Millisecond

// Names of the streams, by what is special about them.
const (
	H264          = "h264.h264"
	Baseline      = "h264-baseline.h264"
	BFrames       = "h264-bframes.h264"
	Odd           = "h264-odd.h264" // cropped: 162x90 is not a multiple of 16
	TenBit        = "h264-10bit.h264"
	FourTwoTwo    = "h264-422.h264"
	Gray          = "h264-gray.h264"
	FullRange     = "h264-full-range.h264"
	BT709         = "h264-bt709.h264"
	Interlaced    = "h264-interlaced.h264"
	Interlaced422 = "h264-interlaced-422.h264"
	Huge          = "h264-huge.h264"    // one picture above any limit
	Slices        = "h264-slices.h264"  // four in each picture
	Refresh       = "h264-refresh.h264" // one IDR, then intra refresh
	H265          = "h265.h265"
	H265BFrames   = "h265-bframes.h265"
	H265Odd       = "h265-odd.h265" // 168x88 is not a multiple of 16
	H265BT709     = "h265-bt709.h265"
	H265TenBit    = "h265-10bit.h265"
	MJPEG420      = "mjpeg-420.mjpeg"
	MJPEG422      = "mjpeg-422.mjpeg"
	pictures      = 30 // in each of them
	width160      = 160
	height96      = 96
	largestDelay  = 4
)

// Stream returns a test stream as a camera sends it: its track and its access units in order.
func Stream(t testing.TB, name string) (media.Track, []media.Packet) {
	t.Helper()
	data, err := streams.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	track := media.Track{Kind: media.Video, ClockRate: media.VideoClockRate}
	var units [][]byte
	switch {
	case strings.HasSuffix(name, ".mjpeg"):
		track.Codec = media.MJPEG
		units = splitJPEG(data)
	case strings.HasSuffix(name, ".h265"):
		track.Codec = media.H265
		units = splitUnits(data, func(u []byte) bool { return u[0]>>1&0x3f == 35 })
	default:
		track.Codec = media.H264
		units = splitUnits(data, func(u []byte) bool { return u[0]&0x1f == 9 })
	}
	times := presentation(t, name, len(units))
	packets := make([]media.Packet, len(units))
	for i, u := range units {
		packets[i] = media.Packet{
			PTS: time.Duration(times[i]) * frameTime, Data: u, Keyframe: keyframe(track.Codec, u), Arrival: time.Now(),
			Discontinuity: i == 0, Recovery: recovery(track.Codec, u),
		}
	}
	return track, packets
}

// splitUnits cuts a byte stream before each access unit delimiter.
func splitUnits(data []byte, delimiter func(nalu []byte) bool) [][]byte {
	var units [][]byte
	for u := range media.NALUs(data) {
		if delimiter(u) {
			units = append(units, nil)
			continue
		}
		last := len(units) - 1
		units[last] = append(units[last], media.AnnexB(u)...)
	}
	return units
}

func splitJPEG(data []byte) [][]byte {
	var units [][]byte
	for {
		end := bytes.Index(data, []byte{0xff, 0xd9}) // end of image; in entropy-coded data 0xff is followed by 0
		if end < 0 {
			return units
		}
		units = append(units, data[:end+2])
		data = data[end+2:]
	}
}

func keyframe(codec media.Codec, unit []byte) bool {
	if codec == media.MJPEG {
		return true
	}
	for u := range media.NALUs(unit) {
		if codec == media.H264 && u[0]&0x1f == 5 {
			return true
		}
		if n := u[0] >> 1 & 0x3f; codec == media.H265 && n >= 16 && n <= 21 {
			return true
		}
	}
	return false
}

// recovery returns what media.Packet says of a recovery point.
func recovery(codec media.Codec, unit []byte) int {
	for u := range media.NALUs(unit) {
		if media.NALKindOf(codec, u) != media.NALSEI {
			continue
		}
		if count, ok := media.RecoveryPoint(codec, u); ok {
			return count + 1
		}
	}
	return 0
}

// presentation returns each access unit's place in time, in frames from 0.
func presentation(t testing.TB, name string, n int) []int {
	t.Helper()
	times := make([]int, n)
	for i := range times {
		times[i] = i
	}
	data, err := streams.ReadFile("testdata/" + name + ".pts")
	if err != nil {
		return times // no B-frames: the order of the stream
	}
	first := 1 << 30
	for i, line := range strings.Fields(string(data)) {
		if times[i], err = strconv.Atoi(line); err != nil {
			t.Fatal(fmt.Errorf("%s.pts: %w", name, err))
		}
		first = min(first, times[i])
	}
	for i := range times {
		times[i] -= first
	}
	return times
}
