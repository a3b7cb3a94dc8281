package software

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/engine/model"
)

// rgbPicture feeds a network that works on RGB as float32 from 0 to 1. The picture's own matrix and range are used
// both ways.
type rgbPicture struct {
	net     *network
	in, out *ort.Tensor[float32]
	toRGB   *ffmpeg.Scaler
	fromRGB *ffmpeg.Scaler
}

func newRGBPicture(n *network, p engine.EnhancerParams) (_ *rgbPicture, err error) {
	if p.In.Width%n.spec.Align != 0 || p.In.Height%n.spec.Align != 0 {
		return nil, fmt.Errorf("%w: it takes sizes that are multiples of %d and the camera sends %s", model.ErrUnsupported,
			n.spec.Align, p.In.Size())
	}
	r := &rgbPicture{net: n}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	w, h := p.In.Width*n.spec.scale, p.In.Height*n.spec.scale
	if r.in, err = ort.NewEmptyTensor[float32](ort.NewShape(1, 3, int64(p.In.Height), int64(p.In.Width))); err != nil {
		return nil, fmt.Errorf("input tensor: %w", err)
	}
	if r.out, err = ort.NewEmptyTensor[float32](ort.NewShape(1, 3, int64(h), int64(w))); err != nil {
		return nil, fmt.Errorf("output tensor: %w", err)
	}
	if r.toRGB, err = ffmpeg.NewScaler(ffmpeg.PictureOf(p.In), rgbOf(p.In.Width, p.In.Height), ffmpeg.ConvertExact, 1); err != nil {
		return nil, err
	}
	r.fromRGB, err = ffmpeg.NewScaler(rgbOf(w, h), ffmpeg.PictureOf(p.Out), ffmpeg.ConvertExact, 1)
	return r, err
}

func rgbOf(w, h int) ffmpeg.Picture {
	return ffmpeg.Picture{
		Width: w, Height: h, Pixel: ffmpeg.RGBFloat,
		Color: media.Color{Matrix: media.MatrixBT709, FullRange: true},
	}
}

func (r *rgbPicture) enhance(out, in *media.Frame) error {
	if err := r.toRGB.ToRGB(r.in.GetData(), ffmpeg.Native(in)); err != nil {
		return err
	}
	if err := r.net.session.RunWithOptions([]ort.Value{r.in}, []ort.Value{r.out}, r.net.run); err != nil {
		return err
	}
	return r.fromRGB.FromRGB(ffmpeg.Native(out), r.out.GetData())
}

func (r *rgbPicture) close() {
	if r.in != nil {
		_ = r.in.Destroy()
	}
	if r.out != nil {
		_ = r.out.Destroy()
	}
	if r.toRGB != nil {
		r.toRGB.Close()
	}
	if r.fromRGB != nil {
		r.fromRGB.Close()
	}
}
