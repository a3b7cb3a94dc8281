package enginetest

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"math"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// colour is a mean of red, green and blue from 0 to 255.
type colour [3]float64

func (c colour) differs(o colour, by float64) bool {
	for i := range c {
		if math.Abs(c[i]-o[i]) > by {
			return true
		}
	}
	return false
}

// paint gives a frame in host memory one colour, which it returns: by its own matrix and range (ITU-T H.273 section 8.3).
func paint(f *media.Frame) colour {
	const luma, blue, red = 120, 110, 170
	for i, v := range []byte{luma, blue, red} {
		w := f.Width
		if i > 0 {
			w = (w + 1) / 2
		}
		for at := range f.Planes[i] {
			if at%f.Strides[i] < w { // what lies between the rows is not the picture's
				f.Planes[i][at] = v
			}
		}
	}
	y, cb, cr := float64(luma), float64(blue-128), float64(red-128)
	if !f.Color.FullRange {
		y, cb, cr = (y-16)*255/219, cb*255/224, cr*255/224
	}
	kr, kb := 0.299, 0.114
	if f.Color.Matrix == media.MatrixBT709 {
		kr, kb = 0.2126, 0.0722
	}
	r, b := y+2*(1-kr)*cr, y+2*(1-kb)*cb
	return colour{r, (y - kr*r - kb*b) / (1 - kr - kb), b}
}

// seen returns what a viewer sees of a part of an image.
func seen(img image.Image, part image.Rectangle) colour {
	var sum colour
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			sum[0], sum[1], sum[2] = sum[0]+float64(r>>8), sum[1]+float64(g>>8), sum[2]+float64(b>>8)
		}
	}
	for i := range sum {
		sum[i] /= float64(part.Dx() * part.Dy())
	}
	return sum
}

func (s suite) image(t *testing.T, p engine.JPEGParams) image.Image {
	t.Helper()
	p.Threads = 2
	data, err := s.device.JPEG(p)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if size := img.Bounds().Size(); size.X != p.Width || size.Y != p.Height {
		t.Fatalf("image of %v, not %dx%d", size, p.Width, p.Height)
	}
	return img
}

// jpegColours: whatever the matrix and the range of a picture, its image has the same colours at any size.
func (s suite) jpegColours(t *testing.T) {
	for _, name := range []string{H264, Odd, FullRange, BT709} {
		f := s.frame(t, name)
		want := paint(f)
		for _, size := range [][2]int{{f.Width, f.Height}, {80, 48}, {320, 192}} {
			img := s.image(t, engine.JPEGParams{Left: f, Width: size[0], Height: size[1]})
			if got := seen(img, img.Bounds()); got.differs(want, 2) {
				t.Errorf("%s at %v: colour %.0f, want %.0f", name, size, got, want)
			}
		}
		f.Release()
	}
}

// jpegCompare: the halves of an image are those of its two pictures, also when these differ in size.
func (s suite) jpegCompare(t *testing.T) {
	gray, coloured := s.frame(t, Gray), s.frame(t, Odd)
	defer gray.Release()
	defer coloured.Release()
	const w, h, edge = 160, 96, 8 // blocks of 16 pixels mix colours at the edge
	left, right := image.Rect(0, 0, w/2-edge, h), image.Rect(w/2+edge, 0, w, h)
	both := s.image(t, engine.JPEGParams{Left: gray, Right: coloured, Width: w, Height: h})
	for part, from := range map[image.Rectangle]*media.Frame{left: gray, right: coloured} {
		want := seen(s.image(t, engine.JPEGParams{Left: from, Width: w, Height: h}), part)
		if got := seen(both, part); got.differs(want, 1) {
			t.Errorf("part %v is %.0f, want %.0f", part, got, want)
		}
	}
}

// snapshots: a live session gives an image of the picture that it made last, and of none before the first and after the
// end.
func (s suite) snapshots(t *testing.T) {
	track, packets := Stream(t, H264)
	made := make(chan media.Packet, len(packets))
	var r *Recorder
	r = NewRecorder(func(n int) {
		_, all, _, _ := r.Result()
		made <- all[n-1]
	})
	session := engine.New(Config(t, s.device, track, r), r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- session.Run(ctx) }()
	for _, v := range engine.Variants() {
		if _, err := session.Snapshot(ctx, v, 0); !errors.Is(err, engine.ErrNoPicture) {
			t.Errorf("%s before the first picture: %v", v, err)
		}
	}
	for _, p := range packets[:5] {
		p.Arrival = time.Now()
		session.Send(ctx, p)
		last := <-made
		for _, want := range []struct {
			variant    string
			limit      int
			w, h       int
			byEnhancer string
		}{
			{engine.VariantOriginal, 0, 160, 96, ""},
			{engine.VariantEnhanced, 0, 320, 192, engine.Lanczos},
			{engine.VariantCompare, 0, 320, 192, engine.Lanczos},
			{engine.VariantEnhanced, 100, 100, 60, engine.Lanczos},
			{engine.VariantOriginal, 1000, 160, 96, ""},
		} {
			shot, err := session.Snapshot(ctx, want.variant, want.limit)
			if err != nil {
				t.Fatal(err)
			}
			img, err := jpeg.Decode(bytes.NewReader(shot.JPEG))
			if err != nil {
				t.Fatal(err)
			}
			size := img.Bounds().Size()
			if size.X != want.w || size.Y != want.h || shot.Width != want.w || shot.Height != want.h {
				t.Errorf("%s of at most %d: %v, said to be %dx%d", want.variant, want.limit, size, shot.Width, shot.Height)
			}
			if shot.PTS != last.PTS || !shot.At.Equal(last.Arrival) || shot.Enhancer != want.byEnhancer {
				t.Errorf("%s shows %v %v by %q; the last picture is %v %v", want.variant, shot.PTS, shot.At, shot.Enhancer, last.PTS, last.Arrival)
			}
		}
	}
	if _, err := session.Snapshot(ctx, "negative", 0); err == nil {
		t.Error("an unknown variant is known")
	}
	cancel()
	if err := <-done; err != nil || session.InUse() != 0 {
		t.Errorf("%v, %d frames in use", err, session.InUse())
	}
	if _, err := session.Snapshot(t.Context(), engine.VariantEnhanced, 0); !errors.Is(err, engine.ErrNoPicture) {
		t.Errorf("after the end: %v", err)
	}
}
