package engine

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

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
	counted := len(got) + len(d.swallowed)
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
			script:   script{corrupt: []int{3, 5, 6}},
			want:     spans(0, 2, 10, 59),
			drops:    map[string]int{"decode/corrupt": 3, "decode/damaged": 4},
			decoders: 2,
		},
		"corrupt, and no other refers to it": {
			script: script{disposable: true, corrupt: []int{3, 5}},
			want:   spans(0, 2, 4, 4, 6, 59),
			drops:  map[string]int{"decode/corrupt": 2},
		},
		"lost on the way": { // 23 is within what is held back already
			script:   script{lost: []int{3, 20, 21, 23}},
			want:     spans(0, 2, 10, 20, 30, 59),
			drops:    map[string]int{"decode/damaged": 16},
			decoders: 3,
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
			script:   script{damaged: []int{3}},
			want:     spans(0, 2, 10, 59),
			drops:    map[string]int{"decode/damaged": 7},
			decoders: 2,
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
			drops:    map[string]int{"decode/waiting_keyframe": 9, "encode/error": 1},
			decoders: 2,
			encoders: 2,
			keys:     []int{10},
		},
		"output": { // the session starts again at 625 ms, at the keyframe 10; the encoder has not failed
			script:   script{unsent: []int{3}},
			want:     spans(0, 2, 10, 59),
			drops:    map[string]int{"decode/waiting_keyframe": 6, "encode/error": 1},
			decoders: 2,
			encoders: 2,
			keys:     []int{0, 10},
		},
		"output after a while": { // at 425 ms the encoder, the enhancer and both queues are full of pictures
			script:   script{unsent: []int{3}, sending: map[int]time.Duration{3: 300 * time.Millisecond}},
			want:     spans(0, 2, 20, 59),
			drops:    map[string]int{"enhance/overload": 3, "decode/waiting_keyframe": 9, "enhance/error": 3, "encode/error": 2},
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
