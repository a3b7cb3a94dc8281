package worker

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"rave/engine"
)

// events collects what a session reports until the next flush. It implements engine.Observer. Counts are added up, of
// states the last one is kept, and lists are bounded, so that it stays small while the main process does not read.
type events struct {
	notify func(urgent bool) // there is something to send

	mu    sync.Mutex
	batch batch
	empty bool
}

// batch is the content of one message of events.
type batch struct {
	stages  []stageDone
	decoded int
	drops   []drop
	waiting []waiting
	planned []planned
	rungs   []rung
	changes []change
	records []record
	texts   int // bytes
}

type (
	stageDone struct {
		stage          string
		waited, worked time.Duration
	}
	drop struct {
		stage, reason string
		n             int
	}
	waiting struct {
		stage string
		n     int
	}
	planned struct{ plan, in, out string }
	rung    struct{ name, err string }
	change  struct{ from, to, reason string }
	// record is one line of the log.
	record struct {
		at      time.Time
		level   slog.Level
		message string
		attrs   []slog.Attr // of simple kinds
	}
)

func newEvents(notify func(urgent bool)) *events { return &events{notify: notify, empty: true} }

// add changes the batch; the first event since the last flush and urgent ones are told.
func (e *events) add(urgent bool, change func(b *batch)) {
	e.mu.Lock()
	first := e.empty
	e.empty = false
	change(&e.batch)
	e.mu.Unlock()
	if first || urgent {
		e.notify(urgent)
	}
}

// take returns what has been collected, encoded, or nil.
func (e *events) take() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.empty {
		return nil
	}
	b := e.batch.encode(time.Now())
	e.batch, e.empty = e.batch.reset(), true
	return b
}

// bounded appends to a list of b that nobody may be reading at this moment; texts are those of v.
func bounded[T any](b *batch, list []T, v T, texts ...string) []T {
	n := 0
	for _, t := range texts {
		n += min(len(t), maxText)
	}
	if len(list) >= maxList/2 || b.texts+n > maxMessage/2 {
		return list
	}
	b.texts += n
	return append(list, v)
}

// StageDone implements engine.Observer.
func (e *events) StageDone(stage string, waited, worked time.Duration) {
	e.add(false, func(b *batch) { b.stages = bounded(b, b.stages, stageDone{stage, waited, worked}) })
}

// Dropped implements engine.Observer.
func (e *events) Dropped(stage, reason string, n int) {
	if n <= 0 {
		return
	}
	e.add(false, func(b *batch) {
		for i := range b.drops {
			if d := &b.drops[i]; d.stage == stage && d.reason == reason {
				d.n += n
				return
			}
		}
		b.drops = bounded(b, b.drops, drop{stage, reason, n}, reason)
	})
}

// Decoded implements engine.Observer.
func (e *events) Decoded() { e.add(false, func(b *batch) { b.decoded = min(b.decoded+1, maxList) }) }

// Made implements engine.Observer. The main process counts the pictures that reach it.
func (*events) Made(string, int) {}

// Waiting implements engine.Observer.
func (e *events) Waiting(stage string, n int) {
	e.add(false, func(b *batch) {
		for i := range b.waiting {
			if b.waiting[i].stage == stage {
				b.waiting[i].n = n
				return
			}
		}
		b.waiting = bounded(b, b.waiting, waiting{stage, n})
	})
}

// Planned implements engine.Observer.
func (e *events) Planned(plan, in, out string) {
	e.add(true, func(b *batch) { b.planned = bounded(b, b.planned, planned{plan, in, out}, plan, in, out) })
}

// RungLoaded implements engine.Observer.
func (e *events) RungLoaded(name string, err error) {
	r := rung{name: name}
	if err != nil {
		r.err = err.Error()
	}
	e.add(true, func(b *batch) { b.rungs = bounded(b, b.rungs, r, r.name, r.err) })
}

// RungChanged implements engine.Observer.
func (e *events) RungChanged(from, to, reason string) {
	e.add(true, func(b *batch) { b.changes = bounded(b, b.changes, change{from, to, reason}, from, to, reason) })
}

// log adds a record; a warning may be the last that is heard of this process.
func (e *events) log(r record) {
	texts := []string{r.message}
	for _, a := range r.attrs {
		texts = append(texts, a.Key)
		if a.Value.Kind() == slog.KindString {
			texts = append(texts, a.Value.String())
		}
	}
	e.add(r.level >= slog.LevelWarn, func(b *batch) { b.records = bounded(b, b.records, r, texts...) })
}

