package worker

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Bits of a packet's flags.
const (
	flagKeyframe = 1 << iota
	flagMarker
	flagDiscontinuity
	flagArrival
	flagNTP
	flagLost
	flagDecodeOnly
	flagHeld
	flagsKnown = 1<<iota - 1
)

// appendPacket appends everything of a packet but its data, which follow as they are up to the end of the message.
func appendPacket(b []byte, p media.Packet, now time.Time) []byte {
	b = appendInt(b, flag(p.Keyframe, flagKeyframe)|flag(p.Marker, flagMarker)|flag(p.Discontinuity, flagDiscontinuity)|
		flag(!p.Arrival.IsZero(), flagArrival)|flag(!p.NTP.IsZero(), flagNTP)|flag(p.Lost, flagLost)|
		flag(p.DecodeOnly, flagDecodeOnly)|flag(p.Held, flagHeld))
	b = appendInt(b, p.Track)
	b = appendInt(b, p.Recovery)
	b = appendInt(b, p.PTS)
	if !p.Arrival.IsZero() {
		b = appendTime(b, p.Arrival, now)
	}
	if !p.NTP.IsZero() {
		b = appendInt(b, p.NTP.UnixNano())
	}
	return appendText(b, p.Enhancer)
}

func flag(on bool, bit int) int {
	if on {
		return bit
	}
	return 0
}

// decodePacket reads a packet; its data share the message's memory.
func decodePacket(message []byte, now time.Time) (media.Packet, error) {
	f := fields{b: message}
	flags := f.int()
	if flags < 0 || flags > flagsKnown {
		f.fail("flags")
	}
	p := media.Packet{
		Keyframe: flags&flagKeyframe != 0, Marker: flags&flagMarker != 0, Discontinuity: flags&flagDiscontinuity != 0,
		Lost: flags&flagLost != 0, DecodeOnly: flags&flagDecodeOnly != 0, Held: flags&flagHeld != 0,
		Track: f.int(), Recovery: f.int(), PTS: f.duration(),
	}
	if flags&flagArrival != 0 {
		p.Arrival = f.time(now)
	}
	if flags&flagNTP != 0 {
		p.NTP = time.Unix(0, f.int64())
	}
	p.Enhancer = f.text()
	if len(f.b) > maxData {
		f.fail("data")
	}
	p.Data, f.b = f.b, nil
	return p, f.end()
}

func appendTrack(b []byte, t media.Track) []byte {
	b = appendInt(b, t.ID)
	b = append(b, byte(t.Kind))
	b = appendText(b, string(t.Codec))
	b = appendInt(b, t.ClockRate)
	b = appendInt(b, t.Width)
	b = appendInt(b, t.Height)
	b = appendInt(b, len(t.ParameterSets))
	for _, s := range t.ParameterSets {
		b = appendBytes(b, s)
	}
	b = append(b, t.RTP.PayloadType)
	b = appendText(b, t.RTP.RTPMap)
	b = appendInt(b, len(t.RTP.FMTP))
	for _, k := range slices.Sorted(maps.Keys(t.RTP.FMTP)) {
		b = appendText(appendText(b, k), t.RTP.FMTP[k])
	}
	return b
}

func (f *fields) track() media.Track {
	const sets, setBytes = 64, 64 << 10
	t := media.Track{
		ID: f.int(), Kind: media.Kind(f.byte()), Codec: media.Codec(f.text()), ClockRate: f.int(), Width: f.int(), Height: f.int(),
	}
	for range f.list(sets) {
		t.ParameterSets = append(t.ParameterSets, slices.Clone(f.bytes(setBytes)))
	}
	t.RTP.PayloadType, t.RTP.RTPMap = f.byte(), f.text()
	for range f.list(maxList) {
		if t.RTP.FMTP == nil {
			t.RTP.FMTP = map[string]string{}
		}
		k := f.text()
		t.RTP.FMTP[k] = f.text()
	}
	return t
}

// list reads how many elements follow; each has at least a byte.
func (f *fields) list(limit int) int {
	n := f.int64()
	if n < 0 || n > int64(min(limit, len(f.b))) {
		f.fail("list")
		return 0
	}
	return int(n)
}

func encodeTracks(tracks []media.Track) []byte {
	b := appendInt(nil, len(tracks))
	for _, t := range tracks {
		b = appendTrack(b, t)
	}
	return b
}

func decodeTracks(message []byte) ([]media.Track, error) {
	const limit = 16
	f := fields{b: message}
	var tracks []media.Track
	for range f.list(limit) {
		tracks = append(tracks, f.track())
	}
	return tracks, f.end()
}

// startMessage is all that a worker has to know.
type startMessage struct {
	version int
	level   slog.Level    // records below it are not sent
	resume  bool          // a worker before this one has delivered pictures
	after   time.Duration // the last of them; the pictures of packets that are sent again are not made again
	want    set           // renditions
	memory  int64         // bytes that the worker may use; 0: no bound
	avoid   []verdict     // models
	spec    []byte
	config  engine.Config // without Plan, Renditions, Observer, Log and OnMisuse
}

func (m startMessage) encode() []byte {
	c := m.config
	b := appendInt(nil, m.version)
	b = appendInt(b, int(m.level))
	b = appendInt(appendBool(b, m.resume), m.after)
	b = appendInt(append(b, byte(m.want)), m.memory)
	b = appendList(b, m.avoid, func(o []byte, v verdict) []byte { return appendInt(appendText(appendText(o, v.model), v.why), v.rest) })
	b = appendBytes(b, m.spec)
	b = appendTrack(appendTrack(appendText(b, c.Stream), c.Track), c.Sound)
	b = appendInt(b, len(c.Quality))
	for _, q := range c.Quality {
		b = appendText(b, q)
	}
	b = appendBool(b, c.Strict)
	b = appendFloat(b, c.Output.Scale)
	b = appendInt(appendInt(b, c.Output.MaxWidth), c.Output.MaxHeight)
	b = appendInt(b, c.MaxPixels)
	b = appendText(b, c.Preset)
	b = appendInt(b, c.Bitrate)
	b = appendInt(b, c.GOP)
	b = appendBool(b, c.Deinterlace)
	b = appendInt(appendInt(b, c.SteadySize), c.Threads)
	return appendBool(b, c.Replay)
}

func decodeStart(message []byte) (startMessage, error) {
	f := fields{b: message}
	m := startMessage{version: f.int()}
	if m.version != protocolVersion { // the rest may mean anything
		f.fail("version")
	}
	m.level = slog.Level(f.int())
	m.resume, m.after = f.bool(), f.duration()
	m.want, m.memory = f.set(), f.int64()
	m.avoid = readList(&f, func() verdict { return verdict{f.text(), f.text(), f.duration()} })
	m.spec = f.bytes(maxMessage)
	c := &m.config
	c.Stream, c.Track, c.Sound = f.text(), f.track(), f.track()
	for range f.list(maxList) {
		c.Quality = append(c.Quality, f.text())
	}
	c.Strict = f.bool()
	c.Output = engine.OutputRule{Scale: f.float(), MaxWidth: f.int(), MaxHeight: f.int()}
	c.MaxPixels = f.int()
	c.Preset, c.Bitrate, c.GOP, c.Deinterlace = f.text(), f.int(), f.duration(), f.bool()
	c.SteadySize, c.Threads, c.Replay = f.duration(), f.int(), f.bool()
	return m, f.end()
}
