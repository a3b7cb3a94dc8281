package worker

import (
	"slices"

	"rave/engine"
)

// other stands for whatever a worker should not know.
const other = "other"

// names are those that a worker is believed. They become labels of metrics, which live as long as the main process: a
// worker that is no longer itself must not make new ones for ever.
type names struct {
	rungs []string // of the session
}

func (n names) rung(name string) bool { return slices.Contains(n.rungs, name) }

func (n names) rungName(name string) string { return known(n.rungs, name) }

// known returns the name if it is in the list.
func known(list []string, name string) string {
	if slices.Contains(list, name) {
		return name
	}
	return other
}

// check replaces what is not known in a batch.
func (n names) check(b *batch) {
	for i := range b.drops {
		d := &b.drops[i]
		d.reason = known(engine.DropReasons(), d.reason)
	}
	for i := range b.rungs {
		r := &b.rungs[i]
		r.name = n.rungName(r.name)
	}
	for i := range b.changes {
		c := &b.changes[i]
		if c.from != "" { // the first
			c.from = n.rungName(c.from)
		}
		c.to, c.reason = n.rungName(c.to), known(engine.ChangeReasons(), c.reason)
	}
}
