package config

import (
	"reflect"
	"time"
)

// Stream is what one stream reads, makes and may cost.
type Stream struct {
	Name         string
	Source       Source
	Username     string // for the camera; of its own key, else of the source's URL
	Password     Secret // as Username
	Transport    Transport
	VideoTimeout time.Duration // without a picture for so long, the camera is connected again
	Reconnect    Reconnect
	// While the camera is away the last picture is repeated for so long.
	HoldLastFrame time.Duration
	// OnDemand: pictures are enhanced only while somebody watches, and so long after that.
	OnDemand       bool
	OnDemandLinger time.Duration
	Deinterlace    Deinterlace
	Quality        []string // names of enhancers that may serve the stream, best first
	Strict         bool     // only the first of Quality
	Output         Output
	MaxPixels      int // of the camera's picture, as it is coded, and of the enhanced one
	Encode         Encode
}

// Transport is how RTP comes from a camera.
type Transport string

// The transports.
const (
	TransportAuto Transport = "auto" // UDP, then TCP
	TransportUDP  Transport = "udp"
	TransportTCP  Transport = "tcp"
)

// Reconnect bounds the wait before the next attempt; it doubles from Min to Max.
type Reconnect struct {
	Min, Max time.Duration
}

// Deinterlace says what becomes of interlaced pictures.
type Deinterlace string

// The ways of deinterlacing.
const (
	DeinterlaceAuto Deinterlace = "auto" // interlaced pictures only
	DeinterlaceOff  Deinterlace = "off"
)

// Output says how large the enhanced picture is.
type Output struct {
	Scale Scale
	Max   Size // a picture that would be larger is scaled less
}

// Encode configures the encoder.
type Encode struct {
	Codec   Codec
	Preset  string        // of x264
	Bitrate Bitrate       //
	GOP     time.Duration // from one keyframe to the next
}

// Codec is what the enhanced picture is encoded to.
type Codec string

// CodecH264 is made by x264.
const CodecH264 Codec = "h264"

// Equal reports whether two streams are configured alike. The other sections can be compared with ==.
func (s Stream) Equal(o Stream) bool { return reflect.DeepEqual(s, o) }

// SameSource reports whether two streams are fetched alike. What is made of their pictures may differ; a key that is
// neither of the source nor of the picture counts for both.
func (s Stream) SameSource(o Stream) bool {
	s.Deinterlace, s.Quality, s.Strict, s.Output, s.Encode = o.Deinterlace, o.Quality, o.Strict, o.Output, o.Encode
	s.MaxPixels, s.HoldLastFrame, s.OnDemand, s.OnDemandLinger = o.MaxPixels, o.HoldLastFrame, o.OnDemand, o.OnDemandLinger
	return s.Equal(o)
}

// SamePicture reports whether the same is made of two streams' pictures, wherever they come from.
func (s Stream) SamePicture(o Stream) bool {
	s.Source, s.Username, s.Password, s.Transport = o.Source, o.Username, o.Password, o.Transport
	s.VideoTimeout, s.Reconnect = o.VideoTimeout, o.Reconnect
	return s.Equal(o)
}

func defaultStream() Stream {
	return Stream{
		Transport:      TransportAuto,
		VideoTimeout:   5 * time.Second,
		Reconnect:      Reconnect{Min: 500 * time.Millisecond, Max: 15 * time.Second},
		HoldLastFrame:  10 * time.Second,
		OnDemandLinger: 15 * time.Second,
		Deinterlace:    DeinterlaceAuto,
		Quality:        []string{"live-x2", "lanczos"},
		Output:         Output{Scale: ScaleAuto, Max: Size{3840, 2160}},
		MaxPixels:      8192 * 4608,
		Encode:         Encode{Codec: CodecH264, Preset: "superfast", Bitrate: BitrateAuto, GOP: 2 * time.Second},
	}
}

// schema lists the keys of one stream: where it comes from, then what stream_defaults may say as well. The source
// comes first, so that username and password win over those in its URL.
func (s *Stream) schema() section {
	return append(section{
		{"source", scalar{set: s.setSource, get: func() string { return s.Source.url }, show: showURL,
			redact: func(string) string { return s.Source.String() }}},
		{"username", secret(&s.Username)},
		{"password", secret(&s.Password)},
	}, s.options()...)
}

// options lists the keys that stream_defaults and every stream have.
func (s *Stream) options() section {
	return section{
		{"transport", choice(&s.Transport, "a transport", TransportAuto, TransportUDP, TransportTCP)},
		{"video_timeout", duration(&s.VideoTimeout, 500*time.Millisecond, 10*time.Minute)},
		{"reconnect", s.Reconnect.schema()},
		{"hold_last_frame", duration(&s.HoldLastFrame, 0, time.Hour)},
		{"on_demand", boolean(&s.OnDemand)},
		{"on_demand_linger", duration(&s.OnDemandLinger, 0, 24*time.Hour)},
		{"deinterlace", choice(&s.Deinterlace, "a way to deinterlace", DeinterlaceAuto, DeinterlaceOff)},
		{"quality", list{get: func() []string { return s.Quality }, set: func(names []string) { s.Quality = names },
			check: checkModelRef, atLeast: "name at least one enhancer, such as lanczos"}},
		{"strict", boolean(&s.Strict)},
		{"output", s.Output.schema()},
		{"max_pixels", integer(&s.MaxPixels, parsePixels)},
		{"encode", s.Encode.schema()},
	}
}

func (r *Reconnect) schema() section {
	return section{
		{"min", duration(&r.Min, 100*time.Millisecond, time.Hour)},
		{"max", duration(&r.Max, 100*time.Millisecond, time.Hour)},
	}
}

func (u *Output) schema() section {
	return section{
		{"scale", number(&u.Scale, parseScale)},
		{"max", value(&u.Max, parseSize, Size.String)},
	}
}

func (e *Encode) schema() section {
	return section{
		{"codec", choice(&e.Codec, "a codec", CodecH264)},
		{"preset", choice(&e.Preset, "a preset", "ultrafast", "superfast", "veryfast", "faster", "fast", "medium",
			"slow", "slower", "veryslow")},
		{"bitrate", number(&e.Bitrate, parseBitrate)},
		{"gop", duration(&e.GOP, 100*time.Millisecond, time.Minute)},
	}
}

// setSource takes the value of source apart.
func (s *Stream) setSource(text string) error {
	src, user, pass, err := parseSource(text)
	if err != nil {
		return err
	}
	s.Source, s.Username, s.Password = src, user, pass
	return nil
}
