package engine

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// collector is the output of a rendition.
type collector struct {
	takes   time.Duration // for each packet
	refuses int           // so many packets, the first ones
	tracks  []media.Track
	packets []media.Packet
	refused int
}

func (c *collector) Tracks(tracks []media.Track) error {
	c.tracks = append(c.tracks, tracks...)
	return nil
}

func (c *collector) Packet(p media.Packet) error {
	time.Sleep(c.takes)
	if c.refused < c.refuses {
		c.refused++
		return errors.New("the output is closed")
	}
	c.packets = append(c.packets, p)
	return nil
}

// shown returns the numbers of the pictures that came out, and of those that are keyframes.
func (c *collector) shown() (all, keys []int) { return (&fakeDevice{packets: c.packets}).shown() }

// wanting plays n pictures with a rendition that is wanted from a picture on, up to another.
func wanting(t *testing.T, name string, out *collector, sc script, from, to, n int) *fakeDevice {
	t.Helper()
	during := sc.during
	sc.renditions = map[string]media.Output{name: out}
	sc.during = func(s *Session, n int) {
		switch n {
		case from:
			s.Want(name, true)
		case to:
			s.Want(name, false)
		}
		if during != nil {
			during(s, n)
		}
	}
	return play(t, sc, n)
}

// TestRenditionOnDemand: it is made while it is wanted and at no other time, from a keyframe on, and what it needed is
// freed then.
func TestRenditionOnDemand(t *testing.T) {
	for name, enhancer := range map[string]string{RenditionBrowser: "", RenditionLow: Lanczos, RenditionOriginalLow: ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out collector
				var open []int
				d := wanting(t, name, &out, script{during: func(s *Session, n int) {
					s.Want("no such rendition", n%2 == 0)
					switch n {
					case 5, 20, 40:
						synctest.Wait()
						d := s.cfg.Plan.Encode.(*fakeDevice)
						open = append(open, d.encoders-d.closedEn)
					}
				}}, 9, 29, 60)
				all, keys := out.shown()
				if !slices.Equal(all, spans(10, 29)) || !slices.Equal(keys, []int{10}) {
					t.Errorf("came out: %v, keyframes %v", all, keys)
				}
				if len(out.tracks) != 1 || out.tracks[0].Codec != media.H264 || out.packets[3].Enhancer != enhancer {
					t.Errorf("tracks %+v, by %q", out.tracks, out.packets[3].Enhancer)
				}
				if all, _ := d.shown(); !slices.Equal(all, spans(0, 59)) || len(d.drops) > 0 {
					t.Errorf("beside it came out: %v, dropped %v", all, d.drops)
				}
				if !slices.Equal(open, []int{1, 2, 1}) {
					t.Errorf("encoders before, meanwhile and after: %v", open)
				}
			})
		})
	}
}

// TestRenditionSizes: the small pictures fit into 640x360, or 360x640, whatever they are made of, and none is made larger.
func TestRenditionSizes(t *testing.T) {
	for _, c := range []struct {
		name       string
		size, want [2]int
	}{
		{RenditionOriginalLow, [2]int{1280, 720}, [2]int{640, 360}},
		{RenditionOriginalLow, [2]int{1080, 1920}, [2]int{360, 640}},
		{RenditionOriginalLow, [2]int{320, 180}, [2]int{320, 180}},
		{RenditionLow, [2]int{640, 360}, [2]int{640, 360}}, // the enhanced picture is twice as large
		{RenditionBrowser, [2]int{1281, 721}, [2]int{1282, 722}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out collector
			wanting(t, c.name, &out, script{size: c.size}, 0, 100, 20)
			if len(out.tracks) != 1 || out.tracks[0].Width != c.want[0] || out.tracks[0].Height != c.want[1] {
				t.Errorf("%s of %v: %+v, want %v", c.name, c.size, out.tracks, c.want)
			}
		})
	}
}

// TestRenditionDelaysNothing: one whose output takes its time, or fails, loses pictures of its own, counted, and the main
// path loses none.
func TestRenditionDelaysNothing(t *testing.T) {
	for _, name := range []string{RenditionBrowser, RenditionLow, RenditionOriginalLow} {
		for trouble, c := range map[string]struct {
			out   collector
			drops map[string]int
		}{
			"slow":  {collector{takes: 4*frameTime + time.Millisecond}, map[string]int{name + "/overload": 36}},
			"fails": {collector{refuses: 1}, map[string]int{name + "/error": 26}}, // it rests for a second
		} {
			t.Run(name+" "+trouble, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					out := c.out
					d := wanting(t, name, &out, script{}, 9, 100, 60)
					if all, _ := d.shown(); !slices.Equal(all, spans(0, 59)) {
						t.Errorf("beside it came out: %v", all)
					}
					all, _ := out.shown()
					lost := d.drops[name+"/overload"] + d.drops[name+"/error"]
					if held := 50 - len(all) - lost; held < 0 || held > 2 || len(d.drops) != 1 { // at the end some are in flight
						t.Errorf("came out: %v, dropped %v", all, d.drops)
					}
					for reason, n := range c.drops {
						if got := d.drops[reason]; got < n-2 || got > n+2 {
							t.Errorf("dropped %v, want about %v", d.drops, c.drops)
						}
					}
				})
			})
		}
	}
}

