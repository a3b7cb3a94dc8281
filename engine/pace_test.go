package engine

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

const pictureTime = 40 * time.Millisecond // 25 frames/s

// turn is how long one rung served.
type turn struct {
	by     string
	length time.Duration
}

// watch sends a live camera's pictures through the ladder for a while; the enhancer takes the newest. It returns who
// made them, turn after turn.
func (lt *ladderTest) watch(t *testing.T, l *ladder, interval, length time.Duration, each func(since time.Duration)) []turn {
	t.Helper()
	var turns []turn
	start, last := time.Now(), time.Now()
	for time.Since(start) < length {
		if each != nil {
			each(time.Since(start))
		}
		l.setInterval(interval)
		by := made(t, l)
		if n := len(turns); n == 0 || turns[n-1].by != by {
			turns = append(turns, turn{by: by})
		}
		if now := time.Since(start); now < length { // until the camera's next picture
			time.Sleep(interval - now%interval)
		}
		turns[len(turns)-1].length += time.Since(last)
		last = time.Now()
	}
	return turns
}

func names(turns []turn) []string {
	var all []string
	for _, t := range turns {
		all = append(all, t.by)
	}
	return all
}

// A rung that is too slow from the beginning never serves, once the camera's rate is known.
func TestPaceTriesBeforeItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{
			opens: map[string]time.Duration{"large": time.Second, "small": time.Second},
			costs: map[string]time.Duration{"large": 4 * pictureTime, "small": pictureTime / 2},
		}
		l := lt.ladder(t, "large", "small", Lanczos)
		defer l.close()
		turns := lt.watch(t, l, pictureTime, time.Minute, nil)
		if got := names(turns); !slices.Equal(got, []string{Lanczos, "small"}) {
			t.Errorf("served: %v", turns)
		}
		if turns[0].length > 3*time.Second {
			t.Errorf("it took %v until the one that is fast enough served", turns[0].length)
		}
		if n := lt.tried["large"]; n < 10 || time.Duration(n)*lt.cost("large") > time.Minute/10 {
			t.Errorf("the large one was measured %d times in a minute, which took %v", n, time.Duration(n)*lt.cost("large"))
		}
		if want := []string{" → lanczos: loaded", "large → lanczos: left_out", "lanczos → small: loaded"}; !slices.Equal(lt.changes, want) {
			t.Errorf("told: %q", lt.changes)
		}
	})
}

// A rung that becomes too slow gives way after its time, to the next one that holds the rate, and returns when it can.
func TestPaceGivesWayAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{
			opens: map[string]time.Duration{},
			costs: map[string]time.Duration{"large": pictureTime / 2, "middle": 2 * pictureTime, "small": pictureTime / 4},
		}
		l := lt.ladder(t, "large", "middle", "small", Lanczos)
		defer l.close()
		busy := func(since time.Duration) {
			lt.setCost("large", pictureTime/2)
			if since > 10*time.Second && since < time.Minute {
				lt.setCost("large", 4*pictureTime)
			}
		}
		turns := lt.watch(t, l, pictureTime, 2*time.Minute, busy)
		if got := names(turns); !slices.Equal(got, []string{Lanczos, "large", "small", "large"}) {
			t.Fatalf("served: %v", turns)
		}
		if d := turns[1].length - 10*time.Second; d < 0 || d > 3*time.Second {
			t.Errorf("it gave way %v after it had become slow", d)
		}
		if d := turns[2].length - 50*time.Second; d > 15*time.Second {
			t.Errorf("it returned %v after it had become fast", d)
		}
	})
}

// A rung that measures well and fails under load rests longer and longer, and nothing pulses.
func TestPaceRestsLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{
			opens:      map[string]time.Duration{},
			costs:      map[string]time.Duration{"large": pictureTime * 3 / 2},
			contention: pictureTime,
		}
		l := lt.ladder(t, "large", Lanczos)
		defer l.close()
		turns := lt.watch(t, l, pictureTime, time.Hour, nil)
		var rests []time.Duration
		for i, turn := range turns[1:] {
			if turn.length < rungHold && i < len(turns)-2 {
				t.Errorf("turn %d of %s took %v", i, turn.by, turn.length)
			}
			if turn.by == Lanczos {
				rests = append(rests, turn.length)
			}
		}
		if len(rests) < 8 || len(rests) > 20 {
			t.Errorf("%d rests in an hour: %v", len(rests), rests)
		}
		if !slices.IsSortedFunc(rests[:5], func(a, b time.Duration) int { return int(a/2 - b) }) || rests[4] < 2*time.Minute {
			t.Errorf("rests: %v", rests)
		}
	})
}

// A camera that becomes slower ends the rest at once.
func TestPaceFollowsTheCamera(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{
			opens:      map[string]time.Duration{},
			costs:      map[string]time.Duration{"large": pictureTime * 3 / 2},
			contention: pictureTime,
		}
		l := lt.ladder(t, "large", Lanczos)
		defer l.close()
		turns := lt.watch(t, l, pictureTime, 4*time.Second, nil)
		if got := turns[len(turns)-1].by; got != Lanczos {
			t.Fatalf("served: %v", turns)
		}
		turns = lt.watch(t, l, 4*pictureTime, time.Minute, nil)
		if got := names(turns); !slices.Equal(got, []string{Lanczos, "large"}) || turns[0].length > 3*time.Second {
			t.Errorf("served: %v", turns)
		}
	})
}

