package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"rave/engine/media"
)

// still is the last enhanced picture, kept to be shown again while the camera is away. It is one of the picture's owners.
type still struct {
	after atomic.Int64 // the PTS that pictures must have after the last repetition

	mu      sync.Mutex
	queue   *Queue[*media.Frame] // to the encoder; nil between two runs
	misused func()
	mine    *media.Frame // nil: none
	picture *shared      // that mine is a view of
}

func (k *still) open(queue *Queue[*media.Frame], misused func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.queue, k.misused = queue, misused
}

// keep keeps a picture on its way to the encoder, in the place of the one before, and returns it.
func (k *still) keep(f *media.Frame) *media.Frame {
	p := &shared{f: f, misused: k.misused}
	mine, encoders := p.view(), p.view()
	k.replace(mine, p)
	return encoders
}

// drop lets the picture go: it is of another generation than what comes.
func (k *still) drop() { k.replace(nil, nil) }

func (k *still) replace(mine *media.Frame, picture *shared) {
	k.mu.Lock()
	old := k.mine
	k.mine, k.picture = mine, picture
	k.mu.Unlock()
	if old != nil {
		old.Release()
	}
}

// close lets nothing into the queue any more, and the picture go.
func (k *still) close() {
	k.mu.Lock()
	k.queue = nil
	k.mu.Unlock()
	k.drop()
}

// repeat gives the encoder the picture once more, unless it has others to encode.
func (k *still) repeat(pts time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.queue == nil || k.mine == nil {
		return
	}
	f := k.picture.view()
	f.Meta = media.Meta{PTS: pts, Enhanced: time.Now(), Enhancer: f.Enhancer, Held: true}
	if !k.queue.TryPut(f) {
		f.Release()
	}
}

// passed reports that a repetition was shown at this time or later: a picture of the camera's would take viewers back.
func (k *still) passed(pts time.Duration) bool { return int64(pts) < k.after.Load() }

// Repeat makes a picture of the last one, for the time pts: the camera is away, and whoever watches is not to lose the
// picture at once. It costs an access unit in which nothing changes, and counts nowhere as a picture of the camera's, which
// the packet says (Held). Pictures of the camera's from before pts that come later are given up as late. It never waits,
// and does nothing if there is no picture yet, or another one on its way.
func (s *Session) Repeat(pts time.Duration) { s.still.repeat(pts) }

// encodeHeld encodes a repetition.
func (s *Session) encodeHeld(f *media.Frame) error {
	e := &s.enc
	if e.enc == nil || f.Format != e.in || f.PTS <= e.last {
		f.Release()
		return nil
	}
	e.last = f.PTS
	s.still.after.Store(int64(f.PTS) + 1)
	s.keyframeIfDue(f.PTS)
	return s.send(f)
}
