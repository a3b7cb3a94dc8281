package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"rave/engine/media"
)

// Config says what one Session does.
type Config struct {
	Stream      string // the name that logs and errors use
	Track       media.Track
	Plan        Plan
	Quality     []string // rungs, best first
	Strict      bool     // nothing but the first rung may serve
	Output      OutputRule
	MaxPixels   int           // bounds the camera's pictures and the enhanced ones; 0: DefaultMaxPixels
	Preset      string        // of the encoder
	Bitrate     int           // bits per second; 0: follows size and frame rate
	GOP         time.Duration // between keyframes
	Deinterlace bool
	// SteadySize is how long pictures of another size, but the same shape, must come before the size changes: until then they
	// are resized. 0: it changes at once.
	SteadySize time.Duration
	Threads    int  // this session's share of the machine
	Replay     bool // every queue waits and nothing is dropped: for files
	// Renditions take, by name, what is made beside the enhanced picture while it is wanted (see Session.Want). Each is called
	// from a goroutine of its own.
	Renditions map[string]media.Output
	// Sound is the track that RenditionOpus is made of; its packets are given to Send as well. The zero Track: none.
	Sound    media.Track
	Observer Observer
	Log      *slog.Logger
	// OnMisuse is called when a frame is released twice; tests panic here.
	OnMisuse func()
}

// Session enhances one video track, generation after generation.
type Session struct {
	cfg    Config
	out    media.Output
	log    *slog.Logger
	obs    Observer
	ledger Ledger

	packets  *packetQueue
	frames   *Queue[*media.Frame]
	enhanced *Queue[*media.Frame]

	dec decodeStage
	enh enhanceStage
	enc encodeStage

	// For snapshots: the last picture of the camera, and the last that was enhanced with what it was made of.
	decoded, made kept

	// Beside the data path; nil without an output:
	browser, low, originalLow *rendition
	sound                     *sound
	sides                     map[string]beside // all of them, by name

	// Lines of the log that a camera can provoke as often as it likes, and one that comes at each start:
	undecoded, rebuilt, unencoded, failures repeats

	still    still
	keyframe atomic.Bool
	prefer   atomic.Pointer[string]
}

// The intervals at which a broken session starts again.
const (
	restartMin = 500 * time.Millisecond
	restartMax = 15 * time.Second
)

// New makes a Session whose packets go to out: Tracks before the first packet and whenever the picture's size or colour
// changes, then packets from a keyframe on.
func New(cfg Config, out media.Output) *Session {
	s := &Session{cfg: cfg, out: out, log: cfg.Log, obs: cfg.Observer, decoded: newKept(), made: newKept()}
	s.ledger.OnMisuse = cfg.OnMisuse
	s.undecoded.every, s.rebuilt.every, s.unencoded.every, s.failures.every = 10*time.Second, 10*time.Second, 10*time.Second, time.Minute
	s.makeSides()
	s.packets = newPacketQueue(!cfg.Replay, func(reason string, n int) { s.obs.Dropped(StageDecode, reason, n) })
	return s
}

// Send gives the session one access unit of its track, or one packet of its sound. Live it never waits. In replay mode it waits for room and
// returns false when ctx ends first. The packet's data is not changed.
func (s *Session) Send(ctx context.Context, p media.Packet) bool {
	if s.cfg.Sound.Kind == media.Audio && p.Track == s.cfg.Sound.ID {
		s.sound.send(p)
		return true
	}
	return s.packets.Put(ctx, p)
}

// CloseInput ends a replay: Run returns when everything has gone through.
func (s *Session) CloseInput() { s.packets.Close() }

// RequestKeyframe asks for a keyframe soon: a viewer joined or lost something. Requests are shared and limited to one
// in half a second.
func (s *Session) RequestKeyframe() {
	s.keyframe.Store(true)
	s.low.refresh()
}

// Prefer makes a rung serve while it is open, and opens it; the empty name leaves the choice to measured time again. Sessions
// in workers are left to that.
func (s *Session) Prefer(rung string) {
	s.prefer.Store(&rung)
}

// InUse returns the number of raw frames that have not been released. It is zero once Run has returned.
func (s *Session) InUse() int { return s.ledger.InUse() }

