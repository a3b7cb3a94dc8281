package gate

import (
	"testing"
	"testing/synctest"
	"time"
)

// unit is of one byte unless it says otherwise.
type unit struct {
	video, keyframe bool
	pts             int
	bytes           int
}

func (u *unit) Video() bool    { return u.video }
func (u *unit) Keyframe() bool { return u.keyframe }
func (u *unit) Size() int      { return u.bytes }

func TestPush(t *testing.T) {
	video := func(pts int, key bool) *unit {
		return &unit{video: true, keyframe: key, pts: pts, bytes: 1}
	}
	audio := func(pts int) *unit {
		return &unit{keyframe: true, pts: pts, bytes: 1}
	}
	type step struct {
		u       *unit
		dropped int
		waits   bool
	}
	for _, c := range []struct {
		name  string
		steps []step
		queue []int
	}{
		{"waits for a keyframe to start", []step{{video(0, false), 0, false}, {audio(1), 0, false}, {video(2, true), 0, false}, {audio(3), 0, false}}, []int{2, 3}},
		{"full without keyframe: all goes", []step{{video(0, true), 0, false}, {audio(1), 0, false}, {video(2, false), 0, false}, {video(3, false), 3, true}, {video(4, false), 1, false}, {audio(5), 0, false}}, nil},
		{"comes back at a keyframe", []step{{video(0, true), 0, false}, {video(1, false), 0, false}, {video(2, false), 0, false}, {video(3, false), 4, true}, {video(4, true), 0, false}, {audio(5), 0, false}}, []int{4, 5}},
		{"skips to a keyframe that waits", []step{{video(0, true), 0, false}, {video(1, false), 0, false}, {video(2, true), 0, false}, {video(3, false), 2, false}}, []int{2, 3}},
		{"a keyframe replaces all", []step{{video(0, true), 0, false}, {video(1, false), 0, false}, {audio(2), 0, false}, {video(3, true), 2, false}}, []int{3}},
		{"sound when full", []step{{video(0, true), 0, false}, {video(1, false), 0, false}, {video(2, false), 0, false}, {audio(3), 3, true}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := New[*unit](Limits{Units: 3, Bytes: 100}, true, nil)
			for i, s := range c.steps {
				if dropped, waits := r.Push(s.u); dropped != s.dropped || waits != s.waits {
					t.Errorf("step %d: dropped %d, waits %v; want %d, %v", i, dropped, waits, s.dropped, s.waits)
				}
			}
			if len(r.queue) != len(c.queue) || r.bytes != len(c.queue) {
				t.Fatalf("%d units, %d bytes in queue; want %d", len(r.queue), r.bytes, len(c.queue))
			}
			for i, want := range c.queue {
				if got := r.queue[i].unit.pts; got != want {
					t.Errorf("queue[%d] is %d, want %d", i, got, want)
				}
			}
		})
	}
}

func TestBoundsBytes(t *testing.T) {
	r := New[*unit](Limits{Units: 100, Bytes: 1000}, true, nil)
	big := func(key bool) *unit { return &unit{video: true, keyframe: key, bytes: 1500} }
	if d, _ := r.Push(big(true)); d != 0 || r.bytes != 1500 {
		t.Errorf("a unit above the limit must pass an empty queue: dropped %d, %d bytes", d, r.bytes)
	}
	if d, waits := r.Push(big(false)); d != 2 || !waits || r.bytes != 0 {
		t.Errorf("dropped %d, waits %v, %d bytes", d, waits, r.bytes)
	}
}

// What is older than the limit is given up as if the queue were full; a reader that keeps up notices nothing.
func TestBoundsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := New[*unit](Limits{Units: 100, Bytes: 1000, Age: time.Second}, true, nil)
		if g.Push(&unit{video: true}); !g.Waits() {
			t.Error("nothing is to be shown yet, and it does not wait for a keyframe")
		}
		g.Push(&unit{video: true, keyframe: true, bytes: 1})
		time.Sleep(time.Second)
		if d, waits := g.Push(&unit{video: true, bytes: 1}); d != 0 || waits || g.Waits() {
			t.Errorf("at the limit: dropped %d, waits %v", d, waits)
		}
		if u, ok := g.Next(nil); !ok || !u.keyframe {
			t.Errorf("next is %v, %v", u, ok)
		}
		time.Sleep(time.Millisecond)
		if d, waits := g.Push(&unit{video: true, bytes: 1}); d != 0 || waits {
			t.Errorf("the oldest has gone: dropped %d, waits %v", d, waits)
		}
		time.Sleep(time.Second)
		if d, waits := g.Push(&unit{video: true, bytes: 1}); d != 3 || !waits || !g.Waits() || g.bytes != 0 {
			t.Errorf("beyond the limit: dropped %d, waits %v, %d bytes left", d, waits, g.bytes)
		}
		g.Push(&unit{video: true, keyframe: true, bytes: 1})
		if u, ok := g.Next(nil); !ok || !u.keyframe || g.Waits() {
			t.Errorf("next is %v, %v", u, ok)
		}
		stop := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(stop) })
		if u, ok := g.Next(stop); ok {
			t.Errorf("an empty gate gave %v", u)
		}
	})
}

// A reader starts with what it is given, whole, whatever the limits.
func TestStartsWithTheBacklog(t *testing.T) {
	start := []*unit{{video: true, keyframe: true, pts: 1, bytes: 99}, {video: true, pts: 2, bytes: 99}}
	g := New(Limits{Units: 1, Bytes: 1}, true, start)
	g.Push(&unit{video: true, pts: 3, bytes: 1})
	for want := 1; want <= 3; want++ {
		if u, ok := g.Next(nil); !ok || u.pts != want {
			t.Errorf("%v, want %d", u, want)
		}
	}
}

func TestGroupOfPictures(t *testing.T) {
	pic := func(n int, key bool, bytes int) *unit { return &unit{video: true, keyframe: key, pts: n, bytes: bytes} }
	for _, c := range []struct {
		name  string
		units []*unit
		age   time.Duration
		want  int
	}{
		{"from the last keyframe", []*unit{pic(0, true, 1), pic(1, false, 1), pic(2, true, 1), pic(3, false, 1)}, 0, 2},
		{"not before a keyframe", []*unit{pic(0, false, 1), pic(1, false, 1)}, 0, 0},
		{"too many bytes", []*unit{pic(0, true, 1), pic(1, false, maxGOPBytes), pic(2, false, 1)}, 0, 0},
		{"too long", []*unit{pic(0, true, 1), pic(13, false, 1), pic(14, false, 1)}, 0, 0},
		{"a new one after that", []*unit{pic(0, true, maxGOPBytes+1), pic(1, true, 1)}, 0, 1},
		{"the camera is away", []*unit{pic(0, true, 1)}, maxGOPAge + time.Second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g GOP[*unit]
			for _, u := range c.units {
				g.Add(u, time.Duration(u.pts)*time.Second)
			}
			g.last = g.last.Add(-c.age)
			if got := len(g.Snapshot()); got != c.want {
				t.Errorf("%d units, want %d", got, c.want)
			}
		})
	}
}