// However the machine behaves, a rung that does not fail serves for its time.
func TestPaceHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{
			opens: map[string]time.Duration{"large": time.Second, "small": 3 * time.Second},
			costs: map[string]time.Duration{},
		}
		l := lt.ladder(t, "large", "small", Lanczos)
		defer l.close()
		random := rand.New(rand.NewPCG(1, 2))
		turns := lt.watch(t, l, pictureTime, 20*time.Minute, func(time.Duration) {
			if random.IntN(50) == 0 { // every two seconds
				load := time.Duration(random.Int64N(int64(4 * pictureTime)))
				lt.setCost("large", load)
				lt.setCost("small", load/3)
				lt.setCost(Lanczos, load/8)
			}
		})
		if len(turns) < 10 {
			t.Errorf("only %d turns: nothing was tested", len(turns))
		}
		for i, turn := range turns[2 : len(turns)-1] { // the first ones wait for better ones to load
			if turn.length < rungHold {
				t.Errorf("turn %d of %s took %v", i+2, turn.by, turn.length)
			}
		}
	})
}

// A stream that has one rung only stays with it.
func TestPaceOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{}, costs: map[string]time.Duration{"large": 4 * pictureTime}}
		l := lt.ladder(t, "large")
		defer l.close()
		time.Sleep(time.Second) // until it is open
		if turns := lt.watch(t, l, pictureTime, time.Minute, nil); !slices.Equal(names(turns), []string{"large"}) {
			t.Errorf("served: %v", turns)
		}
		if lt.tried["large"] > triesToOpen {
			t.Errorf("measured %d times although it serves", lt.tried["large"])
		}
	})
}

// A rung that fails while it is measured is closed and rests like one that fails when it serves.
func TestPaceMeasuringFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{}, costs: map[string]time.Duration{"large": 4 * pictureTime}}
		l := lt.ladder(t, "large", Lanczos)
		lt.watch(t, l, pictureTime, 4*time.Second, nil)
		lt.broken["large"].Store(true)
		lt.watch(t, l, pictureTime, 20*time.Second, nil)
		if lt.closed != 1 || l.strictFailure() == nil {
			t.Errorf("%d closed, failure %v", lt.closed, l.strictFailure())
		}
		l.close()
		if lt.closed != 2 {
			t.Errorf("%d of 2 closed", lt.closed)
		}
	})
}

// A change takes eight mixed pictures; nothing is lost and every frame comes back (made checks that).
func TestFade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": time.Second}}
		l := lt.ladder(t, "model", Lanczos)
		defer l.close()
		lt.watch(t, l, pictureTime, 3*time.Second, nil)
		if len(lt.mixed) != fadePictures {
			t.Fatalf("%d pictures were mixed", len(lt.mixed))
		}
		for i, share := range lt.mixed {
			if want := float64(i+1) / 9; share != want {
				t.Errorf("picture %d of the change has %.3f of the new rung, not %.3f", i, share, want)
			}
		}
	})
}

// At a low frame rate a change is bounded in time.
func TestFadeIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": time.Second}}
		l := lt.ladder(t, "model", Lanczos)
		defer l.close()
		lt.watch(t, l, time.Second, 30*time.Second, nil)
		if n := len(lt.mixed); n != 2 {
			t.Errorf("%d pictures were mixed", n)
		}
	})
}

// The rung before fails during the change: the picture is there all the same, and the change is over.
func TestFadeFromBrokenRung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lt := &ladderTest{opens: map[string]time.Duration{"model": time.Second}}
		l := lt.ladder(t, "model", Lanczos)
		defer l.close()
		lt.watch(t, l, pictureTime, time.Second+3*pictureTime, nil)
		lt.broken[Lanczos].Store(true)
		if by := made(t, l); by != "model" || lt.closed != 1 || len(lt.mixed) == fadePictures {
			t.Errorf("made by %q, %d closed, %d mixed", by, lt.closed, len(lt.mixed))
		}
	})
}

// What is skipped while decoding is behind does not make the camera look slower.
func TestIntervalWithoutSkippedPictures(t *testing.T) {
	var m intervalMeter
	pts := time.Duration(0)
	for range 20 {
		m.observe(pts)
		pts += pictureTime
	}
	for range 20 {
		m.skip()
		pts += 2 * pictureTime
	}
	if d := m.get(); d != pictureTime {
		t.Errorf("while pictures are skipped: %v", d)
	}
	for range 3 {
		m.observe(pts)
		pts += pictureTime
	}
	if d := m.get(); d != pictureTime {
		t.Errorf("after that: %v", d)
	}
}

// A frame that two rungs share goes back when both have released it; a second release by one of them is reported and
// takes nothing from the other.
func TestSharedFrameSurvivesMisuse(t *testing.T) {
	var ledger Ledger
	pool, err := fakePool(1, media.Format{}, &ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	f, err := pool.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	misused := 0
	one, other := share(f, func() { misused++ })
	one.Release()
	one.Release()
	if misused != 1 || ledger.InUse() != 1 {
		t.Errorf("reported %d times, %d in use", misused, ledger.InUse())
	}
	other.Release()
	if misused != 1 || ledger.InUse() != 0 {
		t.Errorf("in the end: reported %d times, %d in use", misused, ledger.InUse())
	}
}