// TestSideThatNobodyWants: it is given nothing, and what was on its way is given up, uncounted.
func TestSideThatNobodyWants(t *testing.T) {
	d := &fakeDevice{drops: map[string]int{}}
	released, ended := 0, 0
	b := newSide(&Session{obs: scriptOutput{d}}, "name", 1, func(int) { released++ })
	b.work = func(context.Context, int) error { t.Error("it works"); return nil }
	b.end = func() { ended++ }
	b.want(true)
	b.want(false)
	b.put(1) // in the place of the word that nobody wants it
	b.want(false)
	ctx, cancel := context.WithCancel(t.Context())
	b.end = func() { ended++; cancel() }
	if b.run(ctx); released != 1 || ended != 2 || len(d.drops) > 0 {
		t.Errorf("%d released, %d ends, dropped %v", released, ended, d.drops)
	}
	r := &rendition{side: newSide(&Session{obs: scriptOutput{d}}, "name", 1, (*media.Frame).Release)}
	if f := media.NewFrame(nil); r.tap(f) != f || r.queue.Len() != 0 {
		t.Error("it is given a picture")
	}
}

// TestRenditionStartsAgain: with the session, without being asked for again.
func TestRenditionStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out collector
		wanting(t, RenditionBrowser, &out, script{unsent: []int{3}}, 0, 100, 60)
		if all, keys := out.shown(); !slices.Equal(keys, []int{1, 10}) || all[len(all)-1] != 59 {
			t.Errorf("came out: %v, keyframes %v", all, keys)
		}
	})
}

// TestRenditionKeyframes: at most one in half a second, on request and by the GOP. A request for the enhanced picture is one
// for its small form.
func TestRenditionKeyframes(t *testing.T) {
	for name, ask := range map[string]func(*Session){
		RenditionBrowser:     func(s *Session) { s.Refresh(RenditionBrowser) },
		RenditionLow:         (*Session).RequestKeyframe,
		RenditionOriginalLow: func(s *Session) { s.Refresh(RenditionOriginalLow) },
	} {
		synctest.Test(t, func(t *testing.T) {
			var out collector
			wanting(t, name, &out, script{encGOP: time.Second, during: func(s *Session, n int) {
				if n == 5 || n == 6 || n == 18 {
					ask(s)
				}
			}}, 0, 100, 60)
			if _, keys := out.shown(); !slices.Equal(keys, []int{1, 14, 27, 52}) {
				t.Errorf("%s: keyframes %v", name, keys)
			}
		})
	}
}

// TestRenditionKeepsNoFrameFromTheStages: with all as slow as can be, and snapshots,
// the main path has the frames that it has without.
func TestRenditionKeepsNoFrameFromTheStages(t *testing.T) {
	busy := script{enhancing: 71 * time.Millisecond, sending: map[int]time.Duration{}}
	for n := 10; n < 60; n += 3 {
		busy.sending[n] = 397 * time.Millisecond
	}
	var (
		want  []int
		shots sync.WaitGroup
	)
	synctest.Test(t, func(t *testing.T) { want, _ = play(t, busy, 60).shown() })
	synctest.Test(t, func(t *testing.T) {
		slow := busy
		slow.onJPEG = func(JPEGParams) { time.Sleep(40 * frameTime) }
		slow.renditions = map[string]media.Output{}
		for i, name := range []string{RenditionBrowser, RenditionLow, RenditionOriginalLow} {
			slow.renditions[name] = &collector{takes: time.Duration(11+3*i) * frameTime} // so that they hold pictures of their own
		}
		slow.during = func(s *Session, n int) {
			for name := range slow.renditions {
				s.Want(name, true)
			}
			if n == 5 {
				for _, variant := range []string{VariantOriginal, VariantCompare} {
					shots.Go(func() { _, _ = s.Snapshot(t.Context(), variant, 0) })
				}
			}
		}
		got, _ := play(t, slow, 60).shown()
		if shots.Wait(); !slices.Equal(got, want) {
			t.Errorf("came out: %v, without renditions %v", got, want)
		}
	})
}

// TestSoundOnDemand: sound is transcoded while that is wanted, beside the picture. Packets that cannot be are counted; when
// none can, it begins anew.
func TestSoundOnDemand(t *testing.T) {
	sound := media.Track{ID: 7, Kind: media.Audio, Codec: AAC}
	for name, c := range map[string]struct {
		unheard []int
		want    []int
		drops   map[string]int
	}{
		"all":        {nil, spans(10, 29), nil},
		"some":       {[]int{12, 13}, spans(10, 11, 14, 29), map[string]int{"opus/corrupt": 2}},
		"not at all": {spans(11, 200), spans(10, 10), map[string]int{"opus/corrupt": soundPatience - 1, "opus/error": 10}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out collector
				d := wanting(t, RenditionOpus, &out, script{sound: sound, unheard: c.unheard, during: func(s *Session, n int) {
					s.Send(t.Context(), media.Packet{Track: sound.ID, PTS: time.Duration(n) * frameTime})
				}}, 10, 30, 60)
				if all, _ := out.shown(); !slices.Equal(all, c.want) || !maps.Equal(d.drops, c.drops) {
					t.Errorf("came out: %v, dropped %v", all, d.drops)
				}
				if all, _ := d.shown(); !slices.Equal(all, spans(0, 59)) {
					t.Errorf("pictures: %v", all)
				}
				if len(out.tracks) != 1 || out.tracks[0].ID != sound.ID || out.tracks[0].Codec != "opus" || out.tracks[0].ClockRate != OpusRate {
					t.Errorf("tracks %+v", out.tracks)
				}
			})
		})
	}
}
