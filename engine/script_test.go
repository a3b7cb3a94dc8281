package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"rave/engine/media"
)

// script says what goes wrong in a session. Pictures are numbered by their presentation time, from 0.
type script struct {
	gop        int  // pictures from one of the camera's keyframes to the next
	disposable bool // no picture refers to one with an odd number
	outage     int  // the camera is away for 5 s before this picture, if not 0
	sequence   int  // the sequence parameter set is another one from this picture on, if not 0

	lost      []int                 // the ingest has lost something before these
	corrupt   []int                 // the decoder fails on these
	damaged   []int                 // it conceals errors in these
	swallowed []int                 // it makes no picture of these
	stalls    map[int]time.Duration // it takes so long for these
	holds     bool                  // it holds one picture back until the next

	quality    []string      // nil: Lanczos
	loading    time.Duration // until a model is open
	enhancing  time.Duration // for each picture
	modelTime  time.Duration // for each picture of a model, beyond that
	strict     bool
	unenhanced map[string]int        // the picture that a rung fails on
	unopened   int                   // so many encoders cannot be opened
	unencoded  []int                 // the encoder fails on these
	unsent     []int                 // the output takes no packets of these
	sending    map[int]time.Duration // the output takes so long for the packets of these
	encGOP     time.Duration         // of the encoder; 0: a minute
	early      bool                  // a keyframe is asked for before the first picture
	requests   []int                 // and after these pictures
	onJPEG     func(JPEGParams)      // an image is being made
	during     func(*Session, int)   // is called after each picture

	size       [2]int // of the camera's pictures; zero: 64x48
	renditions map[string]media.Output
	sound      media.Track
	unheard    []int // packets of sound that cannot be transcoded
}

// fakeDevice plays a script. A decoder takes decodeTime for a picture, everything else no time.
type fakeDevice struct {
	script

	mu                  sync.Mutex
	decoders, encoders  int // opened
	transcoders         int
	closedDec, closedEn int
	drops               map[string]int
	packets             []media.Packet
	tracks              int // descriptions given out
	made                int // pictures that count
}

const decodeTime = 5 * time.Millisecond

// errScript is why a stage fails.
var errScript = errors.New("as the script says")

func (d *fakeDevice) locked(fn func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fn()
}

func number(pts time.Duration) int { return int(pts / frameTime) }

func fakePool(frames int, format media.Format, ledger *Ledger) (*Pool, error) {
	return NewPool(frames, ledger, PoolHooks{
		Init:    func(f *media.Frame) error { f.Format = format; return nil },
		Destroy: func(*media.Frame) {},
	})
}

func (d *fakeDevice) Mix(into, from *media.Frame, share float64) error { return nil }
func (d *fakeDevice) JPEG(p JPEGParams) ([]byte, error) {
	if d.onJPEG != nil {
		d.onJPEG(p)
	}
	return []byte("image"), nil
}

func (d *fakeDevice) NewOpus(sound media.Track) (Stage[media.Packet, media.Packet], error) {
	d.locked(func() { d.transcoders++ })
	return &fakeOpus{d}, nil
}
func (d *fakeDevice) Name() string               { return "fake" }
func (d *fakeDevice) Probe(context.Context) Caps { return Caps{} }

func (d *fakeDevice) Inspect(_ context.Context, model string) (ModelInfo, error) {
	return ModelInfo{Name: model, Scale: 2}, nil
}

func (d *fakeDevice) NewDecoder(ctx context.Context, p DecoderParams) (Decoder, error) {
	size := d.size
	if size == [2]int{} {
		size = [2]int{64, 48}
	}
	pool, err := fakePool(p.Frames, media.Format{Width: size[0], Height: size[1], Pixel: media.YUV420P}, p.Ledger)
	if err != nil {
		return nil, err
	}
	d.locked(func() { d.decoders++ })
	return &fakeDecoder{fakeDevice: d, ctx: ctx, pool: pool}, nil
}

func (d *fakeDevice) NewEnhancer(ctx context.Context, p EnhancerParams) (Enhancer, error) {
	if p.Rung != Lanczos {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(d.loading):
		}
	}
	pool, err := fakePool(p.Frames, p.Out, p.Ledger)
	if err != nil {
		return nil, err
	}
	return &fakeEnhancer{fakeDevice: d, ctx: ctx, pool: pool, rung: p.Rung}, nil
}

