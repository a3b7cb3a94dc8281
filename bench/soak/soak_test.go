package soak

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rave/bench/camera"
	"rave/bench/leak"
	"rave/bench/reader"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestScheduleRepeatsAndHoldsItsTimes(t *testing.T) {
	plan := Schedule(7, time.Hour)
	if !slices.Equal(plan, Schedule(7, time.Hour)) || slices.Equal(plan, Schedule(8, time.Hour)) {
		t.Error("the seed does not decide")
	}
	if len(plan) < 5*len(Kinds()) {
		t.Errorf("%d faults in an hour", len(plan))
	}
	count := map[Kind]int{}
	last := time.Duration(0)
	for _, p := range plan {
		calm := p.Start - last
		if calm < 20*time.Second || calm > 40*time.Second {
			t.Errorf("%+v after %v of calm", p, calm)
		}
		if p.Kind == Workless && p.Length != 0 || p.Kind != Workless && (p.Length < 10*time.Second || p.Length > 40*time.Second) {
			t.Errorf("%+v", p)
		}
		last = p.End()
		count[p.Kind]++
	}
	for _, k := range Kinds() {
		if n := count[k]; n < len(plan)/len(Kinds()) || n > len(plan)/len(Kinds())+1 {
			t.Errorf("%s comes %d times of %d", k, n, len(plan))
		}
	}
	if last+30*time.Second > time.Hour {
		t.Errorf("the last fault ends at %v", last)
	}
	if plan := Schedule(1, 10*time.Second); len(plan) != 0 {
		t.Errorf("no time for %v", plan)
	}
}

func TestTrackerKnowsAgeLossAndOrder(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	track := newTracker(8)
	for n := range 30 {
		track.send(camera.Sent{N: int64(n), Time: at(100 * n)})
	}
	for _, c := range []struct {
		what     string
		seen     reader.Seen
		ok       bool
		n, lost  int64
		age      int // ms
		backward bool
	}{
		{"of the third loop", reader.Seen{N: 1, At: at(1750)}, true, 17, 0, 50, false},
		{"the next", reader.Seen{N: 2, At: at(1850)}, true, 18, 0, 50, false},
		{"over the seam, three lost", reader.Seen{N: 6, At: at(2260)}, true, 22, 3, 60, false},
		{"twice", reader.Seen{N: 6, At: at(2270)}, true, 22, 0, 70, true},
		{"an old one", reader.Seen{N: 5, At: at(2280)}, true, 21, 0, 180, true},
		{"sent later", reader.Seen{N: 0, At: at(100)}, true, 0, 0, 100, true},
		{"never sent", reader.Seen{N: 9, At: at(2300)}, false, 0, 0, 0, false},
		{"unreadable", reader.Seen{Err: errors.New("grey"), At: at(2300)}, false, 0, 0, 0, false},
		{"all in order again", reader.Seen{N: 7, At: at(2390)}, true, 23, 0, 90, false},
	} {
		p, ok := track.see(c.seen)
		if ok != c.ok || ok && (p.n != c.n || p.lost != c.lost || p.backward != c.backward || p.age() != time.Duration(c.age)*time.Millisecond) {
			t.Errorf("%s: %+v, age %v, %v", c.what, p, p.age(), ok)
		}
	}
	track.restart()
	track.send(camera.Sent{N: 0, Time: at(5000)})
	if p, ok := track.see(reader.Seen{N: 0, At: at(5010)}); !ok || p.lost != 0 || p.backward || p.age() != 10*time.Millisecond {
		t.Errorf("after a restart: %+v, %v", p, ok)
	}
}

