package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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
}

// fakeDevice plays a script. A decoder takes decodeTime for a picture, everything else no time.
type fakeDevice struct {
	script

	mu                  sync.Mutex
	decoders, encoders  int // opened
	closedDec, closedEn int
	drops               map[string]int
	packets             []media.Packet
	tracks              int // descriptions given out
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
func (d *fakeDevice) Name() string                                     { return "fake" }
func (d *fakeDevice) Probe(context.Context) Caps                       { return Caps{} }

func (d *fakeDevice) Inspect(_ context.Context, model string) (ModelInfo, error) {
	return ModelInfo{Name: model, Scale: 2}, nil
}

func (d *fakeDevice) NewDecoder(ctx context.Context, p DecoderParams) (Decoder, error) {
	pool, err := fakePool(p.Frames, media.Format{Width: 64, Height: 48, Pixel: media.YUV420P}, p.Ledger)
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
	f.PTS, f.Arrival, f.Keyframe, f.Damaged = p.PTS, p.Arrival, p.Keyframe, slices.Contains(d.damaged, n)
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
	p := media.Packet{Track: e.track, PTS: f.PTS, Arrival: f.Arrival, Enhancer: f.Enhancer, Keyframe: e.key, Data: []byte{0, 0, 0, 1, 0x65}}
	e.key = false
	return emit(p)
}

func (e *fakeEncoder) Flush(func(media.Packet) error) error { return nil }
func (e *fakeEncoder) Close()                               { e.locked(func() { e.closedEn++ }) }
func (e *fakeEncoder) RequestKeyframe()                     { e.key = true }
func (e *fakeEncoder) SetRate(int, float64)                 {}
func (e *fakeEncoder) Describe() string                     { return "fake" }

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

func (o scriptOutput) StageDone(string, time.Duration, time.Duration) {}
func (o scriptOutput) Decoded()                                       {}
func (o scriptOutput) Made(string, int)                               {}
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
		GOP: d.encGOP, Observer: scriptOutput{d}, Log: slog.New(slog.DiscardHandler),
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
	if d.closedDec != d.decoders || d.closedEn != d.encoders-d.unopened {
		t.Errorf("closed %d of %d decoders and %d of %d encoders", d.closedDec, d.decoders, d.closedEn, d.encoders-d.unopened)
	}
	return d
}

// shown returns the numbers of the pictures that came out, and of those that are keyframes.
func (d *fakeDevice) shown() (all, keys []int) {
	for _, p := range d.packets {
		all = append(all, number(p.PTS))
		if p.Keyframe {
			keys = append(keys, number(p.PTS))
		}
	}
	return all, keys
}

// spans lists the numbers of inclusive ranges: first, last, first, last.
func spans(ends ...int) []int {
	var all []int
	for r := range slices.Chunk(ends, 2) {
		for n := r[0]; n <= r[1]; n++ {
			all = append(all, n)
		}
	}
	return all
}

type sessionTest struct {
	script

	want               []int // pictures that come out
	drops              map[string]int
	lost               int   // with a run of the session, and counted nowhere
	decoders, encoders int   // opened; 0 is 1
	keys               []int // that are keyframes; nil: the first
}

// run plays the camera up to picture 59.
func (st sessionTest) run(t *testing.T) {
	const n = 60
	d := play(t, st.script, n)
	got, keys := d.shown()
	if !slices.Equal(got, st.want) {
		t.Errorf("came out: %v, want %v", got, st.want)
	}
	if st.keys == nil {
		st.keys = []int{0}
	}
	if !slices.Equal(keys, st.keys) {
		t.Errorf("keyframes: %v, want %v", keys, st.keys)
	}
	if !maps.Equal(d.drops, st.drops) {
		t.Errorf("drops: %v, want %v", d.drops, st.drops)
	}
	if d.decoders != max(1, st.decoders) || d.encoders != max(1, st.encoders) {
		t.Errorf("opened %d decoders and %d encoders, want %d and %d", d.decoders, d.encoders, max(1, st.decoders), max(1, st.encoders))
	}
	if d.tracks != len(st.keys) && st.encGOP == 0 { // each encoder that made a packet began with a keyframe
		t.Errorf("the track was announced %d times, want %d", d.tracks, len(st.keys))
	}
	counted := len(got) + len(d.swallowed) + st.lost
	for _, n := range d.drops {
		counted += n
	}
	if counted != n {
		t.Errorf("%d pictures have come out or were counted, of %d", counted, n)
	}
}

