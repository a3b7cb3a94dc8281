package worker

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// never is before every PTS.
const never time.Duration = math.MinInt64

// maxOpen bounds what an account remembers: more than a session and the window hold at once. What is older has left the
// worker without a word, such as the second field of a picture.
const maxOpen = 2 * maxPackets

// account makes every access unit that workers were given a picture or a drop, once, however many workers have had it.
// A worker reports that it dropped something, not what; it does so before it sends a later picture. So a picture settles
// everything up to it, and what was reported since then is credit: so many of the open ones are counted already.
type account struct {
	open   []entry // no picture has come of these, nor of any after them; by PTS
	credit int     // of open: the running worker has reported them as dropped
}

type entry struct {
	number uint64 // in the window
	pts    time.Duration
}

// give opens an access unit that no worker had before.
func (a *account) give(number uint64, pts time.Duration) {
	i, _ := slices.BinarySearchFunc(a.open, pts+1, func(e entry, t time.Duration) int { return cmp.Compare(e.pts, t) })
	a.open = slices.Insert(a.open, i, entry{number, pts})
	if len(a.open) > maxOpen {
		a.settle(1)
	}
}

// picture settles everything up to a picture that came.
func (a *account) picture(pts time.Duration) {
	n := 0
	for n < len(a.open) && a.open[n].pts <= pts {
		n++
	}
	a.open = slices.Delete(a.open, 0, n)
	a.credit = min(max(0, a.credit-max(0, n-1)), len(a.open)) // the picture itself was no drop
}

// settle closes the n oldest, which are those that were reported.
func (a *account) settle(n int) {
	a.open = slices.Delete(a.open, 0, n)
	a.credit = max(0, a.credit-n)
}

// dropped takes note of n drops that were reported.
func (a *account) dropped(n int) { a.credit = min(a.credit+n, len(a.open)) }

// remove closes what matches and returns how many these are.
func (a *account) remove(match func(entry) bool) int {
	before := len(a.open)
	a.open = slices.DeleteFunc(a.open, match)
	return before - len(a.open)
}

// inherit is called when a worker has died. The next one is given everything from the access unit first on, and passes
// over pictures up to after. It returns how many were lost with the old one, and how far the new one has to pass over
// pictures so that none is counted twice: as many as were reported as dropped.
func (a *account) inherit(first uint64, after time.Duration) (lost int, until time.Duration) {
	lost = a.remove(func(e entry) bool { return e.number < first || e.pts <= after })
	counted := min(lost, a.credit)
	lost, a.credit = lost-counted, min(a.credit-counted, len(a.open))
	if a.credit > 0 {
		after = a.open[a.credit-1].pts
		a.settle(a.credit)
	}
	return lost, after
}