func TestGrowth(t *testing.T) {
	var at []time.Duration
	var rising, flat []float64
	for i := range 100 {
		at = append(at, time.Duration(i)*time.Minute)
		noise := float64(i%2) - 0.5
		rising, flat = append(rising, 100+0.1*float64(i)+noise), append(flat, 100+noise)
	}
	if over, perHour := growth(at, rising); math.Abs(over-9.9) > 0.1 || math.Abs(perHour-6) > 0.1 {
		t.Errorf("rising by %v, %v per hour", over, perHour)
	}
	if over, _ := growth(at, flat); math.Abs(over) > 0.1 {
		t.Errorf("flat, but rising by %v", over)
	}
	if over, perHour := growth(at[:2], rising[:2]); over != 0 || perHour != 0 {
		t.Error("two points have a slope")
	}
}

// samples are an hour with nothing wrong.
func samples() []Sample {
	var list []Sample
	for at := window; at <= time.Hour; at += window {
		s := Sample{
			At: at, Main: Proc{PID: 1, PSS: 20e6, FDs: 40}, Goroutines: 100, Workers: map[string]Proc{}, Windows: map[string]Window{},
			Drops: map[string]map[string]float64{}, Restarts: map[string]float64{unruly + "/killed": 3}, Idle: 1,
		}
		for _, st := range streams() {
			s.Workers[st.name] = Proc{PSS: 30e6, FDs: 10}
			s.Windows[st.name] = Window{Pictures: 60, Age: reader.Spread{P50: 100 * time.Millisecond}}
			s.Drops[st.name] = map[string]float64{}
		}
		list = append(list, s)
	}
	return list
}

func TestEachBoundCanBreak(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Result)
		want  string // part of the bound that breaks; empty: none
	}{
		{"all well", func(*Result) {}, ""},
		{"thrown out", func(r *Result) { r.Thrown = 1 }, "permanent readers"},
		{"visitor thrown out", func(r *Result) { r.Visits.Thrown = []string{"x"} }, "visiting readers"},
		{"no page", func(r *Result) { r.Visits.Failed = 1 }, "pages"},
		{"publisher", func(r *Result) { r.Publish = 1 }, "publisher"},
		{"no picture after a fault", func(r *Result) { r.Faults = []Fault{{Kind: Killed}} }, "faults after which"},
		{"lost", func(r *Result) { lose(r, 300, 2, 0) }, "gate: pictures lost by RAVE"},
		{"lost and counted on a machine in time", func(r *Result) { lose(r, 300, 2, 2) }, "gate: pictures lost by RAVE"},
		{"lost and counted on a late machine", func(r *Result) { lose(r, 300, 2, 2); r.Samples[299].Stall = time.Second }, ""},
		{"lost and counted with others busy", func(r *Result) { lose(r, 300, 2, 2); r.Samples[300].Idle, r.Samples[300].Others = 0, 1 }, ""},
		{"lost twice on a late machine, counted once", func(r *Result) {
			lose(r, 300, 2, 2)
			lose(r, 301, 2, 0)
			r.Samples[300].Stall = time.Second
		}, "gate: pictures lost by RAVE"},
		{"lost on a late machine, not counted", func(r *Result) { lose(r, 300, 2, 1); r.Samples[300].Stall = time.Second }, "gate: pictures lost by RAVE"},
		{"silent at the end", func(r *Result) { r.Streams[0].Sent += 100 }, "gate: pictures sent that were neither"},
		{"a worker ended", func(r *Result) { r.Samples[len(r.Samples)-1].Restarts["gate/killed"] = 1 }, "worker processes"},
		{"memory", func(r *Result) { each(r, func(i int, s *Sample) { s.Main.PSS += uint64(i) * 20e3 }) }, "main process's memory"},
		{"memory of a worker", func(r *Result) {
			each(r, func(i int, s *Sample) { s.Workers["yard"] = Proc{PSS: 30e6 + uint64(i)*20e3, FDs: 10} })
		}, "memory of yard's worker"},
		{"memory of the unruly one's worker", func(r *Result) {
			each(r, func(i int, s *Sample) { s.Workers[unruly] = Proc{PSS: 30e6 + uint64(i)*20e3, FDs: 10 + i} })
		}, ""},
		{"descriptors", func(r *Result) { each(r, func(i int, s *Sample) { s.Main.FDs += i / 100 }) }, "descriptors"},
		{"descriptors in the end", func(r *Result) { r.Samples[len(r.Samples)-1].Main.FDs += 50 }, "descriptors of the main process at rest"},
		{"goroutines in the end", func(r *Result) { r.Samples[len(r.Samples)-1].Goroutines += 100 }, "goroutines"},
		{"descriptors of a worker", func(r *Result) {
			each(r, func(i int, s *Sample) { s.Workers["gate"] = Proc{PSS: 30e6, FDs: 10 + i/300} })
		}, "descriptors of gate's worker"},
		{"age", func(r *Result) {
			each(r, func(i int, s *Sample) {
				s.Windows["studio"] = Window{Pictures: 60, Age: reader.Spread{P50: time.Duration(i) * time.Millisecond / 20}}
			})
		}, "age of studio's picture"},
		{"age while others are busy", func(r *Result) {
			each(r, func(i int, s *Sample) {
				if i > 400 {
					s.Windows["studio"], s.Idle, s.Others = Window{Pictures: 60, Age: reader.Spread{P50: time.Second}}, 0, 1.5
				}
			})
		}, ""},
		{"memory of a short run", func(r *Result) {
			each(r, func(i int, s *Sample) { s.Main.PSS += uint64(i) * 20e3 })
			r.Length = 5 * time.Minute
		}, ""},
		{"the end", func(r *Result) { r.Bad = "killed" }, "end of RAVE"},
	} {
		r := Result{Length: time.Hour, Phases: phasesOf(time.Hour), Samples: samples()}
		for _, st := range streams()[:3] {
			r.Streams = append(r.Streams, StreamResult{Name: st.name, Sent: 1000, Received: 1000})
		}
		c.spoil(&r)
		broken := Broken(r.Bounds())
		if c.want == "" && len(broken) > 0 {
			t.Errorf("%s: broken %+v", c.name, broken)
		}
		if c.want != "" && !slices.ContainsFunc(broken, func(b Bound) bool { return strings.Contains(b.What, c.want) }) {
			t.Errorf("%s: broken %+v; want %s", c.name, broken, c.want)
		}
	}
}