// Run works until ctx ends (nil) or, in replay mode, the input ends (nil) or fails. Live, a failure of the whole
// session is logged and it starts again at the next keyframe.
func (s *Session) Run(ctx context.Context) error {
	pause, said := restartMin, ""
	for {
		start := time.Now()
		err := s.run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil || s.cfg.Replay:
			return err
		}
		if time.Since(start) > restartMax {
			pause = restartMin
		}
		if err.Error() != said { // news
			said, s.failures.at = err.Error(), time.Time{}
		}
		if n, ok := s.failures.pass(time.Now()); ok {
			s.log.Error("session failed, starting again", "err", err, "in", pause, "others_before", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, restartMax)
		s.packets.WaitKeyframe()
	}
}

// run is the data path:
//
//	live:   packets → decode → [frames: drop oldest] → enhance → [enhanced: 1] → encode → packets
//	replay: the same, every queue waits
//
// Snapshots (snapshot.go) and renditions (side.go) are made beside it and never delay it.
func (s *Session) run(ended context.Context) (err error) {
	s.openQueues()
	defer func() { s.closeStages(err != nil && ended.Err() == nil) }() // after Wait: nobody else holds a frame
	stopSides := s.startSides(ended)
	defer func() { stopSides(err != nil && ended.Err() == nil) }()
	g, ctx := errgroup.WithContext(ended)
	g.Go(func() error {
		defer s.frames.Close()
		if err := s.packets.Each(ctx, s.decodeIn(ctx)); err != nil {
			return err
		}
		return s.decodeFlush(ctx)
	})
	g.Go(func() error {
		defer s.enhanced.Close()
		if err := s.frames.Each(ctx, s.enhanceIn(ctx)); err != nil {
			return err
		}
		return s.enhanceFlush(ctx)
	})
	g.Go(func() error {
		if err := s.enhanced.Each(ctx, s.encode); err != nil {
			return err
		}
		return s.encodeFlush()
	})
	return g.Wait()
}

func (s *Session) openQueues() {
	var evict func(*media.Frame)
	if !s.cfg.Replay {
		evict = func(f *media.Frame) {
			f.Release()
			s.enh.overload.dropped()
			s.obs.Dropped(StageEnhance, DropOverload, 1)
		}
	}
	s.frames = NewQueue(maxWaitingFrames, evict)
	s.enhanced = NewQueue[*media.Frame](maxWaitingEnhanced, nil)
	s.still.open(s.enhanced, s.ledger.misused)
}

// closeStages frees everything and checks that every frame came back. What waits in a session that has failed is lost.
func (s *Session) closeStages(failed bool) {
	give := func(stage string) func(*media.Frame) {
		return func(f *media.Frame) {
			held := f.Held
			f.Release()
			if failed && !held {
				s.obs.Dropped(stage, DropError, 1)
			}
		}
	}
	s.still.close()
	s.frames.Drain(give(StageEnhance))
	s.enhanced.Drain(give(StageEncode))
	s.decoded.clear()
	s.made.clear()
	s.dec.close()
	s.enh.close()
	s.enc.close()
	s.dec.failed, s.enc.failed = 0, 0
	if n := s.ledger.InUse(); n != 0 {
		s.log.Error("raw frames were not released", "frames", n)
	}
}

// errStrict means that a strict stream cannot have the enhancer that it asks for.
var errStrict = errors.New("strict: true allows only the first entry of quality")

// fatal wraps an error that must end this run of the session.
type fatal struct{ err error }

func (e fatal) Error() string { return e.err.Error() }
func (e fatal) Unwrap() error { return e.err }

// scope sorts the error of one input: fatal ones and the end of the context end the run, others cost the input.
func scope(ctx context.Context, err error) error {
	var f fatal
	if errors.As(err, &f) {
		return f.err
	}
	return ctx.Err()
}

// put passes a frame on, or releases it if nobody takes frames any more.
func put(ctx context.Context, q *Queue[*media.Frame], f *media.Frame) error {
	if !q.Put(ctx, f) {
		f.Release()
		return fatal{fmt.Errorf("stage closed: %w", context.Cause(ctx))}
	}
	return nil
}
