package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// Build makes the plan of a worker from the Spec of the Client's Config. The plan and what belongs to it live as long as
// the process. Log records go to the main process.
type Build func(ctx context.Context, spec []byte, log *slog.Logger) (engine.Plan, error)

// How long events wait for a packet to travel with: longer than a slow camera's picture takes, since each message by
// itself costs a wake-up.
const flushAfter = 250 * time.Millisecond

// Main is the worker process: it runs one session for the Client at the other end of the socket fd, and returns when
// that says goodbye or has gone (nil), or when it cannot go on. The caller ends the process then. Signals that ask a
// process to end have to be ignored: the main process gets them too, and says goodbye.
func Main(fd uintptr, build Build) error {
	conn, err := inherit(fd)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = os.WriteFile("/proc/self/comm", []byte("rave-worker"), 0) // the name in top; without it, it is "exe"
	c := newChild(conn)
	defer c.timer.Stop()
	start, err := c.greet()
	if err != nil {
		return err
	}
	if err := c.run(start, build); err != nil {
		_ = c.send(kindFailed, appendText(nil, err.Error())) // the exit status tells as well
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.flushLocked() // the main process may have gone
	return nil
}

// inherit makes a connection of a descriptor that the parent has left to us.
func inherit(fd uintptr) (net.Conn, error) {
	file := os.NewFile(fd, "main process")
	if file == nil {
		return nil, fmt.Errorf("descriptor %d is not valid", fd)
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no socket; a worker is started by the main process only: %w", fd, err)
	}
	return conn, nil
}

// child is the worker's side. It is the session's Output: packets are written by the goroutine that encodes, so that a
// main process that does not read slows it down, and the session drops pictures before they are enhanced.
type child struct {
	events *events
	timer  *time.Timer // sends events that no packet takes along
	armed  atomic.Bool // timer runs
	pong   atomic.Bool // a ping waits for its answer

	questions chan question

	mu   sync.Mutex // orders writers
	link *link
	head []byte
}

func newChild(conn net.Conn) *child {
	c := &child{link: newLink(conn), questions: make(chan question, maxQuestions)}
	c.events = newEvents(c.notify)
	c.timer = time.AfterFunc(time.Hour, c.onTimer)
	c.timer.Stop()
	return c
}

// greet exchanges the first messages.
func (c *child) greet() (startMessage, error) {
	const limit = 10 * time.Second
	_ = c.link.SetDeadline(time.Now().Add(limit))
	defer c.link.SetDeadline(time.Time{}) //nolint:errcheck // the next read would tell
	if err := c.send(kindHello, appendInt(nil, protocolVersion)); err != nil {
		return startMessage{}, fmt.Errorf("greet main process: %w", err)
	}
	k, message, err := c.link.read()
	if err == nil && k != kindStart {
		err = fmt.Errorf("%w: kind %d instead of the start", errMalformed, k)
	}
	if err != nil {
		return startMessage{}, fmt.Errorf("read start: %w", err)
	}
	start, err := decodeStart(message)
	if err != nil {
		return startMessage{}, fmt.Errorf("read start: %w", err)
	}
	return start, nil
}

// run runs the session until the input ends.
func (c *child) run(start startMessage, build Build) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := slog.New(&handler{events: c.events, level: start.level})
	if err := limitMemory(start.memory); err != nil {
		return err
	}
	plan, err := build(ctx, start.spec, log)
	if err != nil {
		return fmt.Errorf("make plan: %w", err)
	}
	if start.resume {
		plan.Decode = resume{Device: plan.Decode, after: start.after, since: time.Now()}
	}
	plan.Enhance = watched{Device: plan.Enhance, child: c, log: log, verdicts: start.avoid, since: time.Now()}
	cfg := start.config
	cfg.Plan, cfg.Renditions, cfg.Observer, cfg.Log = plan, c.renditions(), c.events, log
	session := engine.New(cfg, c)
	start.want.apply(session)
	if err := c.send(kindPong); err != nil { // from here on it answers
		return fmt.Errorf("tell main process of the plan: %w", err)
	}
	ended, received := make(chan error, 1), make(chan error, 1)
	go func() { ended <- session.Run(ctx) }()
	go func() { received <- c.receive(ctx, session) }()
	go c.answer(ctx, session)
	select {
	case err := <-ended:
		if err == nil { // it does not end by itself: it panics, and its deferred calls run before Go's runtime says so
			time.Sleep(grace)
		}
		return errors.Join(errors.New("session ended"), err)
	case err := <-received:
		cancel()
		select { // code in C may not listen; the process ends with it
		case <-ended:
		case <-time.After(grace):
		}
		return err
	}
}

