package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"rave/engine"
)

const (
	// What a worker has, after goodbye, to end by itself.
	grace = time.Second
	// A worker that lived shorter, or gave no picture, has died quickly.
	quickly  = time.Second
	pauseMin = 100 * time.Millisecond
	pauseMax = 15 * time.Second
	// A worker is judged by this many beats in a row; a main process that was stopped itself sees only one.
	beats = 4
)

// death says how a worker ended.
type death struct {
	reason string
	err    error
	pid    int
	lived  time.Duration
	gave   bool     // pictures
	model  string   // that it died of
	worked []string // models that did, for long
}

// live starts a worker and stays with it until it has ended and everything of it is gone.
func (c *Client) live(ctx context.Context) death {
	began := time.Now()
	p, err := spawn(ctx, c.cfg, c.log)
	if err != nil {
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			err = fmt.Errorf("%w; %s", err, c.cfg.FilesFix)
		}
		return death{reason: reasonStart, err: err, lived: time.Since(began)}
	}
	c.pid.Store(int64(p.pid))
	c.out.renew()
	c.renditions.renew()
	c.window.open()
	c.questions.begin()
	c.signal()
	l := &life{c: c, p: p, done: make(chan struct{}), broken: make(chan error, 2), opened: map[string]time.Time{}}
	start := c.startMessage()
	var wg sync.WaitGroup
	wg.Go(func() { l.broken <- l.write(start) })
	wg.Go(func() { l.broken <- l.read() })
	d := l.watch(ctx)
	close(l.done)
	p.end(&wg)
	c.questions.end()
	c.pid.Store(0)
	if d.reason == "" {
		d.reason, d.err = p.cause()
	}
	d.model, d.worked = l.accuse(d.reason), l.worked()
	if text := l.failed.Load(); text != nil {
		if d.err = errors.New(*text); !l.ready.Load() {
			d.reason = reasonStart
		}
	}
	d.pid, d.lived, d.gave = p.pid, time.Since(began), l.gave.Load()
	return d
}

// startMessage tells a new worker what to do and where the last one stopped.
func (c *Client) startMessage() []byte {
	if c.takeOrders().goodbye { // the other orders are out of date
		c.order(func(o *orders) { o.goodbye = true })
	}
	after := c.window.resume()
	return startMessage{
		version: protocolVersion, level: lowest(c.log), resume: after != never, after: after, want: set(c.renditions.wanted.Load()),
		memory: c.cfg.Memory, avoid: c.blame.verdicts(time.Now()), spec: c.cfg.Spec, config: c.cfg.Session,
	}.encode()
}

// mourner remembers earlier deaths.
type mourner struct {
	quick    int    // quick deaths in a row
	suspect  uint64 // the group of pictures that the last worker died with
	guilt    int    // of the suspect; 0: there is none
	restarts int
}

// poisonous is how much guilt makes a group of pictures poison: two workers died with it by what a decoder can do to
// itself, or four were killed, which the kernel does when a picture takes all memory, and an operator at any time.
const poisonous = 4

func guilt(reason string) int {
	if reason == reasonKilled {
		return 1
	}
	return 2
}

// accuse takes note of a death with a group of pictures and reports whether that group is poison: workers die with it
// again and again, and none of them gave a picture since the first died.
func (m *mourner) accuse(d death, group uint64, given int) bool {
	if given == 0 || d.gave || group != m.suspect || d.model != "" { // a model is to blame, and not what the camera sent
		m.guilt = 0
	}
	if given > 0 && d.model == "" {
		m.guilt += guilt(d.reason)
	}
	m.suspect = group
	if m.guilt < poisonous {
		return false
	}
	m.guilt = 0
	return true
}

// bury says that a worker has died, decides what the next one is given and how long it has to wait.
func (c *Client) bury(m *mourner, d death) time.Duration {
	m.restarts++
	c.restarts.Add(1)
	quick := !d.gave || d.lived < quickly
	group, given := c.window.rewind(c.out.reached())
	poison := m.accuse(d, group, given)
	if poison {
		c.window.skip()
	}
	var pause time.Duration
	if !quick {
		m.quick = 0
	} else if m.quick++; m.quick > 1 {
		pause = min(pauseMin<<min(m.quick-2, 10), pauseMax)
	}
	args := []any{"reason", d.reason, "err", d.err, "pid", d.pid}
	if d.model != "" {
		args = append(args, "model", d.model)
	}
	c.log.Error("worker process died, starting another", append(args, "lived", d.lived.Round(time.Millisecond), "restarts", m.restarts, "in", pause, "packets_again", given)...)
	if poison {
		c.log.Error("worker processes died with the same packets again; they are skipped up to the next keyframe", "packets", given)
	}
	c.blame.worked(d.worked)
	if d.model != "" {
		c.condemn(d)
	}
	if c.cfg.OnRestart != nil {
		c.cfg.OnRestart(d.reason)
	}
	return pause
}

// condemn counts a death that a model is to blame for, and says when it is not tried any more.
func (c *Client) condemn(d death) {
	fix := c.cfg.ModelFix + ", or take the model out of quality"
	if d.reason == reasonMemory {
		fix = c.cfg.MemoryFix + ", or take the model out of quality"
	}
	why := fmt.Sprintf("worker processes died of it (%s: %v); %s", d.reason, d.err, fix)
	if rest, condemned := c.blame.died(d.model, why, time.Now()); condemned {
		c.log.Error("worker processes died of a model; it is not tried for a while", "model", d.model, "reason", d.reason,
			"err", d.err, "fix", fix, "for", rest)
	}
}

