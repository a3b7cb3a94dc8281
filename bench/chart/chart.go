// Package chart draws measurements over time as an SVG: panels one below the other that share the time axis, with
// spans of time shaded through all of them.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Line is one measurement. A gap in time wider than three usual steps is not bridged.
type Line struct {
	Name   string
	X, Y   []float64
	Dashed bool
	Color  int // an index into the palette
}

// Span is a time that is shaded.
type Span struct{ From, To float64 }

// Panel is one diagram: lines, or rows of bars.
type Panel struct {
	Unit  string // of the vertical axis, with what is shown
	Lines []Line
	Rows  []Row
	Limit float64 // a dotted line; 0: none
	Max   float64 // of the vertical axis; 0: that of the lines
}

// Row is a row of bars.
type Row struct {
	Name string
	Bars []Span
}

// Figure is the whole.
type Figure struct {
	Title  string
	Time   string  // the horizontal axis, with its unit
	End    float64 // of the horizontal axis
	Panels []Panel
	Shaded []Span
}

const (
	width       = 32 * vg.Centimeter // of the figure
	height      = 5 * vg.Centimeter  // of a panel
	legendWidth = 4.5 * vg.Centimeter
)

func palette(i int) color.Color {
	colors := []color.Color{ // of Okabe and Ito, who chose them for all eyes
		color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
		color.RGBA{86, 180, 233, 255}, color.RGBA{230, 159, 0, 255}, color.RGBA{90, 90, 90, 255},
	}
	return colors[i%len(colors)]
}

// SVG writes the figure.
func (f Figure) SVG(w io.Writer) error {
	canvas := vgsvg.New(width, height*vg.Length(len(f.Panels)))
	area := draw.New(canvas)
	area.SetColor(color.White)
	area.Fill(area.Rectangle.Path())
	area = draw.Crop(area, 4*vg.Millimeter, -legendWidth, 3*vg.Millimeter, -3*vg.Millimeter)
	grid, legends := make([][]*plot.Plot, len(f.Panels)), make([]plot.Legend, len(f.Panels))
	for i, panel := range f.Panels {
		legends[i] = legend()
		p, err := f.draw(panel, &legends[i])
		if err != nil {
			return fmt.Errorf("draw %q: %w", panel.Unit, err)
		}
		if i == 0 {
			p.Title.Text = f.Title
		}
		if i == len(f.Panels)-1 {
			p.X.Label.Text = f.Time
		}
		grid[i] = []*plot.Plot{p}
	}
	tiles := draw.Tiles{Rows: len(f.Panels), Cols: 1, PadY: 3 * vg.Millimeter}
	for i, row := range plot.Align(grid, tiles, area) {
		grid[i][0].Draw(row[0])
		beside := row[0].Rectangle
		beside.Min.X, beside.Max.X = beside.Max.X+3*vg.Millimeter, beside.Max.X+legendWidth
		legends[i].Draw(draw.Canvas{Canvas: row[0].Canvas, Rectangle: beside})
	}
	var text bytes.Buffer
	if _, err := canvas.WriteTo(&text); err != nil {
		return err
	}
	// Where that font is missing, any other without serifs.
	_, err := w.Write(bytes.ReplaceAll(text.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:'Liberation Sans',Arial,sans-serif")))
	return err
}

func legend() plot.Legend {
	l := plot.NewLegend()
	sans(&l.TextStyle.Font, 9)
	l.Top, l.Left, l.Padding, l.YOffs = true, true, vg.Millimeter, -2*vg.Millimeter
	return l
}

func (f Figure) draw(panel Panel, names *plot.Legend) (*plot.Plot, error) {
	p := plot.New()
	sans(&p.Title.TextStyle.Font, 12)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		sans(&axis.Label.TextStyle.Font, 9)
		sans(&axis.Tick.Label.Font, 9)
	}
	p.Y.Label.Text = panel.Unit
	p.X.Min, p.X.Max = 0, f.End
	p.Y.Min = 0
	top := panel.top()
	p.Y.Max = top
	for _, s := range f.Shaded {
		if err := box(p, s, 0, top, color.RGBA{244, 238, 222, 255}); err != nil {
			return nil, err
		}
	}
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = color.Gray{225}, color.Gray{225}
	p.Add(grid)
	if len(panel.Rows) > 0 {
		return p, panel.rows(p)
	}
	if panel.Limit > 0 {
		limit := Line{Name: "bound", X: []float64{0, f.End}, Y: []float64{panel.Limit, panel.Limit}, Dashed: true, Color: 6}
		if err := limit.add(p, names); err != nil {
			return nil, err
		}
	}
	for _, l := range panel.Lines {
		if err := l.add(p, names); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// top is the end of the vertical axis.
func (p Panel) top() float64 {
	if p.Max > 0 {
		return p.Max
	}
	if len(p.Rows) > 0 {
		return float64(len(p.Rows))
	}
	top := p.Limit
	for _, l := range p.Lines {
		for _, y := range l.Y {
			top = max(top, y)
		}
	}
	if top == 0 {
		return 1
	}
	return 1.08 * top
}

func (p Panel) rows(to *plot.Plot) error {
	var ticks []plot.Tick
	for i, r := range p.Rows {
		y := float64(len(p.Rows)-1-i) + 0.5
		ticks = append(ticks, plot.Tick{Value: y, Label: r.Name})
		for _, b := range r.Bars {
			if err := box(to, b, y-0.35, y+0.35, palette(1)); err != nil {
				return err
			}
		}
	}
	to.Y.Tick.Marker = plot.ConstantTicks(ticks)
	return nil
}

func box(p *plot.Plot, s Span, from, to float64, c color.Color) error {
	polygon, err := plotter.NewPolygon(plotter.XYs{{X: s.From, Y: from}, {X: s.To, Y: from}, {X: s.To, Y: to}, {X: s.From, Y: to}})
	if err != nil {
		return err
	}
	polygon.Color, polygon.LineStyle.Width = c, 0
	p.Add(polygon)
	return nil
}

// add draws the line, in pieces where there are gaps.
func (l Line) add(p *plot.Plot, names *plot.Legend) error {
	widest := 0.0
	if len(l.X) > 1 {
		widest = 3 * (l.X[len(l.X)-1] - l.X[0]) / float64(len(l.X)-1)
	}
	named := false
	for from := 0; from < len(l.X); {
		to := from + 1
		for to < len(l.X) && l.X[to]-l.X[to-1] <= widest {
			to++
		}
		piece := make(plotter.XYs, to-from)
		for i := range piece {
			piece[i] = plotter.XY{X: l.X[from+i], Y: l.Y[from+i]}
		}
		line, err := plotter.NewLine(piece)
		if err != nil {
			return err
		}
		line.Color, line.Width = palette(l.Color), vg.Points(1.1)
		if l.Dashed {
			line.Dashes = []vg.Length{vg.Points(3), vg.Points(2)}
		}
		p.Add(line)
		if !named {
			names.Add(l.Name, line)
			named = true
		}
		from = to
	}
	return nil
}

func sans(f *font.Font, points float64) {
	f.Typeface, f.Variant, f.Size = "Liberation", "Sans", vg.Points(points)
}
