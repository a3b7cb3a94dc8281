package barcode

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/quick"
)

// picture is a luma plane of random content with a stride of its own.
type picture struct {
	plane        []byte
	stride, w, h int
}

func noise(r *rand.Rand, w, h int) picture {
	p := picture{make([]byte, (w+13)*h), w + 13, w, h}
	for i := range p.plane {
		p.plane[i] = byte(r.Uint32())
	}
	return p
}

func (p picture) draw(t *testing.T, n uint32) {
	t.Helper()
	if err := Draw(p.plane, p.stride, p.w, p.h, n); err != nil {
		t.Fatal(err)
	}
}

func (p picture) read() (uint32, error) { return Read(p.plane, p.stride, p.w, p.h) }

// scale resamples the code bilinearly to another size of the picture.
func (p picture) scale(w, h int) picture {
	q := picture{make([]byte, w*Height(h)), w, w, h}
	at := func(x, y int) float64 { return float64(p.plane[min(y, p.h-1)*p.stride+min(x, p.w-1)]) }
	for y := range Height(h) {
		for x := range w {
			fx := max(0, (float64(x)+0.5)*float64(p.w)/float64(w)-0.5)
			fy := max(0, (float64(y)+0.5)*float64(p.h)/float64(h)-0.5)
			ix, iy := int(fx), int(fy)
			fx, fy = fx-float64(ix), fy-float64(iy)
			top := at(ix, iy)*(1-fx) + at(ix+1, iy)*fx
			bottom := at(ix, iy+1)*(1-fx) + at(ix+1, iy+1)*fx
			q.plane[y*w+x] = byte(top*(1-fy) + bottom*fy + 0.5)
		}
	}
	return q
}

// disturb adds noise of up to the amplitude to every sample.
func (p picture) disturb(r *rand.Rand, amplitude int) {
	for i, v := range p.plane {
		p.plane[i] = byte(min(255, max(0, int(v)+r.IntN(2*amplitude+1)-amplitude)))
	}
}

func sizes() [][2]int {
	return [][2]int{{80, 32}, {128, 96}, {160, 120}, {384, 288}, {640, 360}, {641, 361}, {1280, 720}, {1920, 1080}}
}

func TestReadsWhatWasDrawn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range sizes() {
		p := noise(r, size[0], size[1])
		for _, n := range []uint32{0, 1, 2, 1500, Max / 2, Max - 1, Max} {
			p.draw(t, n)
			if got, err := p.read(); got != n || err != nil {
				t.Errorf("%v: read %d, %v; want %d", size, got, err, n)
			}
		}
	}
}

func TestReadsAfterScalingAndNoise(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	readable := func(n uint32, which, factor uint8) bool {
		n &= Max
		size := sizes()[2:6][int(which)%4]
		p := noise(r, size[0], size[1])
		p.draw(t, n)
		f := 0.9 + float64(factor)/256*1.3 // ×0.9 to ×2.2
		p = p.scale(int(f*float64(p.w)), int(f*float64(p.h)))
		p.disturb(r, 60)
		got, err := p.read()
		return err == nil && got == n
	}
	if err := quick.Check(readable, &quick.Config{MaxCount: 50}); err != nil {
		t.Error(err)
	}
}

func TestReadsFromTheStripAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	p := noise(r, 640, 360)
	p.draw(t, 777)
	p.plane = p.plane[:Height(360)*p.stride]
	if got, err := p.read(); got != 777 || err != nil {
		t.Errorf("read %d, %v", got, err)
	}
}

// Pictures without a code, and codes that were damaged, give errors: never another number.
func TestNeverReadsAnotherNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for _, level := range []byte{0, 16, 128, 235, 255} {
		p := noise(r, 640, 360)
		for i := range p.plane {
			p.plane[i] = level
		}
		if n, err := p.read(); err == nil {
			t.Errorf("a picture of level %d reads as %d", level, n)
		}
	}
	for range 200 {
		p := noise(r, 160, 96)
		if n, err := p.read(); err == nil {
			t.Errorf("noise reads as %d", n)
		}
		n := r.Uint32N(Max + 1)
		p.draw(t, n)
		for range 1 + r.IntN(6) { // whole cells flip, as when half of another picture is mixed in
			flip(p, r.IntN(columns), r.IntN(rows))
		}
		if got, err := p.read(); err == nil && got != n {
			t.Errorf("a damaged %d reads as %d", n, got)
		}
	}
}

func flip(p picture, column, row int) {
	for y := row * p.h / (8 * rows); y < (row+1)*p.h/(8*rows); y++ {
		for x := column * p.w / columns; x < (column+1)*p.w/columns; x++ {
			p.plane[y*p.stride+x] = 255 - p.plane[y*p.stride+x]
		}
	}
}

func TestBlurredCodeIsAnError(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	p := noise(r, 640, 360)
	p.draw(t, 4711)
	for i, v := range p.plane {
		p.plane[i] = 124 + byte((int(v)-124)/8)
	}
	if _, err := p.read(); !errors.Is(err, ErrUnclear) {
		t.Errorf("got %v", err)
	}
}

func TestRefusesWhatDoesNotFit(t *testing.T) {
	p := picture{make([]byte, 640*360), 640, 640, 360}
	if err := Draw(p.plane, p.stride, p.w, p.h, Max+1); err == nil {
		t.Error("drew a number of 25 bits")
	}
	for _, q := range []picture{
		{p.plane, 640, 64, 32}, {p.plane, 640, 640, 16}, {p.plane, 320, 640, 360}, {p.plane[:640], 640, 640, 360}, {},
	} {
		if err := Draw(q.plane, q.stride, q.w, q.h, 1); err == nil {
			t.Errorf("drew on %dx%d, stride %d, %d bytes", q.w, q.h, q.stride, len(q.plane))
		}
		if _, err := q.read(); err == nil {
			t.Errorf("read from %dx%d, stride %d, %d bytes", q.w, q.h, q.stride, len(q.plane))
		}
	}
}