// TestSessionCountsWhatItDrops breaks one thing at a time, live. Every picture comes out or is counted once, under the
// stage and the reason that gave it up, and no frame is kept.
func TestSessionCountsWhatItDrops(t *testing.T) {
	for name, st := range map[string]sessionTest{
		"nothing is wrong": {want: spans(0, 59)},
		"corrupt": { // what follows refers to it
			script: script{corrupt: []int{3, 5, 6}},
			want:   spans(0, 2, 10, 59),
			drops:  map[string]int{"decode/corrupt": 3, "decode/damaged": 4},
		},
		"corrupt, and no other refers to it": {
			script: script{disposable: true, corrupt: []int{3, 5}},
			want:   spans(0, 2, 4, 4, 6, 59),
			drops:  map[string]int{"decode/corrupt": 2},
		},
		"lost on the way": { // 23 is within what is held back already
			script: script{lost: []int{3, 20, 21, 23}},
			want:   spans(0, 2, 10, 20, 30, 59),
			drops:  map[string]int{"decode/damaged": 16},
		},
		"corrupt until the decoder is rebuilt": { // which then waits for a keyframe
			script:   script{gop: 57, corrupt: spans(1, decoderPatience)},
			want:     spans(0, 0, 57, 59),
			drops:    map[string]int{"decode/corrupt": decoderPatience, "decode/waiting_keyframe": 56 - decoderPatience},
			decoders: 2,
		},
		"swallowed": {
			script: script{swallowed: []int{3, 4}},
			want:   spans(0, 2, 5, 59),
		},
		"skipped": { // 1 to 3 are more than 250 ms late
			script: script{disposable: true, stalls: map[int]time.Duration{0: 400 * time.Millisecond}},
			want:   spans(0, 0, 2, 2, 4, 59),
			drops:  map[string]int{"decode/skipped": 2},
		},
		"behind": { // the keyframe 20 arrives when 6 has waited for more than 500 ms
			script: script{stalls: map[int]time.Duration{5: 700 * time.Millisecond}},
			want:   spans(0, 5, 20, 59),
			drops:  map[string]int{"decode/behind": 14},
		},
		"damaged": {
			script: script{damaged: []int{3}},
			want:   spans(0, 2, 10, 59),
			drops:  map[string]int{"decode/damaged": 7},
		},
		"late": { // 2 to 6 are more than 500 ms late, and 1 is shown since nothing was for so long
			script: script{gop: 60, stalls: map[int]time.Duration{1: 700 * time.Millisecond}},
			want:   spans(0, 1, 7, 59),
			drops:  map[string]int{"enhance/late": 5},
		},
		"no enhancer": { // 3 comes at 120 ms
			script: script{quality: []string{"model"}, loading: 100 * time.Millisecond},
			want:   spans(3, 59),
			drops:  map[string]int{"enhance/no_enhancer": 3},
			keys:   []int{3},
		},
		"enhancer": {
			script: script{quality: []string{"model", Lanczos}, unenhanced: map[string]int{"model": 5}},
			want:   spans(0, 4, 6, 59),
			drops:  map[string]int{"enhance/error": 1},
		},
		"enhancers": {
			script: script{quality: []string{"model", Lanczos}, unenhanced: map[string]int{"model": 5, Lanczos: 7}},
			want:   spans(0, 4, 6, 6),
			drops:  map[string]int{"enhance/error": 2, "enhance/no_enhancer": 52},
		},
		"encoder": {
			script:   script{unencoded: []int{3, 6}},
			want:     spans(0, 2, 4, 5, 7, 59),
			drops:    map[string]int{"encode/error": 2},
			encoders: 3,
			keys:     []int{0, 4, 7},
		},
		"encoder until the session starts again": { // at 7, for 500 ms: from the next keyframe on
			script:   script{unencoded: spans(3, 2+encoderPatience)},
			want:     spans(0, 2, 10, 59),
			drops:    map[string]int{"encode/error": encoderPatience, "decode/waiting_keyframe": 2},
			decoders: 2,
			encoders: encoderPatience + 1,
			keys:     []int{0, 10},
		},
		"no encoder": { // the session starts again at 505 ms, at the keyframe 10
			script:   script{unopened: 1},
			want:     spans(10, 59),
			drops:    map[string]int{"decode/waiting_keyframe": 9},
			lost:     1,
			decoders: 2,
			encoders: 2,
			keys:     []int{10},
		},
		"output": { // the session starts again at 625 ms, at the keyframe 10; the encoder has not failed
			script:   script{unsent: []int{3}},
			want:     spans(0, 2, 10, 59),
			drops:    map[string]int{"decode/waiting_keyframe": 6},
			lost:     1,
			decoders: 2,
			encoders: 2,
			keys:     []int{0, 10},
		},
		"output after a while": { // at 425 ms the encoder, the enhancer and both queues are full of pictures
			script:   script{unsent: []int{3}, sending: map[int]time.Duration{3: 300 * time.Millisecond}},
			want:     spans(0, 2, 20, 59),
			drops:    map[string]int{"enhance/overload": 3, "decode/waiting_keyframe": 9},
			lost:     5,
			decoders: 2,
			encoders: 2,
			keys:     []int{0, 20},
		},
		"outage": {
			script:   script{outage: 30, holds: true},
			want:     spans(0, 59),
			decoders: 2,
		},
		"new sequence": {
			script:   script{sequence: 30, holds: true},
			want:     spans(0, 59),
			decoders: 2,
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, st.run) })
	}
}

