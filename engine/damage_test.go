package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rave/engine/media"
)

// damageStep is an access unit, in the order of decoding, and the picture that comes out after it.
type damageStep struct {
	lost, key, damaged, undecoded bool
	found, missing                bool // the decoder finds damage in it, or that it refers to what is missing
	recovery                      int
	out                           int // number of the picture that comes out, counted from 1 in the order of decoding; 0: none
}

// TestDamageIsHeld: damaged pictures, those after a loss, and what follows them are held back until a whole picture.
func TestDamageIsHeld(t *testing.T) {
	for name, c := range map[string]struct {
		steps []damageStep
		pts   []int // of the access units; nil: in the order of decoding
		shown []int
	}{
		"damaged": {
			steps: []damageStep{{key: true, out: 1}, {out: 2}, {damaged: true, out: 3}, {out: 4}, {key: true, out: 5}, {out: 6}},
			shown: []int{1, 2, 5, 6},
		},
		"damaged keyframe": {
			steps: []damageStep{{key: true, out: 1}, {key: true, damaged: true, out: 2}, {out: 3}, {key: true, out: 4}},
			shown: []int{1, 4},
		},
		"lost": {
			steps: []damageStep{{key: true, out: 1}, {lost: true, out: 2}, {out: 3}, {key: true, out: 4}, {out: 5}},
			shown: []int{1, 4, 5},
		},
		"lost before a keyframe": {
			steps: []damageStep{{key: true, out: 1}, {key: true, lost: true, out: 2}, {out: 3}},
			shown: []int{1, 2, 3},
		},
		"not decoded": {
			steps: []damageStep{{key: true, out: 1}, {undecoded: true}, {out: 3}, {key: true, out: 4}},
			shown: []int{1, 4},
		},
		"lost while the decoder holds pictures back": { // 2 comes out after the loss, and is older than it
			steps: []damageStep{{key: true}, {out: 1}, {lost: true, out: 2}, {out: 3}, {key: true, out: 4}, {out: 5}},
			shown: []int{1, 2, 5},
		},
		"B-frames": { // a picture is lost before 2; 3 refers to 2, and 6, which leads the keyframe 5, to what is lost
			steps: []damageStep{{key: true, out: 1}, {lost: true}, {out: 3}, {out: 2}, {key: true, out: 4}, {out: 6}, {out: 5}, {out: 7}},
			pts:   []int{1, 3, 2, 4, 9, 7, 11, 13},
			shown: []int{1, 5, 7},
		},
		"found while the decoder holds pictures back": { // 2 is presented after 3 and 4, which refer to it
			steps: []damageStep{{key: true, out: 1}, {found: true}, {out: 3}, {out: 4}, {key: true, out: 2}, {out: 5}, {out: 6}},
			pts:   []int{1, 4, 2, 3, 5, 6, 7},
			shown: []int{1, 5, 6},
		},
		"found in a picture that leads a keyframe": { // 3; nothing else refers to it
			steps: []damageStep{{key: true, out: 1}, {key: true}, {missing: true, out: 3}, {out: 2}, {out: 4}, {out: 5}},
			pts:   []int{1, 3, 2, 4, 5, 6},
			shown: []int{1, 2, 4, 5},
		},
		"a recovery point refers to what is missing": {
			steps: []damageStep{{key: true, out: 1}, {recovery: 2, missing: true, out: 2}, {out: 3}, {out: 4}},
			shown: []int{1, 3, 4},
		},
		"a recovery point is damaged": {
			steps: []damageStep{{key: true, out: 1}, {recovery: 2, found: true, out: 2}, {out: 3}, {recovery: 1, out: 4}},
			shown: []int{1, 4},
		},
		"missing within a recovery": {
			steps: []damageStep{{key: true, out: 1}, {recovery: 3, out: 2}, {missing: true, out: 3}, {out: 4}, {recovery: 1, out: 5}},
			shown: []int{1, 2, 5},
		},
		"gradual recovery": { // 4 is the first of three, so that 6 is whole
			steps: []damageStep{{key: true, out: 1}, {lost: true, out: 2}, {out: 3}, {recovery: 3, out: 4}, {out: 5}, {out: 6}, {out: 7}},
			shown: []int{1, 6, 7},
		},
		"a loss within a recovery": {
			steps: []damageStep{{key: true, out: 1}, {lost: true, out: 2}, {recovery: 2, out: 3}, {lost: true, out: 4}, {out: 5}, {recovery: 1, out: 6}},
			shown: []int{1, 6},
		},
		"a recovery within a recovery": {
			steps: []damageStep{{key: true, out: 1}, {lost: true, out: 2}, {recovery: 3, out: 3}, {recovery: 3, out: 4}, {out: 5}, {out: 6}},
			shown: []int{1, 5, 6},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if shown := throughGate(c.steps, c.pts); !slices.Equal(shown, c.shown) {
				t.Errorf("shown %v, want %v", shown, c.shown)
			}
		})
	}
}

