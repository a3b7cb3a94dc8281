package viewers

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Table writes the result for people.
func (r Result) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, a ...any) { _, _ = fmt.Fprintf(t, format+"\n", a...) }
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	line("%s", r.Machine)
	line("\nms until a keyframe is decoded\n")
	line("from\tp50\tp95\tp99")
	line("start of RAVE (%d, beside the first), enhanced\t%.0f\t%.0f\t%.0f", r.Starts, ms(r.Start.P50), ms(r.Start.P95), ms(r.Start.P99))
	for _, name := range []string{"rave enhanced", "rave original", "mediamtx"} {
		s := r.First[name]
		line("offer, %s\t%.0f\t%.0f\t%.0f", name, ms(s.P50), ms(s.P95), ms(s.P99))
	}
	line("\nCPU ms a second for each added viewer of the camera's own picture, turn by turn\n")
	line("server\tserver's\tviewer's own\tlost packets")
	for _, name := range []string{"rave", "mediamtx"} {
		for _, c := range r.Cost[name] {
			line("%s\t%.2f\t%.2f\t%d", name, ms(c.Server), ms(c.Viewer), c.Lost)
		}
	}
	if n := len(r.Ratios); n > 0 {
		line("RAVE / MediaMTX\t%.2f (%.2f to %.2f)", (r.Ratios[(n-1)/2]+r.Ratios[n/2])/2, r.Ratios[0], r.Ratios[n-1])
	}
	line("\nmany viewers at once\n")
	line("viewers\tgone\tlost packets\tfewest pictures a second\tlongest gap ms")
	fewest, lost, gap := []float64{}, 0, time.Duration(0)
	for _, v := range r.Crowd.Viewers {
		fewest = append(fewest, float64(v.Pictures)/r.Crowd.Seconds)
		lost += v.Lost
		gap = max(gap, v.Gap)
	}
	if len(fewest) > 0 {
		line("%d\t%d\t%d\t%.1f\t%.0f", len(fewest), r.Crowd.Gone, lost, slices.Min(fewest), ms(gap))
	}
	return t.Flush()
}
