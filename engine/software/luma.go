package software

import (
	"fmt"

	"github.com/asticode/go-astiav"
	ort "github.com/yalue/onnxruntime_go"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// lumaPicture feeds a network that works on luma: uint8 in and out, all arithmetic inside the graph. Chroma, which the
// eye resolves far less, is resized by swscale.
type lumaPicture struct {
	net        *network
	padW, padH int // input size, padded to the network's alignment
	in         *ort.Tensor[uint8]
	out        *ort.Tensor[uint8] // used where the picture's memory does not fit the tensor
	outW, outH int                // the network's output size
	resize     *ffmpeg.Scaler     // luma from the network's size to the stream's, where they differ
	chroma     *ffmpeg.Scaler
}

func newLumaPicture(n *network, p engine.EnhancerParams) (_ *lumaPicture, err error) {
	l := &lumaPicture{net: n, padW: roundUp(p.In.Width, n.spec.Align), padH: roundUp(p.In.Height, n.spec.Align)}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	l.outW, l.outH = l.padW*n.spec.scale, l.padH*n.spec.scale
	if l.in, err = ort.NewEmptyTensor[uint8](ort.NewShape(1, 1, int64(l.padH), int64(l.padW))); err != nil {
		return nil, fmt.Errorf("input tensor: %w", err)
	}
	if l.out, err = ort.NewEmptyTensor[uint8](ort.NewShape(1, 1, int64(l.outH), int64(l.outW))); err != nil {
		return nil, fmt.Errorf("output tensor: %w", err)
	}
	if w, h := p.In.Width*n.spec.scale, p.In.Height*n.spec.scale; w != p.Out.Width || h != p.Out.Height {
		if l.resize, err = grayScaler(w, h, p.Out.Width, p.Out.Height, ffmpeg.Bicubic); err != nil {
			return nil, err
		}
	}
	l.chroma, err = grayScaler((p.In.Width+1)/2, (p.In.Height+1)/2, p.Out.Width/2, p.Out.Height/2, ffmpeg.Bicubic)
	return l, err
}

func grayScaler(w, h, dw, dh int, f ffmpeg.Filter) (*ffmpeg.Scaler, error) {
	full := media.Color{FullRange: true, Matrix: media.MatrixBT709} // gray to gray: values stay as they are
	return ffmpeg.NewScaler(ffmpeg.Picture{Width: w, Height: h, Pixel: astiav.PixelFormatGray8, Color: full},
		ffmpeg.Picture{Width: dw, Height: dh, Pixel: astiav.PixelFormatGray8, Color: full}, f, 1)
}

func (l *lumaPicture) enhance(out, in *media.Frame) error {
	copyPadded(l.in.GetData(), l.padW, l.padH, in.Planes[0], in.Strides[0], in.Width, in.Height)
	if err := l.luma(out); err != nil {
		return err
	}
	for i := 1; i <= 2; i++ {
		if err := l.chroma.Plane(out.Planes[i], out.Strides[i], in.Planes[i], in.Strides[i]); err != nil {
			return err
		}
	}
	return nil
}

// luma runs the network, straight into the picture's memory where rows lie without gaps.
func (l *lumaPicture) luma(out *media.Frame) error {
	result := l.out
	if l.resize == nil && out.Strides[0] == l.outW && out.Width == l.outW && out.Height == l.outH {
		direct, err := ort.NewTensor(l.out.GetShape(), out.Planes[0][:l.outW*l.outH])
		if err != nil {
			return fmt.Errorf("output tensor: %w", err)
		}
		defer func() { _ = direct.Destroy() }()
		result = direct
	}
	if err := l.net.session.RunWithOptions([]ort.Value{l.in}, []ort.Value{result}, l.net.run); err != nil {
		return err
	}
	switch {
	case l.resize != nil:
		return l.resize.Plane(out.Planes[0], out.Strides[0], result.GetData(), l.outW)
	case result == l.out:
		copyRows(out.Planes[0], out.Strides[0], result.GetData(), l.outW, out.Width, out.Height)
	}
	return nil
}

func (l *lumaPicture) close() {
	if l.in != nil {
		_ = l.in.Destroy()
	}
	if l.out != nil {
		_ = l.out.Destroy()
	}
	if l.resize != nil {
		l.resize.Close()
	}
	if l.chroma != nil {
		l.chroma.Close()
	}
}

// copyPadded copies a plane of w×h into one of padW×padH without gaps, repeating the last column and row.
func copyPadded(dst []byte, padW, padH int, src []byte, stride, w, h int) {
	for y := range padH {
		row := dst[y*padW : (y+1)*padW]
		sy := min(y, h-1)
		copy(row, src[sy*stride:sy*stride+w])
		for x := w; x < padW; x++ {
			row[x] = row[w-1]
		}
	}
}

func copyRows(dst []byte, dstStride int, src []byte, srcStride, w, h int) {
	for y := range h {
		copy(dst[y*dstStride:y*dstStride+w], src[y*srcStride:y*srcStride+w])
	}
}

func roundUp(n, align int) int { return (n + align - 1) / align * align }
