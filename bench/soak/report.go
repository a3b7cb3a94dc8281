package soak

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"rave/bench/reader"
)

// About says where and how a run took place.
type About struct {
	Machine, Command, Commit string
	Figure, Data             string // file names beside the report
}

// document collects Markdown.
type document struct{ strings.Builder }

func (d *document) line(format string, a ...any) { fmt.Fprintf(d, format+"\n", a...) }

func (d *document) row(cells ...any) {
	for _, c := range cells {
		fmt.Fprintf(d, "| %v ", c)
	}
	d.line("|")
}

func (d *document) header(cells ...any) {
	d.line("")
	d.row(cells...)
	d.line("%s|", strings.Repeat("|---", len(cells)))
}

func (d *document) about(a About, started time.Time, length time.Duration) {
	d.line("%s, %v, from %s. Commit %s, `%s`. Data: [%s](%s).", a.Machine, length.Round(time.Second),
		started.UTC().Format("2006-01-02 15:04 MST"), a.Commit, a.Command, a.Data, a.Data)
}

func (d *document) verdict(bounds []Bound) {
	broken := Broken(bounds)
	d.line("\n## Verdict: %s", map[bool]string{true: "all bounds held", false: fmt.Sprintf("%d bounds broken", len(broken))}[len(broken) == 0])
	d.header("bound", "limit", "found", "")
	for _, b := range bounds {
		word := map[bool]string{true: "held", false: "**broken**"}[b.Held]
		if b.Moot != "" {
			word = b.Moot
		}
		d.row(b.What, b.Limit, b.Found, word)
	}
}

// Report writes the run as Markdown.
func (r Result) Report(w io.Writer, a About) error {
	d := &document{}
	d.line("# An hour under fire\n")
	d.about(a, r.Started, r.Length)
	d.line("\nWritten by the program; [README.md](README.md) says what is done and how it is judged.\n\n![Soak](%s)", a.Figure)
	d.verdict(r.Bounds())
	r.streamTable(d)
	r.resources(d)
	r.faultTable(d)
	r.readers(d)
	_, err := io.WriteString(w, d.String())
	return err
}

func (r Result) streamTable(d *document) {
	part := min(10*time.Minute, (r.Length / 3).Round(time.Second))
	d.line("\n## Well-behaved streams\n")
	late := 0
	for _, s := range r.Samples {
		if s.late(time.Second / 12) {
			late++
		}
	}
	d.line("The machine was late in %d of %d windows (README.md says how that is seen).\n", late, len(r.Samples))
	d.line("Ages are in ms, p50 / p99 / max, of the first and the last %v; they hold the one frame that FFmpeg's parser keeps back.", part)
	d.header("stream", "what", "sent", "received", "lost by RAVE", "lost by a late machine", "first", "last", "median's slope, ms/h")
	for _, s := range r.Streams {
		l := r.loss(s.Name)
		_, perHour := growth(ageP50(s.Name).points(r.timely(s.Name)))
		d.row(s.Name, s.What, s.Sent, s.Received, l.rave, l.machine, s.span(r.Started, 0, part), s.span(r.Started, r.Length-part, r.Length),
			fmt.Sprintf("%+.2f", perHour))
	}
	d.header("stream", "drops counted by RAVE")
	for _, name := range r.names() {
		var list []string
		counted := r.last().Drops[name]
		for _, key := range slices.Sorted(maps.Keys(counted)) {
			list = append(list, fmt.Sprintf("%s %.0f", key, counted[key]))
		}
		d.row(name, cmp.Or(strings.Join(list, ", "), "none"))
	}
}

func (r Result) names() []string {
	var list []string
	for _, s := range r.Streams {
		list = append(list, s.Name)
	}
	return append(list, unruly)
}

func (s StreamResult) span(start time.Time, from, to time.Duration) string {
	inside := slices.DeleteFunc(slices.Clone(s.ages), func(a aged) bool {
		return a.at.Before(start.Add(from)) || !a.at.Before(start.Add(to))
	})
	return ages(spread(inside))
}

func ages(s reader.Spread) string {
	return fmt.Sprintf("%.0f / %.0f / %.0f", milliseconds(s.P50), milliseconds(s.P99), milliseconds(s.Max))
}

func (r Result) resources(d *document) {
	d.line("\n## Resources\n")
	d.line("First and last are means of the rests before and after; the slope is that of the time between them.")
	d.header("", "first", "last", "largest", "slope per hour")
	first, last := r.rests()
	list := []column{mainPSS(), mainFDs(), goroutines()}
	for _, name := range r.names() {
		list = append(list, workerPSS(name), workerFDs(name))
	}
	of := func(c column, samples []Sample, fold func([]float64) float64) string {
		_, values := c.points(samples)
		if len(values) == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f", fold(values))
	}
	for _, c := range list {
		_, perHour := growth(c.points(r.busy()))
		d.row(strings.ReplaceAll(c.name, "_", " "), of(c, first, mean), of(c, last, mean), of(c, r.Samples, largest), fmt.Sprintf("%+.2f", perHour))
	}
	d.header("cores", "mean", "largest in 5 s")
	for _, c := range []struct {
		name string
		of   func(Sample) float64
	}{
		{"RAVE", func(s Sample) float64 { return s.Rave }}, {"of it, the main process", func(s Sample) float64 { return s.RaveMain }},
		{"cameras and readers", func(s Sample) float64 { return s.Harness }}, {"others on the machine", func(s Sample) float64 { return s.Others }},
		{"not given by the host", func(s Sample) float64 { return s.Steal }}, {"idle", func(s Sample) float64 { return s.Idle }},
	} {
		_, values := cores("", c.of).points(r.Samples)
		d.row(c.name, fmt.Sprintf("%.2f", mean(values)), fmt.Sprintf("%.2f", largest(values)))
	}
}

func (r Result) faultTable(d *document) {
	d.line("\n## The unruly camera\n")
	d.line("Recovery is the time from the end of the fault to the first picture at the reader that was sent after it.")
	d.header("fault", "times", "recovered", "recovery p50", "max")
	for _, kind := range Kinds() {
		var times, recovered int
		var took []time.Duration
		for _, f := range r.Faults {
			if f.Kind == kind {
				times++
				took = append(took, f.Recovery)
				if f.Recovered {
					recovered++
				}
			}
		}
		s := reader.NewSpread(took)
		d.row(kind, times, recovered, s.P50.Round(10*time.Millisecond), s.Max.Round(10*time.Millisecond))
	}
	d.header("restarted", "times")
	for _, key := range slices.Sorted(maps.Keys(r.last().Restarts)) {
		d.row("worker of "+strings.Replace(key, "/", ", ", 1), r.last().Restarts[key])
	}
	for _, key := range slices.Sorted(maps.Keys(r.last().Reconnects)) {
		d.row("connection to the camera of "+key, r.last().Reconnects[key])
	}
}

func (r Result) readers(d *document) {
	d.line("\n## Readers\n")
	d.line("%d stayed for the whole time. The others came, stayed for 3 to 25 s and went:", r.Stayed)
	d.header("over and how", "readers")
	for _, key := range slices.Sorted(maps.Keys(r.Visits.Came)) {
		d.row(key, r.Visits.Came[key])
	}
	d.row("ended by themselves with the unruly camera", r.Visits.WithSick)
	d.row("pages, metrics and status fetched", r.Visits.Pages)
	for _, said := range r.Visits.Thrown {
		d.line("\nThrown out: %s", said)
	}
}
