package engine

import (
	"context"
	"fmt"

	"rave/engine/media"
)

// AAC is the codec that RenditionOpus is made of, by its RTP encoding name (RFC 3640).
const AAC media.Codec = "mpeg4-generic"

// Transcodes reports whether a sound track can be made RenditionOpus of.
func Transcodes(t media.Track) bool { return t.Kind == media.Audio && t.Codec == AAC }

// OpusRate is the clock rate of every Opus track, in Hz (RFC 7587 section 4.1).
const OpusRate = 48000

// opusTrack describes what is made of a sound track.
func opusTrack(of media.Track) media.Track {
	const payloadType = 111
	return media.Track{ID: of.ID, Kind: media.Audio, Codec: "opus", ClockRate: OpusRate, RTP: media.RTPFormat{
		PayloadType: payloadType, RTPMap: "opus/48000/2", FMTP: map[string]string{"sprop-stereo": "1"},
	}}
}

const (
	soundWaits    = 64 // packets that may wait: more than a second
	soundPatience = 10 // so many failures in a row are not those of single packets
)

// sound makes Opus of the camera's sound.
type sound struct {
	*side[media.Packet]
	s   *Session
	out media.Output

	// Of its goroutine:
	stage Stage[media.Packet, media.Packet]
	bad   int // in a row
}

func newSound(s *Session, out media.Output) *sound {
	d := &sound{s: s, out: out}
	d.side = newSide(s, RenditionOpus, soundWaits, func(media.Packet) {})
	d.work, d.end = d.transcode, d.close
	return d
}

// send lets d have a packet if it is wanted; d may be nil.
func (d *sound) send(p media.Packet) {
	if d != nil && d.wanted.Load() {
		d.put(p)
	}
}

func (d *sound) transcode(_ context.Context, p media.Packet) error {
	if d.stage == nil {
		stage, err := d.s.cfg.Plan.Encode.NewOpus(d.s.cfg.Sound)
		if err != nil {
			return fmt.Errorf("stream %s: %w", d.s.cfg.Stream, err)
		}
		d.stage = stage
		if err := d.out.Tracks([]media.Track{opusTrack(d.s.cfg.Sound)}); err != nil {
			return fmt.Errorf("announce: %w", err)
		}
	}
	err := d.stage.Send(p, d.out.Packet)
	if err == nil {
		d.bad = 0
		return nil
	}
	if d.bad++; d.bad < soundPatience {
		d.obs.Dropped(d.name, DropCorrupt, 1)
		return nil
	}
	return err
}

func (d *sound) close() {
	if d.stage != nil {
		d.stage.Close()
		d.stage = nil
	}
	d.bad = 0
}
