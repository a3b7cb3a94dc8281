package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/enginetest"
	"rave/engine/media"
	"rave/engine/software"
	"rave/engine/worker"
)

const frameTime = 40 * time.Millisecond

// patience bounds each wait of a test; nothing should come near it.
const patience = 30 * time.Second

// footage returns n pictures with a keyframe every gop of them, made of a test stream at scale times its size.
func footage(t testing.TB, n, gop int, scale float64) (media.Track, []media.Packet) {
	t.Helper()
	track, units := enginetest.Stream(t, enginetest.H264)
	r := enginetest.NewRecorder(nil)
	cfg := enginetest.Config(t, software.New(software.Config{}), track, r)
	cfg.GOP = time.Duration(gop) * frameTime
	cfg.Output.Scale, cfg.Bitrate = scale, 1_500_000
	in := make([]media.Packet, n)
	for i := range in {
		in[i] = units[i%len(units)]
		in[i].PTS, in[i].Discontinuity = time.Duration(i)*frameTime, i == 0
	}
	enginetest.Replay(t, cfg, r, in)
	tracks, packets, _, _ := r.Result()
	if len(packets) != n {
		t.Fatalf("%d packets of %d pictures", len(packets), n)
	}
	for i := range packets {
		if packets[i].Keyframe != (i%gop == 0) {
			t.Fatalf("packet %d: keyframe %v with one in %d", i, packets[i].Keyframe, gop)
		}
		packets[i].Discontinuity, packets[i].Enhancer = i == 0, ""
	}
	return tracks[0], packets
}

// sender is what a stream uses of a session, in this process or another.
type sender interface {
	Run(ctx context.Context) error
	Send(ctx context.Context, p media.Packet) bool
	RequestKeyframe()
	Repeat(pts time.Duration)
}

// rig is a session under test with its camera.
type rig struct {
	t       testing.TB
	session sender
	client  *worker.Client // nil in process
	rec     *enginetest.Recorder
	made    chan media.Packet
	deaths  chan string
	cancel  context.CancelFunc
	done    chan error
}

// tap passes packets on to the recorder and to the test.
type tap struct {
	*enginetest.Recorder
	made chan media.Packet
}

func (o tap) Packet(p media.Packet) error {
	err := o.Recorder.Packet(p)
	o.made <- p
	return err
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, rec: enginetest.NewRecorder(nil), made: make(chan media.Packet, 10_000), deaths: make(chan string, 1000), done: make(chan error, 1)}
	return r
}

func sessionConfig(t testing.TB, track media.Track, r *rig) engine.Config {
	cfg := enginetest.Config(t, software.New(software.Config{}), track, r.rec)
	cfg.Output.Scale, cfg.Threads = 1, 1
	return cfg
}

// inWorker starts a session in a worker process.
func inWorker(t testing.TB, track media.Track, s spec, change func(*worker.Config)) *rig {
	t.Helper()
	r := newRig(t)
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cfg := worker.Config{
		Session: sessionConfig(t, track, r), Spec: data, Args: []string{"test-worker", "worker"},
		Env:       []string{"GORACE=atexit_sleep_ms=0"}, // the race detector's own pause
		HangAfter: 20 * time.Second, OnRestart: func(reason string) { r.deaths <- reason },
	}
	if change != nil {
		change(&cfg)
	}
	c, err := worker.New(cfg, tap{r.rec, r.made})
	if err != nil {
		t.Fatal(err)
	}
	r.client, r.session = c, c
	r.run()
	return r
}

// inProcess starts the same session here.
func inProcess(t testing.TB, track media.Track) *rig {
	t.Helper()
	r := newRig(t)
	r.session = engine.New(sessionConfig(t, track, r), tap{r.rec, r.made})
	r.run()
	return r
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.session.Run(ctx) }()
	r.t.Cleanup(r.stop)
}

// stop ends the session; a second call does nothing.
func (r *rig) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

func (r *rig) send(p media.Packet) {
	p.Arrival = time.Now()
	if !r.session.Send(context.Background(), p) {
		r.t.Error("packet refused")
	}
}

// step sends a packet and returns the one that is made of it.
func (r *rig) step(p media.Packet) media.Packet {
	r.t.Helper()
	r.send(p)
	return r.next()
}

// settle waits until the worker has taken what it was told before: its answer to a question comes after.
func (r *rig) settle() {
	r.t.Helper()
	if _, err := r.client.Snapshot(context.Background(), engine.VariantOriginal, 16); err != nil && !errors.Is(err, engine.ErrNoPicture) {
		r.t.Fatal(err)
	}
}

func (r *rig) next() media.Packet { return receive(r.t, r.made) }

func receive[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		t.Fatal("nothing came")
	}
	panic("unreachable")
}

// signal sends a signal to the worker.
func (r *rig) signal(s syscall.Signal) {
	r.t.Helper()
	pid := 0
	eventually(r.t, "there is a worker", func() bool { pid = r.client.PID(); return pid != 0 })
	if err := syscall.Kill(pid, s); err != nil {
		r.t.Error(err)
	}
	if s == syscall.SIGSTOP { // one thread takes the signal; the others go on until it has run
		eventually(r.t, "all threads have stopped", func() bool { return stopped(pid) })
	}
}

// stopped reports whether every thread of a process is in state T (proc(5)).
func stopped(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if _, state, ok := strings.Cut(string(data), ") "); err != nil || !ok || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(files) > 0
}

// ascending checks the times of everything that came out, and that readers were told of one format only.
func (r *rig) ascending() []media.Packet {
	r.t.Helper()
	tracks, packets, _, _ := r.rec.Result()
	for i := 1; i < len(packets); i++ {
		if packets[i].PTS <= packets[i-1].PTS {
			r.t.Errorf("packet %d at %v after %v", i, packets[i].PTS, packets[i-1].PTS)
		}
	}
	for _, t := range tracks {
		if !t.SameFormat(tracks[0]) || t.Width != tracks[0].Width {
			r.t.Errorf("another format: %+v", t)
		}
	}
	return packets
}

// accounted waits until each of the access units that were sent is a picture or a drop, and checks that none is both.
func (r *rig) accounted(sent int) {
	r.t.Helper()
	eventually(r.t, "every access unit is counted", func() bool {
		sum, _ := r.rec.Counted()
		return sum >= sent
	})
	if sum, by := r.rec.Counted(); sum != sent {
		r.t.Errorf("%d pictures and drops of %d access units: %v", sum, sent, by)
	}
}

// eventually waits for a condition of the outside world.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick, limit := time.NewTicker(10*time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("never: " + what)
		}
	}
}
