package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"rave/config"
	"rave/engine/media"
	"rave/ingest"
)

// streamConfig is all that a running stream depends on: one whose streamConfig is equal to the next is left alone. Its
// share of the processor is not part of it: that follows the number of streams when a session starts, since starting one
// again for it would cost pictures.
type streamConfig struct {
	config.Stream
	models map[string]modelFile // those of Quality that are files, by name
}

// modelFile is a model's file in one state: one that has been replaced is another one.
type modelFile struct {
	path  string
	state fileState
}

// streamConfigs returns what the streams of a configuration depend on, as the files are now.
func streamConfigs(cfg *config.Config) []streamConfig {
	var all []streamConfig
	for _, s := range cfg.Streams {
		c := streamConfig{Stream: s, models: map[string]modelFile{}}
		for _, name := range s.Quality {
			if path, ok := cfg.Models[name]; ok {
				c.models[name] = modelFile{path, stateOf(path)}
			}
		}
		all = append(all, c)
	}
	return all
}

func (c streamConfig) equal(o streamConfig) bool {
	return c.Equal(o.Stream) && maps.Equal(c.models, o.models)
}

// samePicture leaves out what a running session need not know.
func (c streamConfig) samePicture(o streamConfig) bool {
	c.HoldLastFrame, c.OnDemand, c.OnDemandLinger = o.HoldLastFrame, o.OnDemand, o.OnDemandLinger
	return c.SamePicture(o.Stream) && maps.Equal(c.models, o.models)
}

// prepared is a stream's configuration with the source made for it: nothing of it can fail any more.
type prepared struct {
	cfg    streamConfig
	source media.Source
	clock  *ingest.Clock // of the stream
	camera string        // its URL without credentials, or "a publisher"
}

// supervised is a stream as its supervisor sees it.
type supervised interface {
	comparable
	run(ctx context.Context)
	change(p prepared) // while run runs
	close()            // after run: leaves nothing behind
}

// supervisor runs streams by name.
type supervisor[S supervised] struct {
	ctx    context.Context //nolint:containedctx // ends all streams
	create func(p prepared) S

	mu      sync.Mutex
	members []*member[S] // in the order of the file; replaced, never changed
}

// member is a running stream.
type member[S supervised] struct {
	cfg    streamConfig // of the goroutine that calls apply
	stream S
	cancel context.CancelFunc
	done   chan struct{}
}

func newSupervisor[S supervised](ctx context.Context, create func(p prepared) S) *supervisor[S] {
	return &supervisor[S]{ctx: ctx, create: create}
}

// changes are the names of the streams, by what has become of them.
type changes struct{ added, removed, changed, unchanged []string }

// apply makes the running streams those of next: what is gone is stopped, what is new is started, what differs is
// changed, and what is equal does not notice. prepare is called for the latter two with the running stream, if there is
// one, and then commit; if one of them fails, nothing has happened. Calls of apply come one after the other.
func (v *supervisor[S]) apply(next []streamConfig, prepare func(now S, cfg streamConfig) (prepared, error), commit func() error) (changes, error) {
	now := map[string]*member[S]{}
	for _, m := range v.list() {
		now[m.cfg.Name] = m
	}
	ready := map[string]prepared{}
	var failed []error
	for _, cfg := range next {
		m := now[cfg.Name]
		if m != nil && m.cfg.equal(cfg) {
			continue
		}
		var running S
		if m != nil {
			running = m.stream
		}
		p, err := prepare(running, cfg)
		failed, ready[cfg.Name] = append(failed, err), p
	}
	if err := errors.Join(failed...); err != nil {
		return changes{}, err
	}
	if err := commit(); err != nil {
		return changes{}, err
	}
	return v.follow(next, now, ready), nil
}

// follow does what apply has found to be possible.
func (v *supervisor[S]) follow(next []streamConfig, now map[string]*member[S], ready map[string]prepared) changes {
	var c changes
	var members, stay, added []*member[S]
	for _, cfg := range next {
		if m := now[cfg.Name]; m != nil {
			stay = append(stay, m)
			delete(now, cfg.Name)
		}
	}
	v.set(stay) // nobody finds what is about to be stopped
	// What goes has gone before others come: a camera that was only renamed may allow one connection.
	for _, m := range now {
		m.cancel()
	}
	for name, m := range now {
		<-m.done
		m.stream.close()
		c.removed = append(c.removed, name)
	}
	slices.Sort(c.removed)
	for _, cfg := range next {
		p, differs := ready[cfg.Name]
		i := slices.IndexFunc(stay, func(m *member[S]) bool { return m.cfg.Name == cfg.Name })
		switch {
		case i < 0:
			m := &member[S]{cfg: cfg, stream: v.create(p), done: make(chan struct{})}
			members, added = append(members, m), append(added, m)
			c.added = append(c.added, cfg.Name)
			continue
		case differs:
			stay[i].cfg = cfg
			stay[i].stream.change(p)
			c.changed = append(c.changed, cfg.Name)
		default:
			c.unchanged = append(c.unchanged, cfg.Name)
		}
		members = append(members, stay[i])
	}
	v.set(members)
	for _, m := range added {
		var ctx context.Context
		ctx, m.cancel = context.WithCancel(v.ctx)
		go func() {
			defer close(m.done)
			m.stream.run(ctx)
		}()
	}
	return c
}

func (v *supervisor[S]) set(members []*member[S]) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.members = members
}

func (v *supervisor[S]) list() []*member[S] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.members
}

// streams returns those that run, in the order of the file.
func (v *supervisor[S]) streams() []S {
	var all []S
	for _, m := range v.list() {
		all = append(all, m.stream)
	}
	return all
}

// wait returns when all streams have ended, which the context makes them do. No apply may run.
func (v *supervisor[S]) wait() {
	for _, m := range v.list() {
		<-m.done
	}
}
