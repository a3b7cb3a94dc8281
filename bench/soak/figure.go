package soak

import (
	"io"
	"math"
	"time"

	"rave/bench/chart"
)

// line draws a column over minutes.
func line(samples []Sample, c column, name string, color int, dashed bool) chart.Line {
	l := chart.Line{Name: name, Color: color, Dashed: dashed}
	at := column{"minutes", always(func(s Sample) float64 { return s.At.Minutes() }), largest}
	times := at.folded(samples, rows)
	for i, v := range c.folded(samples, rows) {
		if !math.IsNaN(v) {
			l.X, l.Y = append(l.X, times[i]), append(l.Y, v)
		}
	}
	return l
}

// Figure draws the run.
func (r Result) Figure(w io.Writer) error {
	end := r.Length.Minutes()
	f := chart.Figure{Title: "RAVE under four cameras, the last of which misbehaves (faults shaded)", Time: "minutes since the start", End: end}
	faults := chart.Panel{Unit: "faults"}
	for _, kind := range Kinds() {
		row := chart.Row{Name: string(kind)}
		for _, fault := range r.Faults {
			if fault.Kind == kind {
				row.Bars = append(row.Bars, fault.span())
			}
		}
		faults.Rows = append(faults.Rows, row)
	}
	for _, fault := range r.Faults {
		f.Shaded = append(f.Shaded, fault.span())
	}
	memory := chart.Panel{Unit: "memory (PSS), MB", Lines: []chart.Line{line(r.Samples, mainPSS(), "main process", 6, false)}}
	held := chart.Panel{Unit: "of the main process", Lines: []chart.Line{
		line(r.Samples, goroutines(), "goroutines", 0, false), line(r.Samples, mainFDs(), "descriptors", 1, false),
		line(r.Samples, column{"readers", always(func(s Sample) float64 { return s.Readers }), mean}, "readers", 2, true),
	}}
	ages := chart.Panel{Unit: "age of the picture, ms"}
	for i, s := range r.Streams {
		memory.Lines = append(memory.Lines, line(r.Samples, workerPSS(s.Name), s.Name, i, false))
		ages.Lines = append(ages.Lines, line(r.Samples, ageP50(s.Name), s.Name+" p50", i, false),
			line(r.Samples, ageP99(s.Name), "p99", i, true))
	}
	memory.Lines = append(memory.Lines, line(r.Samples, workerPSS(unruly), unruly, 3, false))
	sick := chart.Panel{Unit: "age of unruly, s", Lines: []chart.Line{
		line(r.Samples, ofWindow(unruly, "s", func(w Window) float64 { return w.Age.P50.Seconds() }, mean), "p50", 3, false),
		line(r.Samples, ofWindow(unruly, "s", func(w Window) float64 { return w.Age.P99.Seconds() }, largest), "p99", 3, true),
	}}
	f.Panels = []chart.Panel{faults, memory, held, ages, sick, processors(r.Samples)}
	return f.SVG(w)
}

func processors(samples []Sample) chart.Panel {
	of := func(name string, color int, value func(Sample) float64) chart.Line {
		return line(samples, cores("", value), name, color, false)
	}
	return chart.Panel{Unit: "processor, cores", Lines: []chart.Line{
		of("RAVE", 0, func(s Sample) float64 { return s.Rave }),
		of("of it, main process", 4, func(s Sample) float64 { return s.RaveMain }),
		of("cameras and readers", 2, func(s Sample) float64 { return s.Harness }),
		of("all others", 6, func(s Sample) float64 { return s.Others + s.Steal }),
	}}
}

// span is the fault in minutes, wide enough to be seen.
func (f Fault) span() chart.Span {
	return chart.Span{From: f.Start.Minutes(), To: max(f.End, f.Start+4*time.Second).Minutes()}
}
