package ffmpeg

import (
	"errors"
	"fmt"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// Deinterlacer is FFmpeg's bwdif. Pictures that are flagged progressive pass through it unchanged. It delays by one
// picture, since it looks at the next.
type Deinterlacer struct {
	graph *astiav.FilterGraph
	src   *astiav.BuffersrcFilterContext
	sink  *astiav.BuffersinkFilterContext
}

// Layout is everything that a Deinterlacer is built for: pictures of another layout need another one.
type Layout struct {
	Width, Height int
	Pixel         astiav.PixelFormat
	Color         astiav.ColorSpace
	Range         astiav.ColorRange
	SAR           [2]int
}

// LayoutOf returns the layout of a picture.
func LayoutOf(av *astiav.Frame) Layout {
	sar := av.SampleAspectRatio()
	return Layout{av.Width(), av.Height(), av.PixelFormat(), av.ColorSpace(), av.ColorRange(), [2]int{sar.Num(), sar.Den()}}
}

// NewDeinterlacer builds the filter for pictures like av: one progressive picture per interlaced one.
func NewDeinterlacer(av *astiav.Frame, threads int) (*Deinterlacer, error) {
	d := &Deinterlacer{graph: astiav.AllocFilterGraph()}
	d.graph.SetThreadCount(max(1, threads))
	if err := d.build(av); err != nil {
		d.Close()
		return nil, fmt.Errorf("build deinterlacer: %w", err)
	}
	return d, nil
}

func (d *Deinterlacer) build(av *astiav.Frame) (err error) {
	if d.src, err = d.graph.NewBuffersrcFilterContext(astiav.FindFilterByName("buffer"), "in"); err != nil {
		return err
	}
	if d.sink, err = d.graph.NewBuffersinkFilterContext(astiav.FindFilterByName("buffersink"), "out"); err != nil {
		return err
	}
	params := astiav.AllocBuffersrcFilterContextParameters()
	defer params.Free()
	params.SetWidth(av.Width())
	params.SetHeight(av.Height())
	params.SetPixelFormat(av.PixelFormat())
	params.SetTimeBase(astiav.NewRational(1, media.VideoClockRate))
	params.SetSampleAspectRatio(av.SampleAspectRatio())
	params.SetColorSpace(av.ColorSpace())
	params.SetColorRange(av.ColorRange())
	if err = d.src.SetParameters(params); err != nil {
		return err
	}
	if err = d.src.Initialize(nil); err != nil {
		return err
	}
	outputs, inputs := astiav.AllocFilterInOut(), astiav.AllocFilterInOut()
	defer outputs.Free()
	defer inputs.Free()
	outputs.SetName("in")
	outputs.SetFilterContext(d.src.FilterContext())
	inputs.SetName("out")
	inputs.SetFilterContext(d.sink.FilterContext())
	if err = d.graph.Parse("bwdif=mode=send_frame:parity=auto:deint=interlaced", inputs, outputs); err != nil {
		return err
	}
	return d.graph.Configure()
}

// Send gives a decoded picture, whose memory the filter refers to from now on.
func (d *Deinterlacer) Send(av *astiav.Frame) error {
	return d.src.AddFrame(av, astiav.NewBuffersrcFlags(astiav.BuffersrcFlagKeepRef))
}

// Drain announces the end.
func (d *Deinterlacer) Drain() error { return d.src.AddFrame(nil, astiav.NewBuffersrcFlags()) }

// Receive fills av with the next progressive picture, its time kept.
func (d *Deinterlacer) Receive(av *astiav.Frame) error {
	err := d.sink.GetFrame(av, astiav.NewBuffersinkFlags())
	switch {
	case errors.Is(err, astiav.ErrEagain):
		return ErrAgain
	case err != nil:
		return err
	}
	// bwdif halves the time base, to have room for the times of single fields.
	av.SetPts(astiav.RescaleQ(av.Pts(), d.sink.TimeBase(), astiav.NewRational(1, media.VideoClockRate)))
	return nil
}

// Close frees the filter.
func (d *Deinterlacer) Close() { d.graph.Free() }
