package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"rave/engine/media"
)

// beats is how many calls of the watchdog without a picture make up the timeout.
const beats = 4

// Policy says how Keep reconnects. The zero value of each field stands for its default.
type Policy struct {
	Name         string        // the stream, for log and errors
	Camera       string        // its URL without credentials, for errors; may be empty
	Min          time.Duration // first pause between attempts; 0.5 s
	Max          time.Duration // longest pause, also after an ErrPermanent; 15 s
	Stable       time.Duration // a connection online this long starts the backoff afresh; 10 s
	VideoTimeout time.Duration // longest time without a video access unit; 5 s; negative: no watchdog
	OnState      func(State)   // told each change; may be nil; must not block
	Log          *slog.Logger  // nil: nothing is logged
}

func (p Policy) withDefaults() Policy {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.Min, 500 * time.Millisecond}, {&p.Max, 15 * time.Second}, {&p.Stable, 10 * time.Second},
		{&p.VideoTimeout, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if p.OnState == nil {
		p.OnState = func(State) {}
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	p.Log = p.Log.With("stream", p.Name)
	return p
}

// Waiter is a Source whose Run waits until its peer comes to it, as a publisher does. Keep never pauses before it calls
// such a source again: a peer that comes meanwhile would be accepted, and its first keyframe lost. Nor is there anybody
// to spare: the next attempt begins when the peer wants it.
type Waiter interface {
	media.Source
	// WaitsForPeer does nothing.
	WaitsForPeer()
}

// Keep runs src again and again until ctx is done, whose error it returns, with pauses between failures unless src is a
// Waiter. An error of out ends it as well: then the receiving end is broken, which no reconnecting cures.
func Keep(ctx context.Context, src media.Source, policy Policy, out media.Output) error {
	k := &keeper{Policy: policy.withDefaults(), out: out}
	k.report.log = k.Log
	_, waits := src.(Waiter)
	for failures := 0; ; {
		k.attempt++
		k.enter(State{Phase: Connecting, Err: k.err})
		begin := time.Now()
		online, err := k.once(ctx, src)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if k.outErr != nil {
			return k.outErr
		}
		if online >= k.Stable {
			failures = 0
		}
		if k.err = err; errors.Is(err, ErrEnded) {
			k.Log.Info("stream ended by its sender; waiting for the next", "after", online.Round(time.Millisecond))
			continue
		}
		if waits {
			k.report.failed(err, 0)
			continue
		}
		failures++
		pause := k.pause(failures, err, time.Since(begin)-online)
		k.enter(State{Phase: Waiting, Err: err, Next: pause})
		k.report.failed(err, pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// keeper is the state of one Keep. It is the Output that the source sees.
type keeper struct {
	Policy
	out media.Output

	attempt int
	err     error // of the last attempt
	outErr  error
	report  report

	mu       sync.Mutex // guards the rest; the watchdog fires on a goroutine of its own
	watchdog *time.Timer
	hungry   int          // its calls since the last picture
	video    map[int]bool // tracks that feed it
	since    time.Time    // online since; zero if not
}

// once makes one attempt. online is how long it delivered.
func (k *keeper) once(ctx context.Context, src media.Source) (online time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := k.silence(src)
	k.mu.Lock()
	k.since = time.Time{}
	k.watchdog = time.AfterFunc(time.Hour, func() { k.beat(ctx, func() { cancel(silent) }) })
	k.watchdog.Stop()
	k.mu.Unlock()
	err = src.Run(ctx, k)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watchdog.Stop()
	if errors.Is(context.Cause(ctx), silent) {
		err = silent
	}
	cancel(nil)
	if err == nil {
		err = fmt.Errorf("the source of stream %s ended", k.Name)
	}
	if !k.since.IsZero() {
		online = time.Since(k.since)
	}
	return online, err
}

// silence is the watchdog's error.
func (k *keeper) silence(src media.Source) error {
	sender := "camera"
	if _, ok := src.(Waiter); ok {
		sender = "publisher"
	} else if k.Camera != "" {
		sender += " (" + k.Camera + ")"
	}
	return fmt.Errorf("no video for %v although the connection lives: check the encoder of the %s of stream %s", k.VideoTimeout, sender, k.Name)
}

// Tracks implements media.Output.
func (k *keeper) Tracks(tracks []media.Track) error {
	if err := k.out.Tracks(tracks); err != nil {
		k.outErr = err
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watch(tracks)
	if !k.since.IsZero() { // another transport for the same attempt
		return nil
	}
	k.since = time.Now()
	k.report.recovered(k.attempt)
	k.enter(State{Phase: Online})
	k.attempt = 0
	return nil
}

// watch arms the watchdog if there is video to wait for.
func (k *keeper) watch(tracks []media.Track) {
	k.watchdog.Stop()
	k.video = map[int]bool{}
	for _, t := range tracks {
		if t.Kind == media.Video && k.VideoTimeout > 0 {
			k.video[t.ID] = true
			k.feed()
		}
	}
}

// feed needs mu.
func (k *keeper) feed() {
	k.hungry = 0
	k.watchdog.Reset(k.VideoTimeout / beats)
}

// beat is the watchdog's call. It takes several without a picture, since a process that was stopped for a while finds
// the time over before it finds what has come meanwhile.
func (k *keeper) beat(ctx context.Context, end func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch k.hungry++; {
	case ctx.Err() != nil: // it has ended otherwise
	case k.hungry >= beats:
		end()
	default:
		k.watchdog.Reset(k.VideoTimeout / beats)
	}
}

// Packet implements media.Output.
func (k *keeper) Packet(p media.Packet) error {
	if k.video[p.Track] {
		k.mu.Lock()
		k.feed()
		k.mu.Unlock()
	}
	if err := k.out.Packet(p); err != nil {
		k.outErr = err
		return err
	}
	return nil
}

func (k *keeper) enter(s State) {
	s.Attempt, s.Since = k.attempt, time.Now()
	k.OnState(s)
}

// pause is exponential in the failures since the last stable connection, with a jitter of ±20 % so that the cameras of
// one switch do not come back in step. The time that the attempt has waited for answers counts: a camera that hangs is
// asked again soon, so that it is back soon after it wakes.
func (k *keeper) pause(failures int, err error, waited time.Duration) time.Duration {
	jitter := func(d time.Duration) time.Duration {
		return min(k.Max, time.Duration(float64(d)*(0.8+0.4*rand.Float64())))
	}
	if errors.Is(err, ErrPermanent) {
		return jitter(k.Max)
	}
	d := k.Max
	if n := failures - 1; n < 16 {
		d = min(k.Max, k.Min<<n)
	}
	return jitter(max(k.Min, d-waited))
}