// TestSessionOverload has an enhancer that takes more than two frame times: what it cannot make is counted.
func TestSessionOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 60
		d := play(t, script{enhancing: 97 * time.Millisecond}, n)
		got, _ := d.shown()
		if drops := d.drops["enhance/overload"]; len(d.drops) != 1 || drops+len(got) != n || drops < n/2 || !slices.IsSorted(got) {
			t.Errorf("drops %v, came out %v", d.drops, got)
		}
	})
}

// TestSessionStepsDown: with a lighter rung hardly a picture is lost; a strict session stays with its first and loses
// them, and nothing else ever serves.
func TestSessionStepsDown(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const n = 500
			d := play(t, script{quality: []string{"model", Lanczos}, strict: strict, modelTime: 97 * time.Millisecond}, n)
			by := map[string]int{}
			for _, p := range d.packets {
				by[p.Enhancer]++
			}
			lost := d.drops["enhance/overload"] + d.drops["enhance/no_enhancer"]
			if len(d.packets)+lost != n {
				t.Errorf("%d packets and %v dropped of %d", len(d.packets), d.drops, n)
			}
			if strict && (by["model"] != len(d.packets) || lost < n/2) || !strict && (by[Lanczos] < n-10 || lost > 0) {
				t.Errorf("strict %v: made by %v, dropped %v", strict, by, d.drops)
			}
		})
	}
}

// TestSessionAnswersKeyframeRequests: at most one keyframe in half a second, and one for all requests before it,
// whatever it was made for.
func TestSessionAnswersKeyframeRequests(t *testing.T) {
	for name, st := range map[string]sessionTest{
		"none":                          {keys: []int{0, 25, 50}},
		"at once":                       {script: script{requests: []int{14}}, keys: []int{0, 15, 40}},
		"too early":                     {script: script{requests: []int{2, 3, 7}}, keys: []int{0, 13, 38}},
		"answered by the GOP":           {script: script{requests: []int{24}}, keys: []int{0, 25, 50}},
		"answered by the first picture": {script: script{early: true}, keys: []int{0, 25, 50}},
		"answered by a new encoder": { // whose GOP counts from the picture before its first
			script: script{requests: []int{10}, unencoded: []int{11}}, keys: []int{0, 12, 36},
			drops: map[string]int{"encode/error": 1}, encoders: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			st.encGOP, st.want = time.Second, spans(0, 59)
			if st.unencoded != nil {
				st.want = slices.DeleteFunc(st.want, func(n int) bool { return slices.Contains(st.unencoded, n) })
			}
			synctest.Test(t, st.run)
		})
	}
}
