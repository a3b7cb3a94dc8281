package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Config says what one worker does, and how it is started.
type Config struct {
	// Session is the work. Plan and OnMisuse are not used, the worker makes its own; Observer and Log are called here
	// with what the worker reports. Replay is not supported.
	Session engine.Config
	// Spec tells the worker how to make its plan: Main gives it to Build as it is. At most 1 MiB.
	Spec []byte
	// Path and Args are the program and its arguments. An empty Path is the running program itself, even if its file has
	// been replaced. Args[0] is the name that ps shows. The program has to call Main with Descriptor.
	Path string
	Args []string
	Env  []string // added to this process's environment, of which RAVE_* is left out
	// A worker that says nothing for HangAfter, or holds pictures for StallAfter without finishing one, is killed.
	// Zero: 5 s and a minute (loading a model takes its time).
	HangAfter, StallAfter time.Duration
	// Memory bounds, in bytes, what a worker may allocate and have in use; 0: no bound.
	Memory int64
	// What becomes part of errors: how to raise the bound of memory and the limit of open files, and what to correct when
	// workers die of a model.
	MemoryFix, FilesFix, ModelFix string
	// OnRestart is told why a worker has ended, each time one does while the session should run. See Reasons. It must not
	// block.
	OnRestart func(reason string)
}

// Descriptor is the worker's end of the socket.
const Descriptor = 3

// Reasons why workers end, as OnRestart tells them.
func Reasons() []string {
	return []string{reasonKilled, reasonSegfault, reasonAbort, reasonSignal, reasonPanic, reasonMemory, reasonExit, reasonHang, reasonStall, reasonProtocol, reasonStart}
}

const (
	reasonKilled   = "killed"   // SIGKILL: an operator, or the kernel short of memory
	reasonSegfault = "segfault" // SIGSEGV
	reasonAbort    = "abort"    // SIGABRT
	reasonSignal   = "signal"   // any other
	reasonPanic    = "panic"    // of Go
	reasonMemory   = "memory"   // over the limit, or an allocation failed
	reasonExit     = "exit"     // by itself
	reasonHang     = "hang"     // no sign of life
	reasonStall    = "stall"    // alive, but no picture is finished
	reasonProtocol = "protocol" // nonsense on the socket
	reasonStart    = "start"    // it could not be started, or make its plan
)

// Client is an engine.Session in another process. Its methods may be called from any goroutine, Run once.
type Client struct {
	cfg Config
	out *output
	log *slog.Logger
	obs engine.Observer

	window   *window
	wake     chan struct{} // there is something to write
	pid      atomic.Int64
	restarts atomic.Int64

	questions  questions
	renditions *renditions

	blame blame // of Run
	names names

	mu     sync.Mutex
	orders orders
}

// New makes a Client whose packets go to out, as engine.New does; a call of out that blocks looks like a worker that
// hangs. Run starts the process.
func New(cfg Config, out media.Output) (*Client, error) {
	switch {
	case cfg.Session.Replay:
		return nil, errors.New("a worker process serves live streams only")
	case len(cfg.Spec) > maxMessage/2:
		return nil, fmt.Errorf("specification of %d bytes is above the limit of %d", len(cfg.Spec), maxMessage/2)
	}
	if cfg.Path == "" {
		cfg.Path = "/proc/self/exe"
	}
	if len(cfg.Args) == 0 {
		cfg.Args = []string{os.Args[0], "worker"}
	}
	if cfg.HangAfter == 0 {
		cfg.HangAfter = 5 * time.Second
	}
	if cfg.StallAfter == 0 {
		cfg.StallAfter = time.Minute
	}
	c := &Client{cfg: cfg, log: cfg.Session.Log, obs: cfg.Session.Observer, wake: make(chan struct{}, 1)}
	c.names = names{rungs: append(slices.Clone(cfg.Session.Quality), engine.Lanczos)}
	c.out = &output{out: out, log: c.log, dropped: func(reason string) { c.obs.Dropped(engine.StageEncode, reason, 1) }, keyframe: c.RequestKeyframe}
	c.renditions = newRenditions(c)
	c.window = newWindow(func(reason string, n int) {
		if n > 0 {
			c.obs.Dropped(engine.StageDecode, reason, n)
		}
	}, c.signal)
	return c, nil
}

// Send gives the session one access unit of its track, or a packet of its sound. It never waits. It returns false once Run has ended. The packet's
// data is not changed.
func (c *Client) Send(_ context.Context, p media.Packet) bool {
	if sound := c.cfg.Session.Sound; sound.Kind == media.Audio && p.Track == sound.ID {
		c.hear(p)
		return true
	}
	return c.window.put(p)
}

// RequestKeyframe is that of engine.Session.
func (c *Client) RequestKeyframe() { c.order(func(o *orders) { o.keyframe = true }) }

// Repeat is that of engine.Session.
func (c *Client) Repeat(pts time.Duration) { c.order(func(o *orders) { o.repeat = pts }) }

// PID is the running worker's, or 0.
func (c *Client) PID() int { return int(c.pid.Load()) }

// Restarts counts the workers that have ended while the session should run.
func (c *Client) Restarts() int { return int(c.restarts.Load()) }

// Run keeps a worker running until ctx ends, and returns nil then, within a second and a half.
func (c *Client) Run(ctx context.Context) error {
	// The kernel ends the worker when the thread that started it ends (Pdeathsig): keep that thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer c.window.close()
	var m mourner
	for ctx.Err() == nil {
		d := c.live(ctx)
		if ctx.Err() != nil {
			break
		}
		pause := c.bury(&m, d)
		if pause == 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// output passes a worker's packets on and keeps the promises that restarts would break: times ascend, and decoding can
// start at the first packet of a worker. It belongs to the goroutine that reads.
type output struct {
	out      media.Output
	log      *slog.Logger
	dropped  func(reason string)
	keyframe func()

	tracks    []media.Track
	announced bool
	waitKey   bool
	started   bool
	last      time.Duration // PTS of the last packet
	failing   bool
}

// reached returns how far pictures have been passed on.
func (o *output) reached() time.Duration {
	if !o.started {
		return never
	}
	return o.last
}

// renew is called before each worker.
func (o *output) renew() { o.tracks, o.announced, o.waitKey = nil, false, true }

// describe takes the description of what follows; the next keyframe announces it.
func (o *output) describe(tracks []media.Track) {
	o.tracks, o.announced, o.waitKey = tracks, false, true
}

// packet passes one packet on and reports whether it did.
func (o *output) packet(p media.Packet) bool {
	if o.waitKey && !p.Keyframe {
		o.dropped(engine.DropKeyframe)
		o.keyframe()
		return false
	}
	if o.started && p.PTS <= o.last { // the camera's clock went back
		p.PTS = o.last + time.Second/media.VideoClockRate + 1
	}
	err := o.announce()
	if err == nil {
		err = o.out.Packet(p)
	}
	if err != nil {
		o.dropped(engine.DropError)
		if !o.failing {
			o.log.Error("enhanced packet not passed on", "err", err)
		}
		o.failing, o.waitKey = true, true
		return false
	}
	o.failing, o.waitKey, o.started, o.last = false, false, true, p.PTS
	return true
}

func (o *output) announce() error {
	if o.announced || o.tracks == nil {
		return nil
	}
	if err := o.out.Tracks(o.tracks); err != nil {
		return fmt.Errorf("announce enhanced stream: %w", err)
	}
	o.announced = true
	return nil
}
