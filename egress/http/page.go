package web

import (
	_ "embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS []byte

//go:embed page.js
var pageJS []byte

// parsePage returns the template of the status page; it is executed with a Status.
func parsePage() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{
		"ms": formatMS, "bitrate": formatBitrate, "fps": formatFPS, "percent": formatPercent, "count": formatCount,
		"span": formatSpan, "state": describe, "codec": codecName,
		// points is a share as the width of a bar that is 100 wide.
		"points": func(share float64) string { return fmt.Sprintf("%.1f", 100*min(max(share, 0), 1)) },
	}).Parse(pageHTML)
}

// normal returns a copy without nil slices, which JSON would write as null.
func (s Status) normal() Status {
	s.Listeners = some(s.Listeners)
	s.Streams = some(slices.Clone(s.Streams))
	for i := range s.Streams {
		st := &s.Streams[i]
		st.Enhancers, st.Stages, st.Drops = some(st.Enhancers), some(st.Stages), some(st.Drops)
	}
	return s
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// describe says in words what a stream's source is doing.
func describe(s Stream, now time.Time) string {
	span := ""
	if !s.Since.IsZero() {
		span = " for " + formatSpan(s.Since, now)
	}
	doing := ""
	if s.State == StateConnecting {
		doing = ", connecting"
	}
	switch {
	case s.State == StateOnline:
		return "live" + span
	case s.Publish:
		return "waiting for a publisher" + span
	case s.Input.Frames == 0:
		return "not seen yet" + doing
	default:
		return "away" + span + doing
	}
}

// formatSpan writes the time between two moments with at most two units: "2 h 5 min".
func formatSpan(from, to time.Time) string {
	left := max(to.Sub(from), 0).Round(time.Second)
	var parts []string
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}} {
		if n := left / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
		} else if len(parts) > 0 {
			break
		}
		left %= u.size
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// codecName is how people write a codec.
func codecName(codec string) string {
	switch codec {
	case "h264":
		return "H.264"
	case "h265":
		return "H.265"
	case "mjpeg":
		return "MJPEG"
	default:
		return codec
	}
}

func formatMS(ms float64) string {
	switch {
	case ms <= 0:
		return "–"
	case ms < 10:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

func formatFPS(fps float64) string { return fmt.Sprintf("%.1f", fps) }

func formatBitrate(bits float64) string {
	switch {
	case bits >= 1e6:
		return fmt.Sprintf("%.1f\u00a0Mb/s", bits/1e6)
	case bits >= 1e3:
		return fmt.Sprintf("%.0f\u00a0kb/s", bits/1e3)
	default:
		return fmt.Sprintf("%.0f\u00a0b/s", bits)
	}
}

// formatPercent never calls a share 0 % or 100 % that is not.
func formatPercent(share float64) string {
	switch p := 100 * share; {
	case p > 0 && p < 0.1:
		return "< 0.1 %"
	case p > 99.9 && p < 100:
		return "> 99.9 %"
	case p == 0 || p == 100:
		return fmt.Sprintf("%.0f %%", p)
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// formatCount groups digits: 1 234 567, with narrow spaces that do not break.
func formatCount(n int64) string {
	digits := fmt.Sprint(n)
	var out strings.Builder
	for i, d := range digits {
		if left := len(digits) - i; i > 0 && left%3 == 0 && digits[i-1] != '-' {
			out.WriteRune('\u202f')
		}
		out.WriteRune(d)
	}
	return out.String()
}
