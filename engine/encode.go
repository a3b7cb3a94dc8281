package engine

import (
	"cmp"
	"fmt"
	"time"

	"rave/engine/media"
)

// An encoder that fails this often in a row ends the run of the session.
const encoderPatience = 5

// encodeStage is what the encode goroutine owns: one encoder for each generation.
type encodeStage struct {
	enc       Encoder
	in        media.Format
	failed    int
	announced bool          // the tracks of this encoder have been given out
	last      time.Duration // PTS of the last picture
	keyed     time.Duration // PTS of the last keyframe
	started   bool
	rate      rateMeter
	fps       float64 // that the encoder was last told
	bitrate   int
	spent     workMeter
}

func (e *encodeStage) close() {
	if e.enc != nil {
		e.enc.Close()
		e.enc = nil
	}
	e.in = media.Format{}
}

// encode makes one access unit and gives it out.
func (s *Session) encode(f *media.Frame) error {
	e := &s.enc
	if f.Held {
		return s.encodeHeld(f)
	}
	s.obs.Waiting(StageEncode, s.enhanced.Len())
	if e.enc == nil || f.Format != e.in {
		if err := s.newEncoder(f.Format); err != nil {
			f.Release()
			s.obs.Dropped(StageEncode, DropError, 1)
			return err
		}
	}
	e.ascend(f)
	if e.adaptRate(f.PTS, s.bitrate) {
		s.log.Debug("rate control follows the frame rate", "fps", round1(e.fps), "bitrate", e.bitrate)
	}
	s.keyframeIfDue(f.PTS)
	return s.send(s.still.keep(f))
}

// send has the encoder make an access unit, and gives it out.
func (s *Session) send(f *media.Frame) error {
	e := &s.enc
	held, start, waited := f.Held, time.Now(), time.Since(f.Enhanced) // f has another owner after Send
	var (
		emitting time.Duration
		giveErr  error
	)
	err := e.enc.Send(f, func(p media.Packet) error {
		t := time.Now()
		defer func() { emitting += time.Since(t) }()
		giveErr = s.give(p)
		return giveErr
	})
	if !held {
		worked := time.Since(start) - emitting
		s.obs.StageDone(StageEncode, waited, worked)
		e.spent.add(worked)
	}
	if err == nil && giveErr == nil {
		e.failed = 0
		return nil
	}
	if !held {
		s.obs.Dropped(StageEncode, DropError, 1)
	}
	if giveErr != nil { // no fault of the encoder's
		return giveErr
	}
	if e.failed++; e.failed >= encoderPatience {
		return fmt.Errorf("encoder failed %d times in a row: %w", e.failed, err)
	}
	if n, ok := s.unencoded.pass(time.Now()); ok {
		s.log.Error("encoder failed, building a new one", "err", err, "others_before", n)
	}
	e.close()
	return nil
}

// keyframeIfDue makes the picture at pts a keyframe if it is time for one, or somebody has asked for one.
func (s *Session) keyframeIfDue(pts time.Duration) {
	if s.enc.due(pts, s.cfg.GOP, &s.keyframe) {
		s.enc.requestKeyframe(pts, &s.keyframe)
	}
}

func (s *Session) newEncoder(in media.Format) error {
	e := &s.enc
	if err := s.encodeFlush(); err != nil {
		return err
	}
	e.close()
	s.still.drop() // it is no picture for this encoder
	e.fps = e.rate.fps(25)
	e.bitrate = s.bitrate(in, e.fps)
	enc, err := s.cfg.Plan.Encode.NewEncoder(EncoderParams{
		In: in, Track: s.cfg.Track.ID, Preset: s.cfg.Preset, Bitrate: e.bitrate, FrameRate: e.fps, Threads: s.cfg.Threads,
	})
	if err != nil {
		return fmt.Errorf("open encoder: %w", err)
	}
	e.enc, e.in, e.announced = enc, in, false
	e.requestKeyframe(e.last, &s.keyframe)
	return nil
}

// bitrate is what is configured, or follows from size and frame rate.
func (s *Session) bitrate(f media.Format, fps float64) int {
	return cmp.Or(s.cfg.Bitrate, Bitrate(f, fps))
}

// adaptRate keeps the bitrate at whatever frame rate the pictures come, without a new keyframe. What bitrate returns may
// follow the frame rate as well. It reports a change.
func (e *encodeStage) adaptRate(pts time.Duration, bitrate func(media.Format, float64) int) bool {
	if !e.rate.observe(pts) {
		return false
	}
	// One step at a time: a wrong measurement must not give the next pictures many times their share.
	fps := min(max(e.rate.fps(e.fps), e.fps/2), e.fps*2)
	if change := fps / e.fps; change > 0.9 && change < 1.1 {
		return false
	}
	e.fps, e.bitrate = fps, bitrate(e.in, fps)
	e.enc.SetRate(e.bitrate, fps)
	return true
}

// give sends a packet out, after the description of its track when it is the first of an encoder.
func (s *Session) give(p media.Packet) error {
	e := &s.enc
	if !e.announced {
		if err := s.out.Tracks([]media.Track{encodedTrack(p, e.in)}); err != nil {
			return fmt.Errorf("announce enhanced stream: %w", err)
		}
		e.announced = true
	}
	if err := s.out.Packet(p); err != nil {
		return fmt.Errorf("send enhanced packet: %w", err)
	}
	if !p.Held {
		s.obs.Made(p.Enhancer, len(p.Data))
	}
	return nil
}

func (s *Session) encodeFlush() error {
	if s.enc.enc == nil {
		return nil
	}
	return s.enc.enc.Flush(s.give)
}

// encodedTrack describes the track of an encoder's first packet.
func encodedTrack(p media.Packet, f media.Format) media.Track {
	return media.Track{
		ID: p.Track, Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate,
		Width: f.Width, Height: f.Height, ParameterSets: h264ParameterSets(p.Data),
	}
}

// h264ParameterSets returns the SPS and PPS of an access unit (ITU-T H.264 table 7-1).
func h264ParameterSets(data []byte) [][]byte {
	var sets [][]byte
	for u := range media.NALUs(data) {
		if t := u[0] & 0x1f; t == 7 || t == 8 {
			sets = append(sets, u)
		}
	}
	return sets
}

// rateMeter measures the frame rate by presentation times, over windows of half a second and at least 4 pictures. A gap,
// such as a camera that was away, is not a rate: it begins a new window.
type rateMeter struct {
	from, last time.Duration
	step       time.Duration // between the last two pictures
	frames     int
	rate       float64
}

// observe counts a picture and reports whether a window has just ended.
func (m *rateMeter) observe(pts time.Duration) bool {
	const window, pictures, gap = 500 * time.Millisecond, 4, 5
	step := pts - m.last
	if m.frames == 0 || step < 0 || step > max(time.Second, gap*m.step) {
		m.from, m.frames = pts, 0
	}
	m.frames++
	m.last, m.step = pts, step
	if pts-m.from < window || m.frames <= pictures {
		return false
	}
	m.rate = float64(m.frames-1) / (pts - m.from).Seconds()
	m.from, m.frames = pts, 1
	return true
}

// fps returns the last window's rate, or the guess before there was one.
func (m *rateMeter) fps(guess float64) float64 {
	if m.rate == 0 {
		return guess
	}
	return m.rate
}
