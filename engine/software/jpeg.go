package software

import (
	"context"
	"fmt"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
)

// JPEG implements engine.Device.
func (d *Device) JPEG(p engine.JPEGParams) ([]byte, error) {
	format := media.Format{Width: p.Width, Height: p.Height, Pixel: media.YUV420P, Color: ffmpeg.JPEGColor(), SAR: [2]int{1, 1}}
	var own engine.Ledger // the copies are no part of the stream
	pool, err := engine.NewPool(2, &own, engine.PoolHooks{
		Init:    func(f *media.Frame) error { return ffmpeg.InitWith(f, format) },
		Destroy: ffmpeg.Destroy,
	})
	if err != nil {
		return nil, fmt.Errorf("JPEG image: %w", err)
	}
	defer pool.Close()
	image, err := resized(pool, p.Left, format, p.Threads)
	if err != nil {
		return nil, err
	}
	defer image.Release()
	if p.Right != nil {
		right, err := resized(pool, p.Right, format, p.Threads)
		if err != nil {
			return nil, err
		}
		copyRightHalf(image, right)
		right.Release()
	}
	return ffmpeg.JPEG(ffmpeg.Native(image), p.Threads)
}

// resized returns a copy of f in another size and colour.
func resized(pool *engine.Pool, f *media.Frame, to media.Format, threads int) (*media.Frame, error) {
	scaler, err := ffmpeg.NewScaler(ffmpeg.PictureOf(f.Format), ffmpeg.PictureOf(to), ffmpeg.Bicubic, threads)
	if err != nil {
		return nil, fmt.Errorf("JPEG image: %w", err)
	}
	defer scaler.Close()
	out, err := pool.Get(context.Background())
	if err != nil {
		return nil, fmt.Errorf("JPEG image: %w", err)
	}
	if err := scaler.Frames(ffmpeg.Native(out), ffmpeg.Native(f)); err != nil {
		out.Release()
		return nil, fmt.Errorf("JPEG image: %w", err)
	}
	return out, nil
}

// copyRightHalf copies the right half of one picture into another of the same format.
func copyRightHalf(into, from *media.Frame) {
	for i := range into.Planes {
		w, h, left := into.Width, into.Height, into.Width/4*2
		if i > 0 {
			w, h, left = (w+1)/2, (h+1)/2, left/2
		}
		for y := range h {
			copy(into.Planes[i][y*into.Strides[i]:][left:w], from.Planes[i][y*from.Strides[i]:][left:w])
		}
	}
}