// reset returns an empty batch with the memory of those lists that fill with every picture.
func (b *batch) reset() batch {
	return batch{stages: b.stages[:0], waiting: b.waiting[:0]}
}

// Stages by their number on the wire: nothing else is believed.
func stageCode(stage string) byte {
	switch stage {
	case engine.StageDecode:
		return 1
	case engine.StageEnhance:
		return 2
	case engine.StageEncode:
		return 3
	case engine.RenditionBrowser:
		return 4
	case engine.RenditionLow:
		return 5
	case engine.RenditionOpus:
		return 6
	case engine.RenditionOriginalLow:
		return 7
	default:
		return 0
	}
}

func (f *fields) stage() string {
	switch f.byte() {
	case 1:
		return engine.StageDecode
	case 2:
		return engine.StageEnhance
	case 3:
		return engine.StageEncode
	case 4:
		return engine.RenditionBrowser
	case 5:
		return engine.RenditionLow
	case 6:
		return engine.RenditionOpus
	case 7:
		return engine.RenditionOriginalLow
	default:
		f.fail("stage")
		return ""
	}
}

func appendList[T any](out []byte, list []T, one func([]byte, T) []byte) []byte {
	out = appendInt(out, len(list))
	for _, v := range list {
		out = one(out, v)
	}
	return out
}

func readList[T any](f *fields, one func() T) []T {
	var list []T
	for range f.list(maxList) {
		list = append(list, one())
	}
	return list
}

func (b *batch) encode(now time.Time) []byte {
	out := appendInt(nil, b.decoded)
	out = appendList(out, b.stages, func(o []byte, s stageDone) []byte {
		return appendInt(appendInt(append(o, stageCode(s.stage)), s.waited), s.worked)
	})
	out = appendList(out, b.drops, func(o []byte, d drop) []byte {
		return appendInt(appendText(append(o, stageCode(d.stage)), d.reason), d.n)
	})
	out = appendList(out, b.waiting, func(o []byte, w waiting) []byte { return appendInt(append(o, stageCode(w.stage)), w.n) })
	out = appendList(out, b.planned, func(o []byte, p planned) []byte {
		return appendText(appendText(appendText(o, p.plan), p.in), p.out)
	})
	out = appendList(out, b.rungs, func(o []byte, r rung) []byte { return appendText(appendText(o, r.name), r.err) })
	out = appendList(out, b.changes, func(o []byte, c change) []byte {
		return appendText(appendText(appendText(o, c.from), c.to), c.reason)
	})
	return appendList(out, b.records, func(o []byte, r record) []byte { return appendRecord(o, r, now) })
}

func decodeBatch(message []byte, now time.Time) (batch, error) {
	f := fields{b: message}
	b := batch{decoded: int(f.int64())}
	if b.decoded < 0 || b.decoded > maxList {
		f.fail("count")
	}
	b.stages = readList(&f, func() stageDone { return stageDone{f.stage(), f.duration(), f.duration()} })
	b.drops = readList(&f, func() drop { return drop{f.stage(), f.text(), f.int()} })
	b.waiting = readList(&f, func() waiting { return waiting{f.stage(), f.int()} })
	b.planned = readList(&f, func() planned { return planned{f.text(), f.text(), f.text()} })
	b.rungs = readList(&f, func() rung { return rung{f.text(), f.text()} })
	b.changes = readList(&f, func() change { return change{f.text(), f.text(), f.text()} })
	b.records = readList(&f, func() record { return f.record(now) })
	return b, f.end()
}

// tell repeats the batch to an observer.
func (b *batch) tell(obs engine.Observer) {
	for range b.decoded {
		obs.Decoded()
	}
	for _, s := range b.stages {
		obs.StageDone(s.stage, s.waited, s.worked)
	}
	for _, d := range b.drops {
		obs.Dropped(d.stage, d.reason, max(0, d.n))
	}
	for _, w := range b.waiting {
		obs.Waiting(w.stage, w.n)
	}
	for _, p := range b.planned {
		obs.Planned(p.plan, p.in, p.out)
	}
	for _, r := range b.rungs {
		if r.err == "" {
			obs.RungLoaded(r.name, nil)
			continue
		}
		obs.RungLoaded(r.name, errors.New(r.err))
	}
	for _, c := range b.changes {
		obs.RungChanged(c.from, c.to, c.reason)
	}
}
