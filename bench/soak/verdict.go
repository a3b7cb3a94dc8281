package soak

import (
	"fmt"
	"slices"
	"time"
)

// Bound is one thing that a run is judged by.
type Bound struct {
	What  string
	Limit string
	Found string
	Held  bool
	Moot  string // why it is not judged; empty: it is
}

// Broken returns what was judged and did not hold.
func Broken(bounds []Bound) []Bound {
	return slices.DeleteFunc(slices.Clone(bounds), func(b Bound) bool { return b.Held || b.Moot != "" })
}

// The limits of a soak.
const (
	memoryLimit    = 10.0 // MB that the line through a process's memory may rise over the run
	restFDs        = 4.0  // more descriptors at rest at the end than at the start
	restGoroutines = 8.0
	ageLimit       = 20.0             // ms that the line through the median age may rise over the run
	longEnough     = 10 * time.Minute // to judge growth
)

// Bounds judges the run.
func (r Result) Bounds() []Bound {
	none := func(what string, n int) Bound {
		return Bound{What: what, Limit: "0", Found: fmt.Sprint(n), Held: n == 0}
	}
	var unrecovered, restarts int
	for _, f := range r.Faults {
		if !f.Recovered {
			unrecovered++
		}
	}
	list := []Bound{
		none("permanent readers thrown out", r.Thrown), none("publisher thrown out", r.Publish),
		none("visiting readers of well-behaved streams thrown out", len(r.Visits.Thrown)),
		none("pages without an answer", r.Visits.Failed),
		none(fmt.Sprintf("faults after which no picture came within %v", recoveryLimit), unrecovered),
	}
	for _, s := range r.Streams {
		for key, n := range r.last().Restarts {
			if len(key) > len(s.Name) && key[:len(s.Name)+1] == s.Name+"/" {
				restarts += int(n)
			}
		}
		loss := r.loss(s.Name)
		list = append(list, none(s.Name+": pictures lost by RAVE", int(loss.rave)))
		missing := s.Sent - s.Received - loss.rave - loss.machine
		list = append(list, Bound{
			What: s.Name + ": pictures sent that were neither seen nor missed between others", Limit: "1 s of them",
			Found: fmt.Sprint(missing), Held: missing <= int64(r.fps(s.Name)),
		})
	}
	list = append(list, none("worker processes of well-behaved streams that ended", restarts))
	list = append(list, r.growths()...)
	orderly := Bound{What: "end of RAVE after SIGTERM", Limit: "in order", Found: "in order", Held: r.Bad == ""}
	if !orderly.Held {
		orderly.Found = r.Bad
	}
	return append(list, orderly)
}

func (r Result) last() Sample {
	if len(r.Samples) == 0 {
		return Sample{}
	}
	return r.Samples[len(r.Samples)-1]
}

// busy are the samples between both rests, less the first tenth, in which the readers gather.
func (r Result) busy() []Sample {
	from := r.Phases.calm + (r.Phases.rest-r.Phases.calm)/10
	return slices.DeleteFunc(slices.Clone(r.Samples), func(s Sample) bool { return s.At < from || s.At > r.Phases.rest })
}

// rests are the samples of the second half of the first rest and of the last quarter of the last one.
func (r Result) rests() (first, last []Sample) {
	for _, s := range r.Samples {
		if s.At > r.Phases.calm/2 && s.At <= r.Phases.calm {
			first = append(first, s)
		}
		if s.At > r.Length-(r.Length-r.Phases.rest)/4 && s.At > r.Phases.rest {
			last = append(last, s)
		}
	}
	return first, last
}