// life is one worker, from its start to its end. Three goroutines share it: write, read and watch.
type life struct {
	c      *Client
	p      *process
	done   chan struct{}
	broken chan error // why write and read have ended

	hello  bool                 // of the reader
	opened map[string]time.Time // models, and when they were first; of the reader
	ready  atomic.Bool          // it has made its plan and answers
	heard  atomic.Bool          // something came since the last beat
	gave   atomic.Bool          // a picture has come
	failed atomic.Pointer[string]
	// The models that it is opening and that it opened last.
	trying, serving atomic.Pointer[string]
	work            progress
}

// watch waits for the end: of ctx, of the process, or of our patience. An empty reason leaves the verdict to the
// process's exit status.
func (l *life) watch(ctx context.Context) death {
	interval := l.c.cfg.HangAfter / beats
	beat := time.NewTicker(interval)
	defer beat.Stop()
	patience, silent := beats*beats, 0 // making the plan takes time
	for {
		select {
		case <-ctx.Done():
			l.c.order(func(o *orders) { o.goodbye = true })
			l.p.wait(grace)
			return death{}
		case <-l.p.exited:
			return death{}
		case err := <-l.broken:
			if l.p.wait(grace/4) || errors.Is(err, io.EOF) {
				return death{}
			}
			return death{reason: reasonProtocol, err: err}
		case <-beat.C:
		}
		if silent++; l.heard.Swap(false) {
			silent = 0
		}
		if l.ready.Load() {
			patience = beats
		}
		if used := resident(l.p.pid); l.c.cfg.Memory > 0 && used > l.c.cfg.Memory {
			return death{reason: reasonMemory, err: fmt.Errorf("it used %d MiB of %d; %s", used>>20, l.c.cfg.Memory>>20, l.c.cfg.MemoryFix)}
		}
		if silent > patience {
			return death{reason: reasonHang, err: fmt.Errorf("no sign of life for %v", time.Duration(silent)*interval)}
		}
		if stalled := max(l.work.decode.beat(), l.work.enhance.beat()); time.Duration(stalled)*interval > l.c.cfg.StallAfter {
			return death{reason: reasonStall, err: fmt.Errorf("no picture finished for %v", l.c.cfg.StallAfter)}
		}
		l.c.order(func(o *orders) { o.ping = true })
	}
}

// write sends the worker its start, then whatever there is, control first.
func (l *life) write(start []byte) error {
	c, conn := l.c, l.p.conn
	if err := conn.write(kindStart, start); err != nil {
		return err
	}
	var head []byte
	for {
		stop, err := l.control()
		if err == nil && !stop {
			head, err = l.sound(head)
		}
		for err == nil && !stop {
			p, ok := c.window.take()
			if !ok {
				break
			}
			l.work.decode.pending.Add(1)
			head = appendPacket(head[:0], p, time.Now())
			err = conn.write(kindPacket, head, p.Data)
		}
		if err == nil {
			err = conn.flush()
		}
		if err != nil || stop {
			return err
		}
		select {
		case <-l.done:
			return nil
		case <-c.wake:
		}
	}
}

// read passes on what the worker sends.
func (l *life) read() error {
	for {
		k, message, err := l.p.conn.read()
		if err != nil {
			return err
		}
		l.heard.Store(true)
		if err := l.receive(k, message); err != nil {
			return err
		}
	}
}

func (l *life) receive(k kind, message []byte) error {
	if !l.hello && k != kindHello {
		return fmt.Errorf("%w: kind %d before hello", errMalformed, k)
	}
	switch k {
	case kindHello:
		f := fields{b: message}
		if v := f.int(); v != protocolVersion || f.end() != nil {
			return fmt.Errorf("%w: the worker speaks version %d and not %d", errMalformed, v, protocolVersion)
		}
		l.hello = true
	case kindPong:
		l.ready.Store(true)
	case kindTracks:
		tracks, err := decodeTracks(message)
		if err != nil {
			return err
		}
		l.c.out.describe(tracks)
	case kindPacket:
		p, err := decodePacket(message, time.Now())
		if err != nil {
			return err
		}
		p.Enhancer = l.c.names.rungName(p.Enhancer)
		if l.c.out.tracks == nil {
			return fmt.Errorf("%w: packet of an unknown track", errMalformed)
		}
		if p.Held { // it tells nothing of what the camera sent
			l.c.out.packet(p)
			return nil
		}
		l.c.window.picture(p.PTS)
		if l.c.out.packet(p) {
			l.gave.Store(true)
			l.c.obs.Made(p.Enhancer, len(p.Data))
		}
	case kindEvents:
		return l.events(message)
	case kindModel:
		return l.model(message)
	case kindShot:
		id, a, err := decodeAnswer(message, time.Now())
		if err != nil {
			return err
		}
		if a.shot.Enhancer != "" {
			a.shot.Enhancer = l.c.names.rungName(a.shot.Enhancer)
		}
		return l.c.questions.answered(id, a)
	case kindRendition, kindRenditionTracks:
		return l.rendition(k, message)
	case kindFailed:
		f := fields{b: message}
		text := f.text()
		l.failed.Store(&text)
		return f.end()
	default:
		return fmt.Errorf("%w: kind %d", errMalformed, k)
	}
	return nil
}

func (l *life) events(message []byte) error {
	b, err := decodeBatch(message, time.Now())
	if err != nil {
		return err
	}
	l.c.names.check(&b)
	l.work.follow(&b)
	for _, d := range b.drops {
		if !slices.Contains(engine.Renditions(), d.stage) { // those are no access units of the camera's
			l.c.window.dropped(max(0, d.n))
		}
	}
	b.tell(l.c.obs)
	for _, r := range b.records {
		r.repeat(l.c.log)
	}
	return nil
}
