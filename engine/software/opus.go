package software

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmpeg4audio"
	"github.com/pion/rtp"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

const (
	opusBitrate = 96_000
	opusTime    = time.Second * ffmpeg.OpusFrame / ffmpeg.OpusRate
	// Packets whose times are further from what the samples before them add up to begin anew: something was lost, or the
	// camera's clock is not that of its samples.
	opusTolerance = 2 * opusTime
)

// opus makes Opus packets of RTP payloads of AAC (RFC 3640).
type opus struct {
	payload  rtpmpeg4audio.Decoder
	sequence uint16 // of the RTP packets that payload sees
	sound    *ffmpeg.OpusTranscoder
	at       time.Duration // PTS of the next packet
	started  bool
}

// NewOpus implements engine.Device.
func (d *Device) NewOpus(track media.Track) (engine.Stage[media.Packet, media.Packet], error) {
	if !engine.Transcodes(track) {
		return nil, fmt.Errorf("sound of %s is not made Opus; set the camera's sound to AAC, Opus or G.711", track.Codec)
	}
	o := &opus{}
	config, err := o.describe(track.RTP.FMTP)
	if err != nil {
		return nil, fmt.Errorf("the camera describes its AAC sound badly: %w; set its sound to G.711 instead", err)
	}
	if o.sound, err = ffmpeg.NewOpusTranscoder(config, opusBitrate); err != nil {
		return nil, err
	}
	return o, nil
}

// describe reads the format parameters of RFC 3640 section 4.1, and returns the AudioSpecificConfig.
func (o *opus) describe(params map[string]string) (config []byte, err error) {
	for _, p := range []struct {
		name  string
		into  *int
		least int
	}{{"sizelength", &o.payload.SizeLength, 1}, {"indexlength", &o.payload.IndexLength, 0}, {"indexdeltalength", &o.payload.IndexDeltaLength, 0}} {
		const most = 32
		text, given := params[p.name]
		if given {
			if *p.into, err = strconv.Atoi(text); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
		if *p.into < p.least || *p.into > most {
			return nil, fmt.Errorf("%s=%q is not from %d to %d", p.name, text, p.least, most)
		}
	}
	if config, err = hex.DecodeString(params["config"]); err != nil || len(config) == 0 {
		return nil, fmt.Errorf("config=%q is no AudioSpecificConfig", params["config"])
	}
	return config, o.payload.Init()
}

// Send implements engine.Stage.
func (o *opus) Send(p media.Packet, emit func(media.Packet) error) error {
	o.sequence++
	if p.Lost { // a gap, so that fragments on its two sides are not put together
		o.sequence++
	}
	units, err := o.payload.Decode(&rtp.Packet{Header: rtp.Header{Marker: p.Marker, SequenceNumber: o.sequence}, Payload: p.Data})
	switch {
	case errors.Is(err, rtpmpeg4audio.ErrMorePacketsNeeded):
		return nil
	case err != nil:
		return fmt.Errorf("AAC payload: %w", err)
	}
	o.follow(p.PTS)
	for _, u := range units {
		if err := o.sound.Send(u); err != nil {
			return err
		}
	}
	return o.receive(p, emit)
}

// follow keeps the times of packets to those of the sound: the next samples are heard at pts, those that wait just before.
func (o *opus) follow(pts time.Duration) {
	waits := media.Duration(int64(o.sound.Waiting()), ffmpeg.OpusRate)
	if off := pts - (o.at + waits); !o.started || off > opusTolerance || off < -opusTolerance {
		o.at, o.started = pts-waits, true
	}
}

func (o *opus) receive(p media.Packet, emit func(media.Packet) error) error {
	for {
		data, err := o.sound.Receive()
		if stop, err := done(err); stop {
			return err
		}
		out := media.Packet{Track: p.Track, PTS: o.at, Data: data, Keyframe: true, Arrival: p.Arrival, NTP: p.NTP}
		o.at += opusTime
		if err := emit(out); err != nil {
			return err
		}
	}
}

// Flush implements engine.Stage. Less than 20 ms are left, which make no packet.
func (o *opus) Flush(func(media.Packet) error) error { return nil }

// Close implements engine.Stage.
func (o *opus) Close() { o.sound.Close() }