// growths judges what must not grow.
func (r Result) growths() []Bound {
	moot := ""
	if r.Length < longEnough {
		moot = fmt.Sprintf("not judged in less than %v", longEnough)
	}
	busy := r.busy()
	line := func(what string, c column, limit float64, unit string) Bound {
		over, perHour := growth(c.points(busy))
		return Bound{
			What: what, Limit: fmt.Sprintf("%g %s over the run", limit, unit),
			Found: fmt.Sprintf("%+.2f (%+.2f per hour)", over, perHour), Held: over <= limit, Moot: moot,
		}
	}
	first, last := r.rests()
	rest := func(what string, c column, limit float64) Bound {
		_, before := c.points(first)
		_, after := c.points(last)
		if len(before) == 0 || len(after) == 0 {
			return Bound{What: what, Limit: fmt.Sprintf("%+g", limit), Moot: "the run ended before its rest"}
		}
		return Bound{
			What: what, Limit: fmt.Sprintf("%+g", limit), Found: fmt.Sprintf("%.1f → %.1f", mean(before), mean(after)),
			Held: mean(after) <= mean(before)+limit, Moot: moot,
		}
	}
	list := []Bound{
		line("growth of the main process's memory (PSS)", mainPSS(), memoryLimit, "MB"),
		line("growth of the main process's descriptors", mainFDs(), restFDs, ""),
		rest("descriptors of the main process at rest", mainFDs(), restFDs),
		rest("goroutines of the main process at rest", goroutines(), restGoroutines),
	}
	for _, s := range r.Streams {
		list = append(list,
			line("growth of the memory of "+s.Name+"'s worker (PSS)", workerPSS(s.Name), memoryLimit, "MB"),
			rest("descriptors of "+s.Name+"'s worker", workerFDs(s.Name), 1),
			r.ageGrowth(s.Name, moot))
	}
	return list
}

// ageGrowth judges by the windows in which the machine was in time.
func (r Result) ageGrowth(stream, moot string) Bound {
	busy, timely := r.busy(), r.timely(stream)
	over, perHour := growth(ageP50(stream).points(timely))
	if moot == "" && len(timely) < len(busy)/4 {
		moot = fmt.Sprintf("not judged: the machine was in time in %d of %d windows", len(timely), len(busy))
	}
	return Bound{
		What: "growth of the age of " + stream + "'s picture (median) while the machine is in time", Limit: fmt.Sprintf("%g ms over the run", ageLimit),
		Found: fmt.Sprintf("%+.2f (%+.2f per hour)", over, perHour), Held: over <= ageLimit, Moot: moot,
	}
}

// timely are the busy samples in which, as in the one before, the machine was not late.
func (r Result) timely(stream string) (list []Sample) {
	frame := time.Second / time.Duration(r.fps(stream))
	busy := r.busy()
	for i, s := range busy {
		if !s.late(frame) && !busy[max(0, i-1)].late(frame) {
			list = append(list, s)
		}
	}
	return list
}

// lost are a stream's pictures that the reader outside missed, by cause.
type lost struct{ rave, machine int64 }

// loss finds the cause of each lost picture. The machine is the cause where it was late in the same window or the one
// before, and RAVE counted as many drops as pictures are missing, so that it knew; a drop explains one picture. All else
// is put down to RAVE.
func (r Result) loss(stream string) (l lost) {
	interval := time.Second / time.Duration(r.fps(stream))
	counted := drops(stream)
	used := 0.0 // the count up to which drops have explained something
	for i, s := range r.Samples {
		n := s.Windows[stream].Lost
		if n == 0 {
			continue
		}
		before := r.Samples[max(0, i-2)]
		now, _ := counted.of(s)
		then, _ := counted.of(before)
		if i < 2 {
			then = 0
		}
		then = max(then, used)
		late := s.late(interval) || r.Samples[max(0, i-1)].late(interval)
		if late && now-then >= float64(n) {
			l.machine += n
			used = then + float64(n)
		} else {
			l.rave += n
		}
	}
	return l
}

// late says whether the machine was: a timer of the harness came late by a frame's time, or nothing was idle while
// others than RAVE, its cameras and its readers had a quarter of a core or more.
func (s Sample) late(frame time.Duration) bool {
	return s.Stall >= frame || s.Idle < 0.1 && s.Others+s.Steal >= 0.25
}

func (r Result) fps(stream string) int {
	for _, s := range streams() {
		if s.name == stream {
			return s.clip.FPS
		}
	}
	return 1
}
