package worker_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/engine"
	"rave/engine/worker"
)

// TestSameAsInProcess: a session in a worker gives the packets, tracks and statistics of one in this process.
func TestSameAsInProcess(t *testing.T) {
	track, packets := footage(t, 60, 25, 1)
	here, there := inProcess(t, track), inWorker(t, track, spec{}, nil)
	for i, p := range packets {
		if i == 20 {
			here.session.RequestKeyframe()
			there.session.RequestKeyframe()
		}
		a, b := here.step(p), there.step(p)
		if a.PTS != p.PTS || b.PTS != p.PTS || a.Keyframe != b.Keyframe && i != 20 && i != 21 || a.Enhancer != b.Enhancer || a.Track != b.Track {
			t.Errorf("packet %d: %v %v %q here, %v %v %q there", i, a.PTS, a.Keyframe, a.Enhancer, b.PTS, b.Keyframe, b.Enhancer)
		}
		if i < 20 && !bytes.Equal(a.Data, b.Data) {
			t.Errorf("packet %d has other data", i)
		}
		if age := time.Since(b.Arrival); age < 0 || age > patience {
			t.Errorf("packet %d arrived %v ago", i, age)
		}
	}
	here.stop()
	there.stop()
	tracks, _, drops, made := here.rec.Result()
	tracksThere, _, dropsThere, madeThere := there.rec.Result()
	if !reflect.DeepEqual(tracks, tracksThere) {
		t.Errorf("tracks %+v here, %+v there", tracks, tracksThere)
	}
	if len(drops) != 0 || !reflect.DeepEqual(drops, dropsThere) || !reflect.DeepEqual(made, madeThere) {
		t.Errorf("drops %v, made %v here; %v, %v there", drops, made, dropsThere, madeThere)
	}
	if there.session.Send(t.Context(), packets[0]) {
		t.Error("a packet is taken after the end")
	}
}

// TestDeaths: whatever a worker dies of, in the middle of a long group of pictures, no picture is lost that the camera
// sent: the next worker decodes the group again and goes on with a keyframe where the last one stopped.
func TestDeaths(t *testing.T) {
	track, packets := footage(t, 60, 60, 1)
	for fault, reason := range map[string]string{
		"segfault": "segfault", "abort": "abort", "panic": "panic", "exit": "exit", "nonsense": "protocol", "kill": "killed",
		"stop": "hang",
	} {
		t.Run(fault, func(t *testing.T) {
			const at = 30
			var s spec
			if fault != "kill" && fault != "stop" {
				s = spec{Fault: fault, At: packets[at].PTS, Once: filepath.Join(t.TempDir(), "once")}
			}
			r := inWorker(t, track, s, func(c *worker.Config) {
				if fault == "stop" {
					c.HangAfter = 2 * time.Second
				}
			})
			for i, p := range packets {
				if i == at && fault == "kill" {
					r.signal(syscall.SIGKILL)
				}
				if i == at && fault == "stop" {
					r.signal(syscall.SIGSTOP)
				}
				if made := r.step(p); made.PTS != p.PTS || i == at && !made.Keyframe {
					t.Fatalf("packet %d at %v: %v, keyframe %v", i, p.PTS, made.PTS, made.Keyframe)
				}
			}
			if got := receive(t, r.deaths); got != reason || r.client.Restarts() != 1 {
				t.Errorf("%d restarts, by %s and not %s", r.client.Restarts(), got, reason)
			}
			if !slices.Contains(worker.Reasons(), reason) {
				t.Errorf("%s is no reason", reason)
			}
			r.stop()
			if _, _, drops, _ := r.rec.Result(); len(drops) != 0 || len(r.ascending()) != len(packets) {
				t.Errorf("drops %v", drops)
			}
			r.accounted(len(packets))
		})
	}
}

// TestLongGroup: with 12 s since the last keyframe, the picture is back as soon as they have been decoded again, without
// being enhanced and encoded.
func TestLongGroup(t *testing.T) {
	const n = 300
	track, packets := footage(t, n+1, n+1, 4)
	r := inWorker(t, track, spec{}, nil)
	first := time.Now().Add(-n * frameTime)
	for i, p := range packets[:n] {
		p.Arrival = first.Add(time.Duration(i) * frameTime)
		r.session.Send(t.Context(), p)
		r.next()
	}
	r.signal(syscall.SIGKILL)
	start := time.Now()
	if made := r.step(packets[n]); !made.Keyframe || made.PTS != packets[n].PTS {
		t.Errorf("back at %v, keyframe %v", made.PTS, made.Keyframe)
	}
	t.Logf("the picture is back after %v", time.Since(start))
	r.stop()
	if _, _, drops, made := r.rec.Result(); len(drops) != 0 || made[engine.Lanczos] > n+1 {
		t.Errorf("drops %v, made %v", drops, made)
	}
}

// TestStall: a worker that answers, but whose decoder does not come back, is replaced.
func TestStall(t *testing.T) {
	track, packets := footage(t, 400, 400, 1)
	r := inWorker(t, track, spec{Fault: "hang", At: packets[30].PTS, Once: filepath.Join(t.TempDir(), "once")}, func(c *worker.Config) {
		c.HangAfter, c.StallAfter = 2*time.Second, time.Second
	})
	for _, p := range packets[:30] {
		r.step(p)
	}
	beat := time.NewTicker(frameTime) // a camera goes on
	defer beat.Stop()
	next := 30
	for dead := false; !dead; {
		select {
		case <-beat.C:
			r.send(packets[next])
			next++
		case reason := <-r.deaths:
			dead = true
			if reason != "stall" {
				t.Errorf("died by %s", reason)
			}
		}
	}
	if made := r.next(); made.PTS < packets[30].PTS || !made.Keyframe {
		t.Errorf("back at %v", made.PTS)
	}
	r.step(packets[next])
	r.ascending()
}

