package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"rave/bench/reader"
)

// Row is one system with one clip: its slices together.
type Row struct {
	Clip   string        `json:"clip"`
	System string        `json:"system"`
	Slice                // the sums; the status is the last slice's
	Added  reader.Spread `json:"added_latency"` // over the median of the direct row
	Slices []Slice       `json:"slices"`
	// OwnCost is the share of the process's CPU that its stages, run alone, do not explain; see StagesAlone.
	OwnCost *float64 `json:"own_cost,omitempty"`
}

// NewRow joins slices.
func NewRow(clip, system string, parts []Slice) Row {
	row := Row{Clip: clip, System: system, Slices: parts}
	for _, s := range parts {
		row.Pictures += s.Pictures
		row.Unreadable += s.Unreadable
		row.Duplicates += s.Duplicates
		row.Disordered += s.Disordered
		row.Lost += s.Lost
		row.samples = append(row.samples, s.samples...)
		row.Seconds += s.Seconds
		row.CPU += s.CPU
		row.ServerCPU += s.ServerCPU
		row.ReaderCPU += s.ReaderCPU
		row.PeakRSS = max(row.PeakRSS, s.PeakRSS)
		row.Busy += s.Busy / float64(len(parts))
		row.Status, row.NoStatus = s.Status, s.NoStatus
	}
	if row.Seconds > 0 {
		row.FPS = float64(row.Pictures) / row.Seconds
	}
	row.Latency = reader.NewSpread(slices.Clone(row.samples))
	return row
}

// Above sets the added latency of rows from the direct one among them.
func Above(rows []Row) {
	for _, direct := range rows {
		if direct.System != (Direct{}).Name() {
			continue
		}
		for i := range rows {
			if rows[i].Clip == direct.Clip {
				rows[i].Added = rows[i].Latency.Minus(direct.Latency.P50)
			}
		}
	}
}

// Ratio compares two systems turn by turn.
type Ratio struct {
	Clip    string  `json:"clip"`
	What    string  `json:"what"`
	Of      string  `json:"of"`
	To      string  `json:"to"`
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
}

// Ratios compares each RAVE row with the FFmpeg row of its clip: CPU and median latency, slice against slice.
func Ratios(rows []Row) []Ratio {
	var list []Ratio
	for _, to := range rows {
		if to.System != (Pipeline{}).Name() {
			continue
		}
		for _, of := range rows {
			if of.Clip != to.Clip || of.System == to.System || of.System == (Direct{}).Name() {
				continue
			}
			list = append(list, both(of, to)...)
		}
	}
	return list
}

// Against compares each row with that of the same system and clip whose name has the suffix, slice against slice.
func Against(rows []Row, suffix string) []Ratio {
	var list []Ratio
	for _, of := range rows {
		i := slices.IndexFunc(rows, func(to Row) bool { return to.Clip == of.Clip && to.System == of.System+suffix })
		if i >= 0 {
			list = append(list, both(of, rows[i])...)
		}
	}
	return list
}

func both(of, to Row) []Ratio {
	return []Ratio{
		ratio(of, to, "cpu per picture", func(s Slice) float64 { return float64(s.CPU) / float64(max(1, s.Pictures)) }),
		ratio(of, to, "latency p50", func(s Slice) float64 { return float64(s.Latency.P50) }),
	}
}

func ratio(of, to Row, what string, value func(Slice) float64) Ratio {
	var all []float64
	for i := range min(len(of.Slices), len(to.Slices)) {
		if below := value(to.Slices[i]); below > 0 {
			all = append(all, value(of.Slices[i])/below)
		}
	}
	r := Ratio{Clip: of.Clip, What: what, Of: of.System, To: to.System}
	if len(all) > 0 {
		slices.Sort(all)
		r.Lowest, r.Median, r.Highest = all[0], (all[(len(all)-1)/2]+all[len(all)/2])/2, all[len(all)-1]
	}
	return r
}

