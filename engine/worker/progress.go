package worker

import (
	"sync/atomic"

	"rave/engine"
)

// progress is what is known of the stages of the worker that may stand still.
type progress struct{ decode, enhance stage }

// stage counts what was handed to it since it last finished something.
type stage struct {
	pending atomic.Int64
	moved   atomic.Bool // since the last beat
	stalled int         // beats; of the watcher
}

func (s *stage) move() {
	s.pending.Store(0)
	s.moved.Store(true)
}

// beat returns for how many beats in a row the stage has had work and finished none of it.
func (s *stage) beat() int {
	if s.stalled++; s.moved.Swap(false) || s.pending.Load() == 0 {
		s.stalled = 0
	}
	return s.stalled
}

// follow judges by a worker's reports which stages get on: finishing or refusing something is getting on, being
// overrun is not.
func (w *progress) follow(b *batch) {
	w.enhance.pending.Add(int64(b.decoded))
	moved := func(stage string) {
		switch stage {
		case engine.StageDecode:
			w.decode.move()
		case engine.StageEnhance, engine.StageEncode:
			w.enhance.move() // the enhancer waits for the encoder
		}
	}
	for _, s := range b.stages {
		moved(s.stage)
	}
	for _, d := range b.drops {
		if d.reason != engine.DropOverload && d.reason != engine.DropOverflow {
			moved(d.stage)
		}
	}
}