// TestKilledAgainAndAgain: a worker that is killed again and again keeps the order, and its neighbour loses nothing.
func TestKilledAgainAndAgain(t *testing.T) {
	track, packets := footage(t, 50, 25, 1)
	victim, neighbour := inWorker(t, track, spec{}, nil), inWorker(t, track, spec{}, nil)
	pid := 0
	for i, p := range packets {
		if i%10 == 5 {
			victim.signal(syscall.SIGKILL)
		}
		victim.send(p)
		if made := neighbour.step(p); made.PTS != p.PTS {
			t.Fatalf("the neighbour's packet %d is at %v", i, made.PTS)
		}
		if i == 0 {
			pid = neighbour.client.PID()
		}
		if i%10 == 5 {
			receive(t, victim.deaths)
		}
		if i%10 == 9 { // the picture is back
			for made := victim.next(); made.PTS < p.PTS; made = victim.next() {
			}
		}
	}
	victim.ascending()
	if n := victim.client.Restarts(); n != 5 {
		t.Errorf("%d restarts", n)
	}
	if neighbour.client.Restarts() != 0 || neighbour.client.PID() != pid {
		t.Error("the neighbour was restarted")
	}
	if _, made, drops, _ := neighbour.rec.Result(); len(drops) != 0 || len(made) != len(packets) {
		t.Errorf("the neighbour dropped %v", drops)
	}
}

// TestPlanFails: a worker that cannot make its plan is tried again, and its reason is told.
func TestPlanFails(t *testing.T) {
	track, packets := footage(t, 25, 25, 1)
	r := inWorker(t, track, spec{Fault: "build", Once: filepath.Join(t.TempDir(), "once")}, nil)
	if reason := receive(t, r.deaths); reason != "start" {
		t.Errorf("died by %s", reason)
	}
	r.step(packets[0])
}

// TestNoProgram: a program that does not exist is tried again with growing pauses, and the end is not delayed by it.
func TestNoProgram(t *testing.T) {
	track, packets := footage(t, 25, 25, 1)
	r := inWorker(t, track, spec{}, func(c *worker.Config) { c.Path = "/does/not/exist" })
	for range 3 {
		if reason := receive(t, r.deaths); reason != "start" {
			t.Errorf("died by %s", reason)
		}
	}
	for range 3 { // nobody takes them: only the newest group is kept
		for _, p := range packets {
			r.send(p)
		}
	}
	r.stop()
	if _, _, drops, _ := r.rec.Result(); drops["decode/worker_down"] != 50 {
		t.Errorf("drops %v", drops)
	}
}

// TestParentDies: a worker does not survive its main process.
func TestParentDies(t *testing.T) {
	_, packets := footage(t, 5, 5, 1)
	file := filepath.Join(t.TempDir(), "pid")
	main := exec.CommandContext(t.Context(), os.Args[0], "parent", file)
	main.Env = append(os.Environ(), "RAVE_WORKER_TEST_STREAM="+savePackets(t, packets))
	main.Stderr = t.Output()
	if err := main.Start(); err != nil {
		t.Fatal(err)
	}
	pid := 0
	eventually(t, "the worker works", func() bool {
		data, err := os.ReadFile(file)
		if err == nil {
			pid, err = strconv.Atoi(string(data))
		}
		return err == nil
	})
	if !alive(pid) {
		t.Fatalf("no worker %d", pid)
	}
	if err := main.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = main.Wait()
	eventually(t, "the worker ends", func() bool { return !alive(pid) })
}

// alive reports whether a process exists and has not ended.
func alive(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// TestEnd: Run returns soon, whatever the worker does, and leaves no descriptor behind.
func TestEnd(t *testing.T) {
	track, packets := footage(t, 5, 5, 1)
	before := 0
	for i, fault := range []string{"", "", "stop", "hang", "starting", ""} {
		s := spec{}
		if fault == "hang" {
			s = spec{Fault: fault, At: packets[2].PTS}
		}
		r := inWorker(t, track, s, nil)
		if fault != "starting" {
			r.step(packets[0])
			r.step(packets[1])
			if fault == "stop" {
				r.signal(syscall.SIGSTOP)
			}
			r.send(packets[2])
		}
		start := time.Now()
		r.stop()
		if d := time.Since(start); d > 1500*time.Millisecond {
			t.Errorf("%q: ended after %v", fault, d)
		}
		if pid := r.client.PID(); pid != 0 {
			t.Errorf("%q: worker %d is left", fault, pid)
		}
		if n := leak.Descriptors(); i == 0 {
			before = n
		} else if n > before {
			t.Errorf("%q: %d descriptors, %d before", fault, n, before)
		}
	}
}

// TestRefuses: what cannot work is refused by New.
func TestRefuses(t *testing.T) {
	for name, cfg := range map[string]worker.Config{
		"replay": {Session: engine.Config{Replay: true}},
		"spec":   {Spec: make([]byte, 2<<20)},
	} {
		if _, err := worker.New(cfg, nil); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := worker.Main(1000, build); err == nil || !strings.Contains(err.Error(), "main process") {
		t.Errorf("descriptor that is no socket: %v", err)
	}
}