func throughGate(steps []damageStep, pts []int) (shown []int) {
	var g damageGate
	start := time.Unix(1e9, 0)
	sent := make([]media.Packet, len(steps))
	for i, s := range steps {
		at := i + 1
		if pts != nil {
			at = pts[i]
		}
		sent[i] = media.Packet{
			PTS: time.Duration(at) * frameTime, Arrival: start.Add(time.Duration(i) * frameTime), Lost: s.lost, Keyframe: s.key,
			Recovery: s.recovery, Data: media.AnnexB([]byte{0x41, 1}),
		}
		g.packet(media.H264, sent[i])
		if s.found || s.missing {
			g.found(sent[i], s.missing)
		}
		if s.undecoded {
			g.undecoded(media.H264, sent[i])
		}
		if s.out == 0 {
			continue
		}
		f := media.NewFrame(nil)
		from := s.out - 1
		f.PTS, f.Arrival, f.Keyframe, f.Damaged = sent[from].PTS, sent[from].Arrival, sent[from].Keyframe, steps[from].damaged
		if g.clean(f) {
			shown = append(shown, s.out)
		}
	}
	return shown
}

// TestDamageIsHeldForASecond: when nothing mends the stream, it is shown as it is after maxHeld.
func TestDamageIsHeldForASecond(t *testing.T) {
	steps := make([]damageStep, 100)
	for i := range steps {
		steps[i].out = i + 1
	}
	for name, first := range map[string]damageStep{"lost": {lost: true, out: 1}, "damaged": {damaged: true, out: 1}} {
		steps[0] = first
		if shown := throughGate(steps, nil); shown[0] != int(maxHeld/frameTime)+2 || len(shown) != 101-shown[0] {
			t.Errorf("%s: shown from picture %d on, %d pictures", name, shown[0], len(shown))
		}
	}
}

// nal makes a NAL unit of a header and bits.
func nal(header byte, bits string) []byte {
	bits = strings.ReplaceAll(bits, " ", "")
	unit := []byte{header}
	for i := 0; i < len(bits); i += 8 {
		v, err := strconv.ParseUint((bits + "00000000")[i:i+8], 2, 8)
		if err != nil {
			panic(err)
		}
		unit = append(unit, byte(v))
	}
	return unit
}

// TestFrameCounter: a jump of frame_num is found, and what looks like one and is none is not.
func TestFrameCounter(t *testing.T) {
	const (
		ref, other, idr = 0x41, 0x01, 0x65
		// profile, level; id 0, 4 bits of frame_num, POC type 2, one reference; gaps or not; size, cropping, VUI, end
		sps, strict, gaps, size = "01000010 11000000 00011110 1 1 011 010", "0", "1", "0001010 00110 1 1 0 0 1"
	)
	picture := func(header byte, num int) []byte { return nal(header, fmt.Sprintf("1 1 1 %04b 1", num)) }
	for name, c := range map[string]struct {
		sps  string
		aus  [][]byte
		keys []int // access units that decoding may begin at
		gaps []int
	}{
		"every number":   {sps: strict, aus: [][]byte{picture(idr, 0), picture(ref, 1), picture(ref, 2)}},
		"one is missing": {sps: strict, aus: [][]byte{picture(idr, 0), picture(ref, 2), picture(ref, 3)}, gaps: []int{1}},
		"wrap":           {sps: strict, keys: []int{0}, aus: [][]byte{picture(ref, 14), picture(ref, 15), picture(ref, 0), picture(ref, 2)}, gaps: []int{3}},
		"pictures that no other refers to": {sps: strict, aus: [][]byte{picture(idr, 0), picture(other, 1), picture(other, 1), picture(ref, 1),
			picture(other, 2), picture(other, 3)}, gaps: []int{5}},
		"fields":               {sps: strict, aus: [][]byte{picture(idr, 0), picture(ref, 0), picture(ref, 1), picture(ref, 1), picture(ref, 2)}},
		"an IDR is missing":    {sps: strict, aus: [][]byte{picture(idr, 0), picture(ref, 1), picture(ref, 2), picture(ref, 1)}, gaps: []int{3}},
		"recovery point":       {sps: strict, keys: []int{2}, aus: [][]byte{picture(idr, 0), picture(ref, 1), picture(ref, 9), picture(ref, 10)}},
		"joined in the middle": {sps: strict, aus: [][]byte{picture(ref, 7), picture(ref, 8)}},
		"gaps are allowed":     {sps: gaps, aus: [][]byte{picture(idr, 0), picture(ref, 2), picture(ref, 5)}},
		"cut short":            {sps: strict, aus: [][]byte{picture(idr, 0), {ref}, {ref, 0}, picture(ref, 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			var f frameCounter
			var got []int
			for i, au := range c.aus {
				data := media.AnnexB(au)
				if i == 0 {
					data = media.AnnexB(nal(0x67, sps+c.sps+size), au)
				}
				if f.gap(media.H264, media.Packet{Data: data, Keyframe: slices.Contains(c.keys, i)}) {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, c.gaps) {
				t.Errorf("gaps at %v, want %v", got, c.gaps)
			}
		})
	}
}

// TestDroppedPacketsAreLost: what is taken after the queue has dropped something says so, once.
func TestDroppedPacketsAreLost(t *testing.T) {
	for name, drop := range map[string]func(q *packetQueue){
		"waiting for a keyframe": func(q *packetQueue) { q.waitKey = true; q.Put(t.Context(), media.Packet{}) },
		"cleared":                func(q *packetQueue) { q.Put(t.Context(), media.Packet{Keyframe: true}); q.clear(DropBehind) },
		"nothing":                func(*packetQueue) {},
	} {
		q := newPacketQueue(true, func(string, int) {})
		drop(q)
		for i := range 2 {
			q.Put(t.Context(), media.Packet{Keyframe: true, Arrival: time.Now()})
			if p, _, ok, _ := q.take(); !ok || p.Lost != (i == 0 && name != "nothing") {
				t.Errorf("%s: packet %d: %v, lost %v", name, i, ok, p.Lost)
			}
		}
	}
}