// lose lets a reader of the gate miss pictures in a window, and RAVE count some of them.
func lose(r *Result, in int, n, counted int64) {
	s := r.Samples[in]
	w := s.Windows["gate"]
	w.Lost = n
	s.Windows["gate"] = w
	for _, later := range r.Samples[in:] {
		later.Drops["gate"]["enhance/overload"] += float64(counted)
	}
	r.Streams[0].Received -= n
}

func each(r *Result, change func(int, *Sample)) {
	for i := range r.Samples {
		change(i, &r.Samples[i])
	}
}

func TestSlowIsJudgedByTheModelsTime(t *testing.T) {
	start := time.Unix(1000, 0)
	run := func(age time.Duration, change func(i int, s *Sample, a *aged)) SlowResult {
		r := SlowResult{Started: start, Length: 10 * time.Minute, FPS: 20, Service: 200 * time.Millisecond}
		for i := range 600 {
			s := Sample{At: time.Duration(i+1) * time.Second, Work: 0.2, Windows: map[string]Window{}}
			a := aged{start.Add(s.At - 500*time.Millisecond), age}
			s.Windows["cam"] = Window{Pictures: 1, Age: reader.Spread{P50: age}}
			change(i, &s, &a)
			r.Samples, r.arrived = append(r.Samples, s), append(r.arrived, a)
		}
		r.Arrived = spread(r.arrived)
		return r
	}
	same := func(int, *Sample, *aged) {}
	for _, c := range []struct {
		name string
		run  SlowResult
		want []string
	}{
		{"well", run(650*time.Millisecond, same), nil},
		{"old", run(651*time.Millisecond, same), []string{"age of the picture on arrival", "pictures older"}},
		{"slowed by others for a while", run(400*time.Millisecond, func(i int, s *Sample, a *aged) {
			if i > 100 && i < 200 {
				s.Work, a.age = 0.5, time.Second
				s.Windows["cam"] = Window{Pictures: 1, Age: reader.Spread{P50: time.Second}}
			}
		}), []string{"age of the picture on arrival"}},
		{"a queue that grows", run(0, func(i int, s *Sample, a *aged) {
			a.age = time.Duration(300+i/4) * time.Millisecond
			s.Windows["cam"] = Window{Pictures: 1, Age: reader.Spread{P50: a.age}}
		}), []string{"rise of the median age"}},
	} {
		broken := Broken(c.run.Bounds())
		got := len(broken) == len(c.want)
		for i := range c.want {
			got = got && strings.Contains(broken[i].What, c.want[i])
		}
		if !got {
			t.Errorf("%s: broken %+v; want %q", c.name, broken, c.want)
		}
	}
}