func (d *fakeDevice) NewEncoder(p EncoderParams) (Encoder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.encoders++
	if d.encoders <= d.unopened {
		return nil, errScript
	}
	return &fakeEncoder{fakeDevice: d, track: p.Track}, nil
}

type fakeDecoder struct {
	*fakeDevice
	ctx  context.Context
	pool *Pool
	skip bool
	held *media.Frame
}

func (d *fakeDecoder) Send(p media.Packet, emit func(*media.Frame) error) error {
	n := number(p.PTS)
	if slices.Contains(d.swallowed, n) || d.skip && media.Disposable(media.H264, p.Data) {
		return nil
	}
	time.Sleep(max(decodeTime, d.stalls[n]))
	if slices.Contains(d.corrupt, n) {
		return errScript
	}
	f, err := d.pool.Get(d.ctx)
	if err != nil {
		return err
	}
	f.PTS, f.Arrival, f.Keyframe, f.Unwanted, f.Damaged = p.PTS, p.Arrival, p.Keyframe, p.DecodeOnly, slices.Contains(d.damaged, n)
	if d.holds {
		f, d.held = d.held, f
	}
	if f == nil {
		return nil
	}
	return emit(f)
}

func (d *fakeDecoder) Flush(emit func(*media.Frame) error) error {
	if d.held == nil {
		return nil
	}
	f := d.held
	d.held = nil
	return emit(f)
}

func (d *fakeDecoder) Close() {
	if d.held != nil {
		d.held.Release()
	}
	d.pool.Close()
	d.locked(func() { d.closedDec++ })
}

func (d *fakeDecoder) SkipNonReference(on bool) { d.skip = on }
func (d *fakeDecoder) Input() string            { return "fake" }

type fakeEnhancer struct {
	*fakeDevice
	ctx  context.Context
	pool *Pool
	rung string
}

func (e *fakeEnhancer) Send(in *media.Frame, emit func(*media.Frame) error) error {
	defer in.Release()
	time.Sleep(e.takes())
	if n, ok := e.unenhanced[e.rung]; ok && n == number(in.PTS) {
		return errScript
	}
	out, err := e.pool.Get(e.ctx)
	if err != nil {
		return err
	}
	out.Meta = in.Meta
	return emit(out)
}

func (e *fakeEnhancer) Try() (time.Duration, error) {
	time.Sleep(e.takes())
	return e.takes(), nil
}

func (e *fakeEnhancer) takes() time.Duration {
	if e.rung == Lanczos {
		return e.enhancing
	}
	return e.enhancing + e.modelTime
}
func (e *fakeEnhancer) Flush(func(*media.Frame) error) error { return nil }
func (e *fakeEnhancer) Close()                               { e.pool.Close() }
func (e *fakeEnhancer) Describe() string                     { return "fake " + e.rung }

type fakeEncoder struct {
	*fakeDevice
	track int
	key   bool
}

func (e *fakeEncoder) Send(f *media.Frame, emit func(media.Packet) error) error {
	defer f.Release()
	if slices.Contains(e.unencoded, number(f.PTS)) {
		return errScript
	}
	p := media.Packet{Track: e.track, PTS: f.PTS, Arrival: f.Arrival, Enhancer: f.Enhancer, Keyframe: e.key, Held: f.Held, Data: []byte{0, 0, 0, 1, 0x65}}
	e.key = false
	return emit(p)
}

func (e *fakeEncoder) Flush(func(media.Packet) error) error { return nil }
func (e *fakeEncoder) Close()                               { e.locked(func() { e.closedEn++ }) }
func (e *fakeEncoder) RequestKeyframe()                     { e.key = true }
func (e *fakeEncoder) SetRate(int, float64)                 {}
func (e *fakeEncoder) Describe() string                     { return "fake" }

// fakeOpus makes a packet of each.
type fakeOpus struct{ *fakeDevice }

func (o *fakeOpus) Send(p media.Packet, emit func(media.Packet) error) error {
	if slices.Contains(o.unheard, number(p.PTS)) {
		return errScript
	}
	return emit(p)
}

