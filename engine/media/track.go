package media

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Kind tells video from sound.
type Kind uint8

// The kinds of tracks.
const (
	Video Kind = iota + 1
	Audio
)

// String returns "video" or "audio".
func (k Kind) String() string {
	switch k {
	case Video:
		return "video"
	case Audio:
		return "audio"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Codec names a compressed format in the field's usual spelling.
type Codec string

// Codecs that the engine decodes or makes. Audio tracks that are passed through carry their RTP encoding name in
// lower case ("pcma", "mpeg4-generic", "opus").
const (
	H264  Codec = "h264"
	H265  Codec = "h265"
	MJPEG Codec = "mjpeg"
)

// VideoClockRate is the RTP clock of every video codec here, in Hz (RFC 6184 section 8.2.1, RFC 7798 section 7.1,
// RFC 2435 section 3).
const VideoClockRate = 90000

// RTPFormat is how a track is described in SDP; a track that is passed through needs nothing else.
type RTPFormat struct {
	PayloadType uint8             // 0 to 127
	RTPMap      string            // "opus/48000/2"; empty for static payload types without one
	FMTP        map[string]string // format parameters, lower-case keys
}

// Track describes one elementary stream.
type Track struct {
	ID            int   // index within the stream; Packet.Track refers to it
	Kind          Kind  //
	Codec         Codec //
	ClockRate     int   // RTP clock, Hz
	Width, Height int   // luma pixels; 0 if the description does not say
	ParameterSets [][]byte
	// ParameterSets are NAL units without start codes, in the order SPS, PPS (H.264) or VPS, SPS, PPS (H.265); empty
	// if they come in-band only.
	RTP RTPFormat
}

// SameFormat reports whether readers that were told t can be served o as well: the same kind, codec and RTP
// description, whatever the parameter sets and the size.
func (t Track) SameFormat(o Track) bool {
	if t.Kind != o.Kind || t.Codec != o.Codec || t.ClockRate != o.ClockRate {
		return false
	}
	return t.Kind == Video || t.RTP.RTPMap == o.RTP.RTPMap && maps.Equal(t.RTP.FMTP, o.RTP.FMTP)
}

// SameTracks reports whether two descriptions have the same formats in the same order.
func SameTracks(a, b []Track) bool {
	return slices.EqualFunc(a, b, Track.SameFormat)
}

// Packet is one unit of compressed media: a video access unit, or one RTP payload of sound.
type Packet struct {
	Track int
	// PTS is the presentation time on the stream's own clock: monotonic across reconnects, starting near 0 when the
	// stream was first seen. With B-frames PTS does not ascend in the order of arrival.
	PTS time.Duration
	// Data: H.264 and H.265: one access unit as Annex B with 4-byte start codes (a keyframe is led by its parameter
	// sets); MJPEG: one JPEG image; audio: one RTP payload. Never changed once the packet is made.
	Data []byte
	// Keyframe: decoding can start here (IDR, CRA or BLA, a recovery point, or any MJPEG image). Always true for audio.
	Keyframe bool
	// Recovery: whatever was lost before, pictures are whole from the Recovery-th access unit on, this one being the
	// first. 0 if the stream says nothing: a keyframe is whole itself then.
	Recovery int
	// Lost: access units before this one, and after the last packet of its track, are missing, so that pictures may refer
	// to lost data from here on.
	Lost bool
	// Marker is the RTP marker bit of an audio payload.
	Marker bool
	// Discontinuity: the first packet of its track after a (re)connection or a jump of the sender's clock.
	Discontinuity bool
	// DecodeOnly: no picture is wanted of it, only others refer to it; losing it is no drop.
	DecodeOnly bool
	// Arrival is when the last byte came in on this machine, with the monotonic reading.
	Arrival time.Time
	// NTP is the sender's wall clock at capture, from its RTCP sender reports; zero if it sent none.
	NTP time.Time
	// Held: no picture of the camera's, but the last one once more, while the camera is away. It has neither Arrival nor NTP.
	Held bool
	// Enhancer names the rung that made an enhanced picture ("live-x2", "lanczos"); empty for an original.
	Enhancer string
}

// Ticks converts a stream time into RTP clock ticks, rounded to the nearest.
func Ticks(t time.Duration, clockRate int) int64 {
	sec, rem := t/time.Second, t%time.Second
	half := time.Second / 2
	if rem < 0 {
		half = -half
	}
	return int64(sec)*int64(clockRate) + int64((rem*time.Duration(clockRate)+half)/time.Second)
}

// Duration converts RTP clock ticks into stream time, rounded to the nearest nanosecond. Ticks(Duration(n, r), r) is n
// for every clock rate up to 500 MHz.
func Duration(ticks int64, clockRate int) time.Duration {
	sec, rem := ticks/int64(clockRate), ticks%int64(clockRate)
	half := int64(clockRate) / 2
	if rem < 0 {
		half = -half
	}
	return time.Duration(sec)*time.Second + time.Duration((rem*int64(time.Second)+half)/int64(clockRate))
}
