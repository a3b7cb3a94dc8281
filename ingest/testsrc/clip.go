package testsrc

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"rave/engine/media"
)

// Options changes how a clip is played.
type Options struct {
	// Speed multiplies the frame rate: 2 plays twice as fast, with time stamps to match. 0 means 1.
	Speed float64
	// Count ends Run after so many frames. 0 means never.
	Count int64
	// OnSend is told of each frame just before it goes out: its number in order of presentation, counted over loops
	// from 0 at the start of Run, and the time.
	OnSend func(n int64, t time.Time)
}

// Clip is a media.Source that plays an MP4 file in a loop.
type Clip struct {
	opt       Options
	track     media.Track
	timescale int
	frames    []frame
	length    int64 // of one loop, in ticks of the timescale
	delay     int64 // the most by which a frame's presentation comes after its decoding

	first time.Time     // when the first Run started
	end   time.Duration // the end of the last frame sent
}

// frame is one access unit, its times in ticks from the start of the clip.
type frame struct {
	data     []byte
	dts, pts int64
	rank     int64 // its place in order of presentation
	keyframe bool
}

// New reads a clip from the bytes of an MP4 file.
func New(mp4 []byte, opt Options) (*Clip, error) {
	if opt.Speed == 0 {
		opt.Speed = 1
	}
	if !(opt.Speed > 0.001 && opt.Speed < 1000) {
		return nil, fmt.Errorf("clip speed %v: must lie between 0.001 and 1000", opt.Speed)
	}
	v, err := parse(mp4)
	if err != nil {
		return nil, fmt.Errorf("read mp4: %w", err)
	}
	c := &Clip{opt: opt, track: v.track(), timescale: int(v.timescale)}
	most, size := 8*len(mp4)+1<<20, 0 // a hostile file may repeat long parameter sets before each tiny frame
	for i, s := range v.samples {
		data, err := v.accessUnit(mp4, s)
		if err != nil {
			return nil, fmt.Errorf("read mp4: frame %d: %w", i, err)
		}
		if size += len(data); size > most {
			return nil, fmt.Errorf("read mp4: frame %d: a file of %d bytes unpacks to more than %d", i, len(mp4), most)
		}
		c.frames = append(c.frames, frame{data: data, dts: s.dts, pts: s.pts, keyframe: s.sync})
	}
	if err := c.arrange(v.duration); err != nil {
		return nil, fmt.Errorf("read mp4: %w", err)
	}
	return c, nil
}

// Open reads a clip from a file.
func Open(path string, opt Options) (*Clip, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open clip: %w", err)
	}
	c, err := New(data, opt)
	if err != nil {
		return nil, fmt.Errorf("open clip %s: %w", path, err)
	}
	return c, nil
}

// arrange orders the frames for the loop: the earliest presentation is at 0, decoding starts at 0, every frame knows
// its place.
func (c *Clip) arrange(length int64) error {
	if !c.frames[0].keyframe {
		return fmt.Errorf("the first frame is not a keyframe: the clip cannot loop")
	}
	c.length = length
	shown := make([]int, len(c.frames))
	for i := range shown {
		shown[i] = i
	}
	slices.SortStableFunc(shown, func(a, b int) int { return int(c.frames[a].pts - c.frames[b].pts) })
	firstDTS, firstPTS := c.frames[0].dts, c.frames[shown[0]].pts
	for rank, i := range shown {
		f := &c.frames[i]
		f.rank = int64(rank)
		f.dts -= firstDTS
		f.pts -= firstPTS
		c.delay = max(c.delay, f.pts-f.dts)
	}
	return nil
}

// Tracks returns what Run announces: one video track.
func (c *Clip) Tracks() []media.Track { return []media.Track{c.track} }

// Frames returns how many frames one loop has.
func (c *Clip) Frames() int { return len(c.frames) }

// Duration returns how long one loop takes.
func (c *Clip) Duration() time.Duration { return c.at(c.length) }

// FPS returns the mean frame rate.
func (c *Clip) FPS() float64 { return float64(len(c.frames)) / c.Duration().Seconds() }

// at converts ticks to time at the clip's speed.
func (c *Clip) at(ticks int64) time.Duration {
	d := media.Duration(ticks, c.timescale)
	if c.opt.Speed == 1 {
		return d
	}
	return time.Duration(float64(d) / c.opt.Speed)
}

// Run plays the clip until ctx is done, Count frames are sent or out fails. A further Run starts with the first frame
// of the clip; its time stamps continue on the clock of the first.
//
// Packet.NTP is the time at which a camera's sensor would have seen the picture: that of sending, and with B-frames
// earlier by the time the encoder held the picture back.
func (c *Clip) Run(ctx context.Context, out media.Output) error {
	if err := out.Tracks(c.Tracks()); err != nil {
		return err
	}
	start := time.Now()
	if c.first.IsZero() {
		c.first = start
	}
	base := max(c.end, start.Sub(c.first))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := int64(0); c.opt.Count == 0 || n < c.opt.Count; n++ {
		loop, f := n/int64(len(c.frames)), c.frames[n%int64(len(c.frames))]
		offset := loop * c.length
		timer.Reset(time.Until(start.Add(c.at(offset + f.dts))))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		pts, now := c.at(offset+f.pts), time.Now()
		if c.opt.OnSend != nil {
			c.opt.OnSend(loop*int64(len(c.frames))+f.rank, now)
		}
		c.end = max(c.end, base+pts+c.at(c.length/int64(len(c.frames))))
		err := out.Packet(media.Packet{
			PTS: base + pts, Data: f.data, Keyframe: f.keyframe, Discontinuity: n == 0,
			Arrival: now, NTP: start.Add(pts - c.at(c.delay)).Round(0),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
