package soak

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// column is one figure over time.
type column struct {
	name string
	of   func(Sample) (float64, bool) // false: there is none
	fold func([]float64) float64      // of several samples together
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

func total(list []float64) float64 { return mean(list) * float64(len(list)) }

func largest(list []float64) float64 {
	top := list[0]
	for _, v := range list {
		top = max(top, v)
	}
	return top
}

const mb = 1e6

func always(of func(Sample) float64) func(Sample) (float64, bool) {
	return func(s Sample) (float64, bool) { return of(s), true }
}

func mainPSS() column {
	return column{"main_pss_mb", always(func(s Sample) float64 { return float64(s.Main.PSS) / mb }), mean}
}

func mainFDs() column {
	return column{"main_fds", always(func(s Sample) float64 { return float64(s.Main.FDs) }), largest}
}

func goroutines() column {
	return column{"main_goroutines", always(func(s Sample) float64 { return s.Goroutines }), largest}
}

func ofWorker(stream, name string, of func(Proc) float64, fold func([]float64) float64) column {
	return column{stream + "_worker_" + name, func(s Sample) (float64, bool) {
		p, ok := s.Workers[stream]
		return of(p), ok
	}, fold}
}

func workerPSS(stream string) column {
	return ofWorker(stream, "pss_mb", func(p Proc) float64 { return float64(p.PSS) / mb }, mean)
}

func workerFDs(stream string) column {
	return ofWorker(stream, "fds", func(p Proc) float64 { return float64(p.FDs) }, largest)
}

func ofWindow(stream, name string, of func(Window) float64, fold func([]float64) float64) column {
	return column{stream + "_" + name, func(s Sample) (float64, bool) {
		w := s.Windows[stream]
		return of(w), w.Pictures > 0
	}, fold}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func ageP50(stream string) column {
	return ofWindow(stream, "age_p50_ms", func(w Window) float64 { return milliseconds(w.Age.P50) }, mean)
}

func ageP99(stream string) column {
	return ofWindow(stream, "age_p99_ms", func(w Window) float64 { return milliseconds(w.Age.P99) }, largest)
}

func drops(stream string) column {
	return column{stream + "_drops_so_far", always(func(s Sample) float64 {
		sum := 0.0
		for _, n := range s.Drops[stream] {
			sum += n
		}
		return sum
	}), largest}
}

func cores(name string, of func(Sample) float64) column {
	return column{name + "_cores", always(of), mean}
}

// columns are all, of these streams.
func columns(streams []string) []column {
	list := []column{
		mainPSS(), {"main_rss_mb", always(func(s Sample) float64 { return float64(s.Main.RSS) / mb }), mean}, mainFDs(), goroutines(),
		{"main_threads", always(func(s Sample) float64 { return float64(s.Main.Threads) }), largest},
		{"readers", always(func(s Sample) float64 { return s.Readers }), mean},
		cores("rave", func(s Sample) float64 { return s.Rave }), cores("rave_main", func(s Sample) float64 { return s.RaveMain }),
		cores("harness", func(s Sample) float64 { return s.Harness }), cores("others", func(s Sample) float64 { return s.Others }),
		cores("steal", func(s Sample) float64 { return s.Steal }),
		{"stall_ms", always(func(s Sample) float64 { return milliseconds(s.Stall) }), largest},
	}
	for _, name := range streams {
		list = append(list, workerPSS(name), workerFDs(name),
			ofWorker(name, "threads", func(p Proc) float64 { return float64(p.Threads) }, largest),
			ageP50(name), ofWindow(name, "age_p95_ms", func(w Window) float64 { return milliseconds(w.Age.P95) }, largest), ageP99(name),
			ofWindow(name, "age_max_ms", func(w Window) float64 { return milliseconds(w.Age.Max) }, largest),
			ofWindow(name, "pictures", func(w Window) float64 { return float64(w.Pictures) }, total),
			ofWindow(name, "lost", func(w Window) float64 { return float64(w.Lost) }, total),
			drops(name))
	}
	return list
}

// points are a column's values over time.
func (c column) points(samples []Sample) (at []time.Duration, values []float64) {
	for _, s := range samples {
		if v, ok := c.of(s); ok {
			at, values = append(at, s.At), append(values, v)
		}
	}
	return at, values
}

// fold joins samples so that no more than most remain, and returns the column's values; NaN where there is none.
func (c column) folded(samples []Sample, most int) []float64 {
	step := (len(samples) + most - 1) / most
	var list []float64
	for from := 0; from < len(samples); from += step {
		_, values := c.points(samples[from:min(from+step, len(samples))])
		v := math.NaN()
		if len(values) > 0 {
			v = c.fold(values)
		}
		list = append(list, v)
	}
	return list
}

// rows is how many points of a run are kept.
const rows = 240

// writeCSV writes no more than rows rows, each for the samples before its time.
func writeCSV(w io.Writer, samples []Sample, list []column) error {
	out := csv.NewWriter(w)
	at := column{"seconds", always(func(s Sample) float64 { return s.At.Seconds() }), largest}
	list = append([]column{at}, list...)
	table := make([][]float64, len(list))
	header := make([]string, len(list))
	for i, c := range list {
		header[i], table[i] = c.name, c.folded(samples, rows)
	}
	if err := out.Write(header); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	for row := range table[0] {
		record := make([]string, len(list))
		for i := range list {
			if v := table[i][row]; !math.IsNaN(v) {
				record[i] = strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
			}
		}
		if err := out.Write(record); err != nil {
			return fmt.Errorf("write csv: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}
