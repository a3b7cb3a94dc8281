package rtsp

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/rtpin"
)

// input is one media of a description that is taken, with its first usable format.
type input struct {
	*rtpin.Input
	media *description.Media
}

// Bounds on what a description may cost: sockets for each sound track, and names in texts.
const (
	maxSounds = 8
	maxNames  = 10
)

// choose picks the first video media that can be decoded and the first sounds. The rest comes back as names. An error
// names what was offered, and wraps ingest.ErrPermanent.
func choose(desc *description.Session, onDrop func(string, int)) (inputs []*input, ignored []string, err error) {
	hasVideo, sounds := false, 0
	var videos, all []string
	for _, m := range desc.Medias {
		in, reason := chooseFormat(m, onDrop)
		all = append(all, mediaName(m))
		if m.Type == description.MediaTypeVideo {
			videos = append(videos, mediaName(m))
		}
		switch {
		case in == nil:
			ignored = append(ignored, mediaName(m)+reason)
		case in.Track.Kind == media.Video && hasVideo:
			ignored = append(ignored, mediaName(m)+" (a second video)")
		case in.Track.Kind == media.Audio && sounds == maxSounds:
			ignored = append(ignored, fmt.Sprintf("%s (more than %d sound tracks)", mediaName(m), maxSounds))
		default:
			if in.Track.Kind == media.Video {
				hasVideo = true
			} else {
				sounds++
			}
			in.Track.ID = len(inputs)
			inputs = append(inputs, in)
		}
	}
	switch {
	case hasVideo:
		return inputs, few(ignored), nil
	case len(videos) == 0:
		return nil, nil, fmt.Errorf("no video is offered (only %s): choose a path with video: %w", orNothing(all), ingest.ErrPermanent)
	default:
		return nil, nil, fmt.Errorf("video is offered as %s only: set the codec to H.264, H.265 or MJPEG: %w",
			strings.Join(few(videos), ", "), ingest.ErrPermanent)
	}
}

// chooseFormat returns nil and the reason for a media that is not taken.
func chooseFormat(m *description.Media, onDrop func(string, int)) (in *input, reason string) {
	if m.IsBackChannel {
		return nil, " (back channel)"
	}
	for _, f := range m.Formats {
		switch m.Type {
		case description.MediaTypeVideo:
			in, err := rtpin.Video(f, onDrop)
			if err != nil {
				reason = fmt.Sprintf(" (%v)", err)
			}
			if in != nil {
				return &input{in, m}, ""
			}
		case description.MediaTypeAudio:
			if f.ClockRate() > 0 {
				return &input{rtpin.Audio(f), m}, ""
			}
			reason = " (no clock rate)"
		}
	}
	return nil, reason
}

// mediaName is for people: "video VP9", "application vnd.onvif.metadata/90000".
func mediaName(m *description.Media) string {
	var formats []string
	for _, f := range m.Formats {
		name := f.RTPMap()
		if _, generic := f.(*format.Generic); !generic || name == "" {
			name = f.Codec()
		}
		formats = append(formats, name)
	}
	return string(m.Type) + " " + strings.Join(formats, "/")
}

func orNothing(l []string) string {
	if len(l) == 0 {
		return "nothing at all"
	}
	return strings.Join(few(l), ", ")
}

// few shortens a list of names.
func few(names []string) []string {
	if len(names) <= maxNames {
		return names
	}
	return append(slices.Clone(names[:maxNames]), fmt.Sprintf("%d more", len(names)-maxNames))
}

// tracksOf is what a receiver needs of the inputs.
func tracksOf(inputs []*input) []*rtpin.Input {
	l := make([]*rtpin.Input, len(inputs))
	for i, in := range inputs {
		l[i] = in.Input
	}
	return l
}