func (o *fakeOpus) Flush(func(media.Packet) error) error { return nil }
func (o *fakeOpus) Close()                               { o.locked(func() { o.transcoders-- }) }

// scriptOutput is the output and the observer of a session that plays a script.
type scriptOutput struct{ *fakeDevice }

func (o scriptOutput) Tracks([]media.Track) error {
	o.locked(func() { o.tracks++ })
	return nil
}

func (o scriptOutput) Packet(p media.Packet) error {
	time.Sleep(o.sending[number(p.PTS)])
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Contains(o.unsent, number(p.PTS)) {
		return errScript
	}
	o.packets = append(o.packets, p)
	return nil
}

func (o scriptOutput) Dropped(stage, reason string, n int) {
	o.locked(func() {
		if n > 0 {
			o.drops[stage+"/"+reason] += n
		}
	})
}

func (o scriptOutput) Made(string, int) { o.locked(func() { o.made++ }) }

func (o scriptOutput) StageDone(string, time.Duration, time.Duration) {}
func (o scriptOutput) Decoded()                                       {}
func (o scriptOutput) Planned(string, string, string)                 {}
func (o scriptOutput) RungLoaded(string, error)                       {}
func (o scriptOutput) RungChanged(string, string, string)             {}
func (o scriptOutput) Waiting(string, int)                            {}

// packet returns the camera's packet of picture n.
func (s script) packet(n int) media.Packet {
	p := media.Packet{PTS: time.Duration(n) * frameTime, Arrival: time.Now(), Keyframe: n%s.gop == 0}
	p.Discontinuity = n == 0 || n == s.outage
	p.Lost = slices.Contains(s.lost, n)
	switch {
	case p.Keyframe && s.sequence > 0 && n >= s.sequence:
		p.Data = media.AnnexB([]byte{0x67, 2}, []byte{0x65, 1})
	case p.Keyframe:
		p.Data = media.AnnexB([]byte{0x67, 1}, []byte{0x65, 1})
	case s.disposable && n%2 == 1:
		p.Data = media.AnnexB([]byte{0x01, 1})
	default:
		p.Data = media.AnnexB([]byte{0x41, 1})
	}
	return p
}

// play sends n pictures of a live camera through a session and waits for its end, within a synctest bubble.
func play(t *testing.T, sc script, n int) *fakeDevice {
	t.Helper()
	d := &fakeDevice{script: sc, drops: map[string]int{}}
	if d.gop == 0 {
		d.gop = 10
	}
	if d.encGOP == 0 {
		d.encGOP = time.Minute
	}
	if d.quality == nil {
		d.quality = []string{Lanczos}
	}
	s := New(Config{
		Track: media.Track{Codec: media.H264}, Plan: Plan{Decode: d, Enhance: d, Encode: d}, Quality: d.quality, Strict: d.strict,
		GOP: d.encGOP, Renditions: d.renditions, Sound: d.sound, Observer: scriptOutput{d}, Log: slog.New(slog.DiscardHandler),
		OnMisuse: func() { t.Error("a frame was released twice") },
	}, scriptOutput{d})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // by then a session that hangs ends as well
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if d.early {
		s.RequestKeyframe()
	}
	for i := range n {
		if i > 0 && i == d.outage {
			time.Sleep(5 * time.Second)
		}
		s.Send(ctx, d.packet(i))
		time.Sleep(frameTime / 2)
		if slices.Contains(d.requests, i) {
			s.RequestKeyframe()
		}
		if d.during != nil {
			d.during(s, i)
		}
		time.Sleep(frameTime / 2)
	}
	s.CloseInput()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if ctx.Err() != nil {
		t.Error("the session hung")
	}
	if n := s.InUse(); n != 0 {
		t.Errorf("%d frames were not released", n)
	}
	if d.transcoders != 0 {
		t.Errorf("%d transcoders are open", d.transcoders)
	}
	if d.closedDec != d.decoders || d.closedEn != d.encoders-d.unopened {
		t.Errorf("closed %d of %d decoders and %d of %d encoders", d.closedDec, d.decoders, d.closedEn, d.encoders-d.unopened)
	}
	return d
}