// FFmpeg shows a picture when the next one comes.
func TestArrivals(t *testing.T) {
	start := time.Unix(1000, 0)
	var list []aged
	for i := range 4 { // sent every 100 ms, there 30 ms later, shown with the next
		sent := start.Add(time.Duration(i) * 100 * time.Millisecond)
		list = append(list, aged{sent.Add(130 * time.Millisecond), 130 * time.Millisecond})
	}
	got := arrivals(list)
	if len(got) != 3 || got[0].age != 30*time.Millisecond || got[2].age != 30*time.Millisecond {
		t.Errorf("%v", got)
	}
	if len(arrivals(nil)) != 0 {
		t.Error("nothing arrived")
	}
}

func TestDataAreFoldedAndReportsAreWhole(t *testing.T) {
	r := Result{Length: time.Hour, Phases: phasesOf(time.Hour), Samples: samples(), Faults: []Fault{
		{Kind: Silent, Start: 5 * time.Minute, End: 6 * time.Minute, Recovery: time.Second, Recovered: true}}}
	r.Streams = []StreamResult{{Name: "gate", What: "w", Sent: 9, Received: 9}}
	r.Samples[3].Stall = 80 * time.Millisecond
	var data, figure, report strings.Builder
	if err := errors.Join(r.Data(&data), r.Figure(&figure), r.Report(&report, About{Figure: "a.svg", Commit: "c0ffee"})); err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(strings.NewReader(data.String())).ReadAll()
	if err != nil || len(table) != rows+1 {
		t.Fatalf("%d lines, %v", len(table), err)
	}
	stall := slices.Index(table[0], "stall_ms")
	if table[2][stall] != "80" || table[rows][0] != "3600" || table[1][slices.Index(table[0], "gate_pictures")] != "180" {
		t.Errorf("%v\n%v", table[2], table[rows])
	}
	if data.Len() > 100_000 || figure.Len() > 200_000 {
		t.Errorf("%d and %d bytes are a lot to keep", data.Len(), figure.Len())
	}
	for _, want := range []string{"all bounds held", "c0ffee", "![Soak](a.svg)", "| silent | 1 | 1 | 1s | 1s |", "worker of unruly, killed | 3"} {
		if !strings.Contains(report.String(), want) {
			t.Errorf("the report has no %q", want)
		}
	}
}

func TestStallClockKeepsTheWorst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		clock := &stallClock{}
		go clock.run(ctx)
		time.Sleep(time.Second)
		if w := clock.latest(); w != 0 {
			t.Errorf("late by %v on a machine that never is", w)
		}
		clock.note(300 * time.Millisecond)
		clock.note(200 * time.Millisecond)
		time.Sleep(time.Second)
		if w := clock.latest(); w != 300*time.Millisecond {
			t.Errorf("late by %v", w)
		}
		if w := clock.latest(); w != 0 {
			t.Errorf("late by %v again", w)
		}
		cancel()
		synctest.Wait()
	})
}
