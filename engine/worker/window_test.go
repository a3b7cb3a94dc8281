package worker

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"rave/engine/media"
)

// TestWindow plays scripts of packets (K: a keyframe, p: another, D: another after a discontinuity, L: a keyframe after a
// second, B: one that is too large, w: one of which no picture is wanted) and of what the worker does (o: opens, t: takes one, m: makes a picture of that and
// sends it, r: reports a drop, x: dies, s: skip). What is taken is written by its number, with ! when something before it
// was dropped, and a death by the group it gives again.
func TestWindow(t *testing.T) {
	for _, c := range []struct{ name, script, taken, drops string }{
		{"nothing before a keyframe", "oppKp tt", "2! 3", "map[waiting_keyframe:2]"},
		{"again from the keyframe", "oKpp ttt x o ttt", "0 1 2 x0/3 0 1 2", "map[]"},
		{"what waits is given too", "oKpp t x o ttt", "0 x0/1 0 1 2", "map[]"},
		{"only the last group", "oKppKp ttttt x o tt", "0 1 2 3 4 x3/2 3 4", "map[worker_died:3]"},
		{"only the last group, made of it", "oKppKp tttmtt x o tt", "0 1 2 3 4 x3/2 3 4", "map[] after 2"},
		{"only the last group, some made of it", "oKppKp tmttt x o t", "0 1 2 3 x3/1 3", "map[worker_died:2] after 0"},
		{"only the last group, reported", "oKppKp tttrrt x o t", "0 1 2 3 x3/1 3", "map[reported:2 worker_died:1]"},
		{"what was reported is not made", "oKpp tmtrt x o ttt", "0 1 2 x0/3 0 1 2", "map[reported:1] after 1"},
		{"what is given up before it is given again", "oKpp tmt x pL o t", "0 1 x0/2 4!", "map[worker_down:3] after 0"},
		{"the last group, never given", "oKppKp t x o tt", "0 x3/0 3 4", "map[worker_died:1 worker_down:2]"},
		{"a short wait is no reason to drop", "oKppKp ttttt", "0 1 2 3 4", "map[]"},
		{"a busy worker", "oKp t pLp tt", "0 3! 4", "map[worker_busy:2]"},
		{"no worker", "KpKp o tt", "2! 3", "map[worker_down:2]"},
		{"discontinuity", "oKp tt DpK t", "0 1 4!", "map[waiting_keyframe:2]"},
		{"too large", "oK t BpK t", "0 3!", "map[oversize:1 waiting_keyframe:1]"},
		{"poison", "oKpp tt x s pK o t", "0 1 x0/2 4!", "map[poison:3 waiting_keyframe:1]"},
		{"poison, after a picture", "oKpp tmt x s pK o t", "0 1 x0/2 4!", "map[poison:2 waiting_keyframe:1] after 0"},
		{"dies before anything", "o x Kp o tt", "x0/0 0 1", "map[]"},
		{"nothing but dying", "oKp tt x x o tt", "0 1 x0/2 x0/0 0 1", "map[]"},
		{"what only others refer to is no drop", "KwwpK ottt", "4!", "map[worker_down:2]"},
		{"every packet a keyframe", "oKKK ttt x o t", "0 1 2 x2/1 2", "map[worker_died:2]"},
		{"a group too long to be given again", "oK t" + strings.Repeat("pt", maxPackets) + " x o p K t", "", "map[waiting_keyframe:1 worker_died:501]"},
		{"a worker that takes nothing", "oK" + strings.Repeat("p", maxPackets) + " K t", "", "map[waiting_keyframe:1 worker_busy:500]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			drops := map[string]int{}
			w := newWindow(func(reason string, n int) {
				if n != 0 {
					drops[reason] += n
				}
			}, func() {})
			taken := play(w, c.script)
			if c.taken == "" { // too long to be written down
				if want := fmt.Sprint(strings.Count(c.script, "p")+1, "!"); !strings.HasSuffix(taken, " "+want) && taken != want {
					t.Errorf("the last taken is not %s: %s", want, taken)
				}
			} else if taken != c.taken {
				t.Errorf("taken %s, want %s", taken, c.taken)
			}
			got := fmt.Sprint(maps.Clone(drops))
			if w.after != never {
				got += fmt.Sprint(" after ", int64(w.after))
			}
			if got != c.drops {
				t.Errorf("drops %s, want %s", got, c.drops)
			}
			sum := 0
			for _, p := range w.packets {
				sum += len(p.Data)
			}
			if sum != w.bytes {
				t.Errorf("%d bytes are counted as %d", sum, w.bytes)
			}
			if w.close(); w.put(media.Packet{Keyframe: true}) || w.bytes != 0 {
				t.Error("not closed")
			}
		})
	}
}

func play(w *window, script string) string {
	var taken []string
	clock, number, last, after := time.Now(), 0, 0, never
	for _, step := range script {
		p := media.Packet{Track: number, PTS: time.Duration(number), Arrival: clock, Data: make([]byte, 10)}
		switch step {
		case 'K', 'L':
			if step == 'L' {
				clock = clock.Add(time.Second)
				p.Arrival = clock
			}
			p.Keyframe = true
		case 'D':
			p.Discontinuity = true
		case 'w':
			p.DecodeOnly = true
		case 'B':
			p.Data = make([]byte, maxData+1)
		case 'o':
			w.open()
		case 's':
			w.skip()
		case 't':
			if p, ok := w.take(); ok {
				text := fmt.Sprint(p.Track)
				if p.Lost {
					text += "!"
				}
				taken = append(taken, text)
				last = p.Track
			}
		case 'm':
			after = time.Duration(last)
			w.picture(after)
		case 'r':
			w.drop("reported", 1)
			w.dropped(1)
		case 'x':
			group, given := w.rewind(after)
			taken = append(taken, fmt.Sprintf("x%d/%d", group, given))
		}
		if strings.ContainsRune("KLDBpw", step) {
			number++
			w.put(p)
		}
	}
	return strings.Join(taken, " ")
}

// TestPauses: the first quick death costs no time, repeated ones more and more; a worker that gave pictures for a while
// is forgiven.
func TestPauses(t *testing.T) {
	var told []string
	c := testClient(t, func(reason string) { told = append(told, reason) })
	var m mourner
	quick, long := death{reason: reasonAbort}, death{reason: reasonAbort, gave: true, lived: time.Minute}
	var pauses []time.Duration
	for _, d := range []death{quick, quick, quick, quick, long, quick, long, long} {
		pauses = append(pauses, c.bury(&m, d)/time.Millisecond)
	}
	if got := fmt.Sprint(pauses); got != fmt.Sprint([]time.Duration{0, 100, 200, 400, 0, 0, 0, 0}) || len(told) != 8 {
		t.Errorf("pauses of %s ms, %d told", got, len(told))
	}
	for range 100 {
		pauses = append(pauses, c.bury(&m, quick))
	}
	if last := pauses[len(pauses)-1]; last != pauseMax {
		t.Errorf("a pause of %v", last)
	}
}
