package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"rave/engine"
)

// A model that has cost this many workers in a row is not tried for a while. One death may be chance: an operator's
// kill, or memory that others took.
const (
	modelDeaths = 2
	modelRest   = 10 * time.Minute // doubling
	restMax     = 4 * time.Hour
	// A model that a worker has had for longer mostly works, whatever the worker died of.
	modelWorks = 5 * time.Minute
)

// verdict keeps a model from being tried.
type verdict struct {
	model string
	why   string
	rest  time.Duration // what is left of it
}

// blame remembers which models workers died of, across workers.
type blame struct{ models []accused }

type accused struct {
	name   string
	deaths int // since it last worked
	times  int // that it was condemned
	why    string
	until  time.Time
}

// worked acquits models.
func (b *blame) worked(models []string) {
	b.models = slices.DeleteFunc(b.models, func(a accused) bool { return slices.Contains(models, a.name) })
}

// died counts a worker that died of a model and reports whether the model is now condemned, and for how long.
func (b *blame) died(model, why string, now time.Time) (rest time.Duration, condemned bool) {
	i := slices.IndexFunc(b.models, func(a accused) bool { return a.name == model })
	if i < 0 {
		b.models, i = append(b.models, accused{name: model}), len(b.models)
	}
	a := &b.models[i]
	if a.deaths++; a.deaths < modelDeaths && a.times == 0 {
		return 0, false
	}
	rest = min(modelRest<<min(a.times, 8), restMax)
	a.deaths, a.why, a.until = 0, why, now.Add(rest)
	a.times++
	return rest, true
}

// verdicts lists what a new worker must not try.
func (b *blame) verdicts(now time.Time) []verdict {
	var list []verdict
	for _, a := range b.models {
		if rest := a.until.Sub(now); rest > 0 {
			list = append(list, verdict{model: a.name, why: a.why, rest: rest})
		}
	}
	return list
}

// accuse finds out which model a death is due to, if any: the one that was being opened, or the one that was serving if
// it is a model's way of dying.
func (l *life) accuse(reason string) string {
	if m := l.trying.Load(); m != nil && *m != "" {
		return *m
	}
	if m := l.serving.Load(); m != nil && (reason == reasonMemory || reason == reasonStall && l.work.enhance.stalled > 0) {
		return *m
	}
	return ""
}

// model takes the worker's word on what it opens.
func (l *life) model(message []byte) error {
	f := fields{b: message}
	name, opened := f.text(), f.bool()
	if err := f.end(); err != nil {
		return err
	}
	if !l.c.names.rung(name) && name != "" {
		return fmt.Errorf("%w: model %q is not in quality", errMalformed, name)
	}
	none := ""
	l.trying.Store(&name)
	if opened {
		l.trying.Store(&none)
		l.serving.Store(&name)
		if _, again := l.opened[name]; !again {
			l.opened[name] = time.Now()
		}
	}
	return nil
}

// worked lists the models that this worker has had long enough. The reader must have ended.
func (l *life) worked() []string {
	var list []string
	for name, at := range l.opened {
		if time.Since(at) > modelWorks {
			list = append(list, name)
		}
	}
	return list
}

// watched is the enhancer's device of a worker. The main process is told of each model before C code sees it, so that a
// death has a name; and models that killed earlier workers are refused.
type watched struct {
	engine.Device
	child    *child
	log      *slog.Logger
	verdicts []verdict
	since    time.Time
}

// Inspect implements engine.Device.
func (w watched) Inspect(ctx context.Context, model string) (engine.ModelInfo, error) {
	if err := w.begin(model); err != nil {
		return engine.ModelInfo{}, err
	}
	defer w.tell("", false)
	return w.Device.Inspect(ctx, model)
}

// NewEnhancer implements engine.Device.
func (w watched) NewEnhancer(ctx context.Context, p engine.EnhancerParams) (engine.Enhancer, error) {
	if p.Rung == engine.Lanczos {
		return w.Device.NewEnhancer(ctx, p)
	}
	if err := w.begin(p.Rung); err != nil {
		return nil, err
	}
	e, err := w.Device.NewEnhancer(ctx, p)
	if err != nil {
		w.tell("", false)
	} else {
		w.tell(p.Rung, true)
	}
	return e, err
}

// begin says that a model is about to be opened, unless it is condemned.
func (w watched) begin(model string) error {
	for _, v := range w.verdicts {
		if rest := v.rest - time.Since(w.since); v.model == model && rest > 0 {
			return fmt.Errorf("model %s is not tried for another %v: %s", model, rest.Round(time.Second), v.why)
		}
	}
	w.tell(model, false)
	return nil
}

func (w watched) tell(model string, opened bool) {
	if err := w.child.send(kindModel, appendBool(appendText(nil, model), opened)); err != nil {
		w.log.Debug("the main process is not told of a model", "model", model, "err", err)
	}
}
