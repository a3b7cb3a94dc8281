package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFigureHasAllParts(t *testing.T) {
	var text strings.Builder
	err := Figure{
		Title: "the title", Time: "minutes since", End: 10, Shaded: []Span{{2, 3}},
		Panels: []Panel{
			{Unit: "faults", Rows: []Row{{"killed", []Span{{2, 3}}}, {"silent", nil}}},
			{Unit: "memory, MB", Limit: 50, Lines: []Line{{Name: "main", X: []float64{0, 1, 2, 9, 9.5, 10}, Y: []float64{1, 2, 3, 4, 5, 6}}, {Name: "empty"}}},
		},
	}.SVG(&text)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the title", "minutes since", "faults", "killed", "silent", "memory, MB", ">main<", ">bound<", "sans-serif", "#F4EEDE"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	// Blue is the line's colour: two pieces, since nothing is known of the time between 2 and 9, and one in the legend.
	if n := strings.Count(text.String(), "stroke:#0072B2"); n != 3 {
		t.Errorf("the line with a gap has %d pieces", n)
	}
	for decoder := xml.NewDecoder(strings.NewReader(text.String())); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
