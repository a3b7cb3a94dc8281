package rtsp

import (
	"log/slog"
	"math/rand/v2"
	"slices"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"

	"rave/engine/media"
)

// generation is one description of a path. gortsplib fixes that of a stream, but for the parameter sets, so other formats
// need another generation.
type generation struct {
	offered []media.Track // all that were announced
	served  []int         // for each of them its index in tracks; leftOut
	tracks  []*outTrack
	byID    map[int]int // media.Track.ID to index in tracks; leftOut
	video   bool
	stream  *gortsplib.ServerStream
}

// leftOut stands for the index of a track that RTSP cannot describe.
const leftOut = -1

// newGeneration describes the tracks and makes a stream of them, which the caller closes. Sound that RTSP cannot
// describe is left out, with a warning; it is no reason not to serve the pictures.
func newGeneration(s *gortsplib.Server, tracks []media.Track, log *slog.Logger) (*generation, error) {
	g := &generation{offered: slices.Clone(tracks)}
	desc := &description.Session{Title: "RAVE"}
	var reason error
	for _, t := range tracks {
		o, err := newOutTrack(t)
		switch {
		case err != nil && t.Kind != media.Audio:
			return nil, err
		case err != nil:
			log.Warn("a track is left out: RTSP cannot describe it", "track", t.ID, "codec", t.Codec, "rtpmap", t.RTP.RTPMap, "error", err)
			g.served, reason = append(g.served, leftOut), err
			continue
		}
		g.served = append(g.served, len(g.tracks))
		g.tracks = append(g.tracks, o)
		g.video = g.video || t.Kind == media.Video
		desc.Medias = append(desc.Medias, o.media)
	}
	if len(g.tracks) == 0 && reason != nil {
		return nil, reason
	}
	g.update(tracks)
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
	return g != nil && media.SameTracks(g.offered, tracks)
}

// update takes over the parameter sets and ids of tracks that it accepts.
func (g *generation) update(tracks []media.Track) {
	g.byID = map[int]int{}
	for i, t := range tracks {
		g.byID[t.ID] = g.served[i]
		if g.served[i] != leftOut {
			g.tracks[g.served[i]].setParams(t.ParameterSets)
		}
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
