package rtsp

import (
	"math/rand/v2"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"

	"rave/engine/media"
)

// generation is one description of a path. gortsplib fixes that of a stream, but for the parameter sets, so other formats
// need another generation.
type generation struct {
	tracks []*outTrack
	byID   map[int]int // media.Track.ID to index
	video  bool
	stream *gortsplib.ServerStream
}

// newGeneration describes the tracks and makes a stream of them, which the caller closes.
func newGeneration(s *gortsplib.Server, tracks []media.Track) (*generation, error) {
	g := &generation{byID: map[int]int{}}
	desc := &description.Session{Title: "RAVE"}
	for i, t := range tracks {
		o, err := newOutTrack(t)
		if err != nil {
			return nil, err
		}
		g.tracks = append(g.tracks, o)
		g.byID[t.ID] = i
		g.video = g.video || t.Kind == media.Video
		desc.Medias = append(desc.Medias, o.media)
	}
	g.stream = &gortsplib.ServerStream{Server: s, Desc: desc}
	if err := g.stream.Initialize(); err != nil {
		return nil, err
	}
	stats := g.stream.Stats() // the only way to learn the sources that gortsplib has drawn
	for _, o := range g.tracks {
		o.ssrc = stats.Medias[o.media].Formats[o.format].LocalSSRC
	}
	return g, nil
}

// accepts reports that readers of this generation can be served those tracks. A nil generation accepts nothing.
func (g *generation) accepts(tracks []media.Track) bool {
	if g == nil || len(g.tracks) != len(tracks) {
		return false
	}
	for i, t := range tracks {
		if !g.tracks[i].track.SameFormat(t) {
			return false
		}
	}
	return true
}

// update takes over the parameter sets and ids of tracks that it accepts.
func (g *generation) update(tracks []media.Track) {
	g.byID = map[int]int{}
	for i, t := range tracks {
		g.byID[t.ID] = i
		g.tracks[i].setParams(t.ParameterSets)
	}
}

// newReader prepares a reader of the medias that a session has set up.
func (g *generation) newReader(out packetWriter, medias []*description.Media) *reader {
	r := &reader{out: out, tracks: make([]readerTrack, len(g.tracks))}
	for i, t := range g.tracks {
		rt := readerTrack{outTrack: t, seq: uint16(rand.Uint32())}
		for _, m := range medias {
			rt.on = rt.on || m == t.media
		}
		r.video = r.video || rt.on && t.track.Kind == media.Video
		r.tracks[i] = rt
	}
	return r
}
