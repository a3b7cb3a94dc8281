package rtpin

import (
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/engine/media"
)

// Input is one track of a connection.
type Input struct {
	Format format.Format
	Track  media.Track // its ID is the caller's to set

	video  *depacketizer // nil for sound
	report senderReport
	placed bool // its first packet has its time
	hold   hold
}

// Video makes the input of a video track; nil for a codec that is not understood. onDrop is as in NewReceiver.
func Video(f format.Format, onDrop func(reason string, n int)) (*Input, error) {
	var sets [][]byte
	switch f := f.(type) {
	case *format.H264:
		sps, pps := f.SafeParams()
		sets = nonEmpty(sps, pps)
	case *format.H265:
		vps, sps, pps := f.SafeParams()
		sets = nonEmpty(vps, sps, pps)
	}
	d, err := newDepacketizer(f, sets, onDrop)
	if d == nil || err != nil {
		return nil, err
	}
	t := media.Track{Kind: media.Video, Codec: d.codec, ClockRate: media.VideoClockRate, ParameterSets: sets, RTP: rtpFormat(f)}
	for _, s := range sets {
		if media.NALKindOf(d.codec, s) == media.NALSPS {
			t.Width, t.Height = pictureSize(d.codec, s)
		}
	}
	return &Input{Format: f, Track: t, video: d}, nil
}

// Audio makes the input of a sound track, whatever its codec. Its clock rate must be known.
func Audio(f format.Format) *Input {
	return &Input{Format: f, Track: media.Track{Kind: media.Audio, Codec: audioCodec(f), ClockRate: f.ClockRate(), RTP: rtpFormat(f)}}
}

// audioCodec is the RTP encoding name in lower case; static payload types without an rtpmap get theirs from RFC 3551.
func audioCodec(f format.Format) media.Codec {
	name, _, _ := strings.Cut(f.RTPMap(), "/")
	if name == "" {
		name = f.Codec()
	}
	return media.Codec(strings.ToLower(name))
}

func rtpFormat(f format.Format) media.RTPFormat {
	return media.RTPFormat{PayloadType: f.PayloadType(), RTPMap: f.RTPMap(), FMTP: f.FMTP()}
}

func nonEmpty(sets ...[]byte) [][]byte {
	var l [][]byte
	for _, s := range sets {
		if len(s) > 0 {
			l = append(l, s)
		}
	}
	return l
}