// StagesAlone says what decoding, enhancing and encoding cost on their own, in CPU milliseconds for each picture.
type StagesAlone struct {
	Clip     string             `json:"clip"`
	System   string             `json:"system"`
	PerFrame map[string]float64 `json:"cpu_ms_per_frame"` // by stage
}

// SetOwnCost compares rows with their stages run alone.
func SetOwnCost(rows []Row, alone []StagesAlone) {
	for i := range rows {
		row := &rows[i]
		at := slices.IndexFunc(alone, func(a StagesAlone) bool { return a.Clip == row.Clip && a.System == row.System })
		if at < 0 || row.CPU == 0 {
			continue
		}
		sum := 0.0
		for _, ms := range alone[at].PerFrame {
			sum += ms
		}
		explained := sum * float64(time.Millisecond) * float64(row.Pictures)
		cost := 1 - explained/float64(row.CPU)
		row.OwnCost = &cost
	}
}

// Result is all that a run of the benchmark found.
type Result struct {
	Machine string    `json:"machine"`
	Started time.Time `json:"started"`
	Rows    []Row     `json:"rows"`
	Ratios  []Ratio   `json:"ratios"`
}

// JSON writes the result for programs.
func (r Result) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Table writes the result for people.
func (r Result) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(t, format+"\n", a...) }
	line("%s, %s", r.Machine, r.Started.Format(time.DateTime))
	line("\nadded latency in ms: the reader's time of a picture less the camera's, less the median at the camera itself\n")
	line("clip\tsystem\tfps\tadded p50\tp95\tp99\tlost\tdouble\tdisordered\tunreadable\tcpu s/min\tms/picture\tserver s/min\tpeak MB\tbusy")
	for _, row := range r.Rows {
		perMinute := func(d time.Duration) float64 { return d.Seconds() * 60 / row.Seconds }
		line("%s\t%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\t%d\t%.1f\t%.2f\t%.1f\t%.0f\t%.0f%%", row.Clip, row.System, row.FPS,
			ms(row.Added.P50), ms(row.Added.P95), ms(row.Added.P99), row.Lost, row.Duplicates, row.Disordered, row.Unreadable,
			perMinute(row.CPU), ms(row.CPU)/float64(max(1, row.Pictures)), perMinute(row.ServerCPU), float64(row.PeakRSS)/1e6, 100*row.Busy)
	}
	line("\nstages by RAVE's own word, wait + work, ms p50/p95/p99\n")
	line("clip\tsystem\tstages\tdrops\tenhancers\town cost")
	for _, row := range r.Rows {
		switch {
		case row.Status != nil:
			line("%s\t%s\t%s", row.Clip, row.System, row.Status.columns(row.OwnCost))
		case row.NoStatus != "":
			line("%s\t%s\t%s", row.Clip, row.System, row.NoStatus)
		}
	}
	line("\nturn by turn: median (lowest to highest)\n")
	for _, q := range r.Ratios {
		line("%s\t%s / %s\t%s\t%.2f (%.2f to %.2f)", q.Clip, q.Of, q.To, q.What, q.Median, q.Lowest, q.Highest)
	}
	return t.Flush()
}

func (s *Status) columns(own *float64) string {
	var stages, drops, enhancers []string
	for _, stage := range s.Stages {
		stages = append(stages, fmt.Sprintf("%s %v + %v", stage.Name, stage.Wait, stage.Work))
	}
	for _, d := range s.Drops {
		if d.Count > 0 {
			drops = append(drops, fmt.Sprintf("%s/%s %d", d.Stage, d.Reason, d.Count))
		}
	}
	for _, e := range s.Enhancers {
		enhancers = append(enhancers, fmt.Sprintf("%s %.0f%%", e.Name, 100*e.Share))
	}
	cost := "–"
	if own != nil {
		cost = fmt.Sprintf("%.1f%%", 100**own)
	}
	if drops == nil {
		drops = []string{"none"}
	}
	return strings.Join(stages, ", ") + "\t" + strings.Join(drops, ", ") + "\t" + strings.Join(enhancers, ", ") + "\t" + cost
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