// receive takes messages until goodbye or the end of the main process (nil).
func (c *child) receive(ctx context.Context, session *engine.Session) error {
	for {
		k, message, err := c.link.read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read from main process: %w", err)
		}
		switch k {
		case kindPacket:
			p, err := decodePacket(message, time.Now())
			if err != nil {
				return err
			}
			session.Send(ctx, p)
		case kindKeyframe:
			session.RequestKeyframe()
		case kindSnapshot:
			q, err := decodeQuestion(message)
			if err != nil {
				return err
			}
			select {
			case c.questions <- q:
			default:
				return fmt.Errorf("%w: more than %d questions at once", errMalformed, maxQuestions)
			}
		case kindWant:
			wanted, refresh, err := decodeWant(message)
			if err != nil {
				return err
			}
			wanted.apply(session)
			refresh.refresh(session)
		case kindRepeat:
			f := fields{b: message}
			pts := f.duration()
			if err := f.end(); err != nil {
				return err
			}
			session.Repeat(pts)
		case kindPing: // the reader never waits for a main process that does not read
			c.pong.Store(true)
			c.notify(true)
		case kindGoodbye:
			return nil
		default:
			return fmt.Errorf("%w: kind %d", errMalformed, k)
		}
	}
}

// Tracks implements media.Output.
func (c *child) Tracks(tracks []media.Track) error { return c.send(kindTracks, encodeTracks(tracks)) }

// Packet implements media.Output. Events travel with it and before it, so that the main process knows the fate of
// everything before a picture when it has the picture.
func (c *child) Packet(p media.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.writeEvents(); err != nil {
		return err
	}
	c.head = appendPacket(c.head[:0], p, time.Now())
	if err := c.link.write(kindPacket, c.head, p.Data); err != nil {
		return err
	}
	return c.link.flush()
}

// send writes one message at once, after the events that wait.
func (c *child) send(k kind, fields ...[]byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k != kindHello { // the first
		if err := c.flushLocked(); err != nil {
			return err
		}
	}
	if err := c.link.write(k, fields...); err != nil {
		return err
	}
	return c.link.flush()
}

// flushLocked sends what waits.
func (c *child) flushLocked() error {
	if err := c.writeEvents(); err != nil {
		return err
	}
	return c.link.flush()
}

func (c *child) writeEvents() error {
	if c.pong.Swap(false) {
		if err := c.link.write(kindPong); err != nil {
			return err
		}
	}
	if b := c.events.take(); b != nil {
		return c.link.write(kindEvents, b)
	}
	return nil
}

// notify arms the timer that sends what no packet takes along. One that runs is left alone, also when a packet comes
// first: setting it for every picture would wake a thread each time.
func (c *child) notify(urgent bool) {
	switch {
	case urgent:
		c.armed.Store(true)
		c.timer.Reset(0)
	case !c.armed.Swap(true):
		c.timer.Reset(flushAfter)
	}
}

// onTimer sends events, unless the socket is in use: then it may take its time.
func (c *child) onTimer() {
	if !c.mu.TryLock() {
		c.timer.Reset(flushAfter / 50)
		return
	}
	c.armed.Store(false)
	defer c.mu.Unlock()
	_ = c.flushLocked() // a main process that has gone is seen by the reader
}

// resume is the decoder's device of a worker that takes over: pictures that its predecessors have delivered, or said
// that they dropped, are decoded, since others refer to them, and go no further.
type resume struct {
	engine.Device
	after time.Duration // PTS of the last of them
	since time.Time     // what arrived later has never been sent before, whatever its time says
}

// NewDecoder implements engine.Device.
func (r resume) NewDecoder(ctx context.Context, p engine.DecoderParams) (engine.Decoder, error) {
	d, err := r.Device.NewDecoder(ctx, p)
	if err != nil {
		return nil, err
	}
	return resumed{Decoder: d, resume: r}, nil
}

type resumed struct {
	engine.Decoder
	resume resume
}

// Send implements engine.Stage.
func (d resumed) Send(p media.Packet, emit func(*media.Frame) error) error {
	return d.Decoder.Send(p, d.pass(emit))
}

// Flush implements engine.Stage.
func (d resumed) Flush(emit func(*media.Frame) error) error { return d.Decoder.Flush(d.pass(emit)) }

func (d resumed) pass(emit func(*media.Frame) error) func(*media.Frame) error {
	return func(f *media.Frame) error {
		if f.PTS <= d.resume.after && f.Arrival.Before(d.resume.since) {
			f.Release()
			return nil
		}
		return emit(f)
	}
}
