package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"rave/engine"
)

// At most so many snapshots wait for a worker, those that nobody waits for any more included.
const maxQuestions = 16

// question asks a worker for a snapshot.
type question struct {
	id      int64
	variant string
	width   int // at most
}

// answer is a snapshot, or why there is none.
type answer struct {
	shot engine.Snapshot
	err  error
}

// questions are those that a worker has to answer, for the main process's side.
type questions struct {
	mu     sync.Mutex
	up     bool // there is a worker to ask
	last   int64
	unsent []question
	open   map[int64]chan answer // capacity 1; of a question that nobody waits for any more as well
}

// ask returns where the answer will come.
func (q *questions) ask(variant string, width int) (<-chan answer, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case !q.up:
		return nil, fmt.Errorf("%w: the worker process is starting", engine.ErrNoPicture)
	case len(q.open) >= maxQuestions:
		return nil, fmt.Errorf("%d snapshots are waiting already; ask again when they are done", len(q.open))
	}
	q.last++
	c := make(chan answer, 1)
	q.open[q.last] = c
	q.unsent = append(q.unsent, question{q.last, variant, width})
	return c, nil
}

// take returns what has not been sent yet.
func (q *questions) take() []question {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.unsent
	q.unsent = nil
	return list
}

// answered passes an answer on; one that was not asked for is nonsense.
func (q *questions) answered(id int64, a answer) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	c, ok := q.open[id]
	if !ok {
		return fmt.Errorf("%w: answer to no question", errMalformed)
	}
	delete(q.open, id)
	c <- a
	return nil
}

// begin says that there is a worker.
func (q *questions) begin() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up, q.open = true, map[int64]chan answer{}
}

// end says that there is none any more: nothing will be answered.
func (q *questions) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.open {
		c <- answer{err: fmt.Errorf("%w: the worker process has ended", engine.ErrNoPicture)}
	}
	q.up, q.open, q.unsent = false, nil, nil
}

// Snapshot is that of engine.Session. Without a worker that could answer it fails at once.
func (c *Client) Snapshot(ctx context.Context, variant string, maxWidth int) (engine.Snapshot, error) {
	if !slices.Contains(engine.Variants(), variant) {
		return engine.Snapshot{}, fmt.Errorf("snapshot variant %q is not known; known are %v", variant, engine.Variants())
	}
	come, err := c.questions.ask(variant, maxWidth)
	if err != nil {
		return engine.Snapshot{}, fmt.Errorf("snapshot: %w", err)
	}
	c.signal()
	select {
	case <-ctx.Done():
		return engine.Snapshot{}, fmt.Errorf("snapshot: %w", ctx.Err())
	case a := <-come:
		return a.shot, a.err
	}
}

// answer makes the snapshots that the main process asks for, one after the other, until ctx ends.
func (c *child) answer(ctx context.Context, session *engine.Session) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-c.questions:
			shot, err := session.Snapshot(ctx, q.variant, q.width)
			if len(shot.JPEG) > maxData {
				shot, err = engine.Snapshot{}, fmt.Errorf("snapshot of %d bytes is above the limit of %d; ask for a smaller width", len(shot.JPEG), maxData)
			}
			// An error means that the main process has gone, which the reader sees as well.
			_ = c.send(kindShot, appendAnswer(nil, q.id, answer{shot, err}, time.Now()), shot.JPEG)
		}
	}
}

func (q question) encode() []byte {
	b := append(appendInt(nil, q.id), byte(slices.Index(engine.Variants(), q.variant)))
	return appendInt(b, q.width)
}

func decodeQuestion(message []byte) (question, error) {
	f := fields{b: message}
	q := question{id: f.int64()}
	known := engine.Variants()
	if i := int(f.byte()); i < len(known) {
		q.variant = known[i]
	} else {
		f.fail("variant")
	}
	q.width = f.int()
	return q, f.end()
}

// appendAnswer appends everything of an answer but the image, which follows as it is up to the end of the message.
func appendAnswer(b []byte, id int64, a answer, now time.Time) []byte {
	b = appendInt(b, id)
	text := ""
	if a.err != nil {
		text = a.err.Error()
	}
	b = appendText(appendBool(b, errors.Is(a.err, engine.ErrNoPicture)), text)
	b = appendInt(appendInt(b, a.shot.Width), a.shot.Height)
	return appendText(appendTime(appendInt(b, a.shot.PTS), a.shot.At, now), a.shot.Enhancer)
}

// decodeAnswer reads an answer; its image shares the message's memory.
func decodeAnswer(message []byte, now time.Time) (id int64, a answer, err error) {
	f := fields{b: message}
	id = f.int64()
	none, text := f.bool(), f.text()
	if text != "" {
		a.err = errors.New(text)
	}
	if none {
		a.err = noPicture{text}
	}
	a.shot = engine.Snapshot{Width: f.int(), Height: f.int(), PTS: f.duration(), At: f.time(now), Enhancer: f.text()}
	if a.shot.Width < 0 || a.shot.Height < 0 || len(f.b) > maxData {
		f.fail("image")
	}
	a.shot.JPEG, f.b = f.b, nil
	return id, a, f.end()
}

// noPicture is an engine.ErrNoPicture from the other process, in its words.
type noPicture struct{ text string }

func (e noPicture) Error() string { return e.text }
func (e noPicture) Unwrap() error { return engine.ErrNoPicture }
