package worker

import (
	"sync"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// The drop policy of the main process's side. The worker takes packets as they come and decides what to drop of them
// (engine/drop.go), so packets wait here only while there is no worker or it does not read. Then, as compressed packets
// refer to each other, everything goes up to the next keyframe.
const (
	// As soon as a newer keyframe arrives, what has waited longer than this for a working worker goes.
	busyAfter = 500 * time.Millisecond
	// What is kept for the next worker, and what may wait: less than a session takes at once.
	maxPackets = 500
	maxBytes   = 48 << 20
)

// Reasons of drops, besides those of package engine.
const (
	DropBusy     = "worker_busy" // the worker does not take packets
	DropDown     = "worker_down" // there was no worker
	DropDied     = "worker_died" // a worker died with them, and a newer keyframe had come already
	DropPoison   = "poison"      // these packets have killed workers
	DropOversize = "oversize"    // larger than a message may be
)

// window holds the packets from the last keyframe on: those before next have been given to the worker, and will be given
// to its successor; the others wait.
type window struct {
	drop func(reason string, n int)
	wake func()

	mu      sync.Mutex
	packets []media.Packet
	next    int
	bytes   int
	first   uint64 // the running number of packets[0]
	fresh   uint64 // the running number of the first packet that no worker has had
	account account
	after   time.Duration // the next worker passes over pictures up to this one
	waitKey bool          // packets up to the next keyframe are undecodable
	lost    bool          // packets were dropped since the last that was taken
	up      bool          // there is a worker
	closed  bool
}

func newWindow(drop func(string, int), wake func()) *window {
	return &window{drop: drop, wake: wake, waitKey: true, after: never}
}

// put adds a packet and never waits. It returns false after close.
func (w *window) put(p media.Packet) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if !w.admit(p) {
		w.lost = true
		return true
	}
	p.Lost, w.lost = p.Lost || w.lost, false
	w.packets = append(w.packets, p)
	w.bytes += len(p.Data)
	w.wake()
	return true
}

// admit applies the policy to an arriving packet; the lock is held.
func (w *window) admit(p media.Packet) bool {
	if len(p.Data) > maxData {
		w.drop(DropOversize, 1)
		w.waitKey = true
		return false
	}
	switch {
	case p.Keyframe:
		w.waitKey = false
		w.renew(p)
	case p.Discontinuity:
		w.waitKey = true
	}
	if w.waitKey {
		w.drop(engine.DropKeyframe, 1)
		return false
	}
	if w.full(p) { // a long group of pictures: it cannot be sent again
		w.forget(w.next)
	}
	if w.full(p) {
		w.clear(w.reason())
		if w.waitKey = !p.Keyframe; w.waitKey {
			w.drop(engine.DropKeyframe, 1)
			return false
		}
	}
	return true
}

// renew makes room for a keyframe.
func (w *window) renew(p media.Packet) {
	switch {
	case w.next == len(w.packets):
		w.forget(w.next)
	case !w.up || p.Arrival.Sub(w.packets[w.next].Arrival) > busyAfter:
		w.clear(w.reason())
	}
}

func (w *window) full(p media.Packet) bool {
	return len(w.packets) > 0 && (len(w.packets) >= maxPackets || w.bytes+len(p.Data) > maxBytes)
}

func (w *window) reason() string {
	if w.up {
		return DropBusy
	}
	return DropDown
}

// forget removes the first n packets.
func (w *window) forget(n int) {
	for i := range n {
		w.bytes -= len(w.packets[i].Data)
		w.packets[i] = media.Packet{}
	}
	w.packets = w.packets[n:]
	w.first += uint64(n)
	w.next = max(0, w.next-n)
	w.fresh = max(w.fresh, w.first)
}

// clear removes everything; what waited counts as dropped.
func (w *window) clear(reason string) {
	w.lost = w.lost || w.next < len(w.packets)
	w.lose(w.next, len(w.packets), reason)
	w.forget(len(w.packets))
}

// lose counts packets[from:to], which the running worker was not given, as dropped; those that are settled are not.
func (w *window) lose(from, to int, reason string) {
	start, end := w.first+uint64(from), w.first+uint64(max(from, to))
	n := w.account.remove(func(e entry) bool { return e.number >= start && e.number < end })
	for i, p := range w.packets[from:max(from, to)] {
		if start+uint64(i) >= w.fresh && !p.DecodeOnly {
			n++
		}
	}
	w.drop(reason, n)
}

// take returns the next packet for the worker.
func (w *window) take() (media.Packet, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == len(w.packets) {
		return media.Packet{}, false
	}
	p := w.packets[w.next]
	if p.Keyframe {
		w.forget(w.next)
	}
	switch number := w.first + uint64(w.next); {
	case number < w.fresh:
		p.DecodeOnly = p.DecodeOnly || p.PTS <= w.after
	case !p.DecodeOnly:
		w.account.give(number, p.PTS)
		fallthrough
	default:
		w.fresh = number + 1
	}
	w.next++
	return p, true
}

// picture says that the worker has sent a picture.
func (w *window) picture(pts time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.account.picture(pts)
}

// dropped says that the worker has reported n drops.
func (w *window) dropped(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.account.dropped(n)
}

// resume returns up to which picture the next worker has nothing to make.
func (w *window) resume() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.after
}

// open says that there is a worker.
func (w *window) open() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = true
}

// rewind, when a worker has died, makes everything from the last keyframe on wait for the next one. after is the last
// picture that came. It returns the running number of that keyframe and how many packets of its group the dead worker
// was given.
func (w *window) rewind(after time.Duration) (keyframe uint64, given int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = false
	defer func() {
		var lost int
		lost, w.after = w.account.inherit(w.first, max(after, w.after))
		w.drop(DropDied, lost)
	}()
	key := len(w.packets) - 1
	for key >= 0 && !w.packets[key].Keyframe {
		key--
	}
	if key < 0 {
		w.waitKey = true
		w.clear(DropDown)
		return w.first, 0
	}
	given = max(0, w.next-key)
	w.lose(min(w.next, key), key, DropDown)
	w.forget(key)
	w.next = 0
	return w.first, given
}

// skip gives up the current group of pictures.
func (w *window) skip() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clear(DropPoison)
	w.waitKey = true
}

// close makes put return false.
func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.forget(len(w.packets))
}
