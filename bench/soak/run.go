package soak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/process"
	"rave/bench/reader"
)

// Config says what to run.
type Config struct {
	Binary string // RAVE
	Self   string // a program that is a camera when called with "camera"
	FFmpeg string
	Root   string // of the repository
	Length time.Duration
	Seed   uint64
	Log    *slog.Logger
}

// window is the time between two samples.
const window = 5 * time.Second

// phases are how the run's time is spent: until calm all is at rest but for permanent readers; then readers come and go
// and the unruly camera is; from rest on all is calm again. A server misses a reader that was killed over UDP after a
// minute, so the end takes longer than that in runs that are long enough.
type phases struct{ calm, rest time.Duration }

func phasesOf(length time.Duration) phases {
	return phases{calm: min(time.Minute, length/10), rest: length - min(100*time.Second, length/6)}
}

// Result is what a soak found.
type Result struct {
	Started time.Time
	Seed    uint64
	Length  time.Duration // that it took
	Phases  phases
	Samples []Sample
	Faults  []Fault
	Visits  Visits
	Streams []StreamResult // but for the unruly one
	Stayed  int            // permanent readers
	Thrown  int            // how often one was thrown out
	Publish int            // how often the publisher had to be started again
	Bad     string         // what RAVE said at its end, if that was not in order
}

// StreamResult is what came of a well-behaved stream.
type StreamResult struct {
	Name, What     string
	Sent, Received int64
	ages           []aged
}

// soak is a running one.
type soak struct {
	cfg       Config
	folder    string
	streams   []stream
	cameras   map[string]*camera.Process
	victim    *victim
	program   *program
	publisher *process.Process
	watchers  []*watcher // one for each stream
	guests    []*guest
	published int
}

// Run runs the soak until its time is over or ctx is done, which is an orderly end as well. An error is that it could
// not be run; RAVE's own end is in the result.
func Run(ctx context.Context, cfg Config) (Result, error) {
	folder, err := os.MkdirTemp("", "rave-soak-")
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	s := &soak{cfg: cfg, folder: folder, streams: streams(), cameras: map[string]*camera.Process{}}
	defer s.close()
	if err := s.open(ctx); err != nil {
		return Result{}, fmt.Errorf("soak: %w", err)
	}
	result, err := s.run(ctx)
	if err != nil {
		return result, fmt.Errorf("soak: %w", err)
	}
	if err := s.program.Stop(10 * time.Second); err != nil && result.Bad == "" {
		result.Bad = err.Error()
	}
	return result, nil
}

func (s *soak) close() {
	for _, w := range s.watchers {
		w.stop()
	}
	for _, g := range s.guests {
		if g.process != nil {
			g.process.Kill()
		}
	}
	for _, p := range []*process.Process{s.publisher, s.main()} {
		if p != nil {
			p.Kill()
		}
	}
	if s.victim != nil {
		s.victim.close()
	}
	for _, c := range s.cameras {
		c.Kill()
	}
}

func (s *soak) main() *process.Process {
	if s.program == nil {
		return nil
	}
	return s.program.Process
}

// open starts everything and returns when each stream has a picture.
func (s *soak) open(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	urls := map[string]string{}
	for _, st := range s.streams {
		path, err := s.cfg.makeClip(ctx, st.clip)
		if err != nil {
			return err
		}
		w := newWatcher(st.name, reader.Config{FFmpeg: s.cfg.FFmpeg}, int64(st.clip.Frames), s.cfg.Log)
		s.watchers = append(s.watchers, w)
		if st.name == unruly {
			if urls[unruly], err = s.openVictim(ctx, path, st.clip, w); err != nil {
				return err
			}
			continue
		}
		log := filepath.Join(s.folder, st.name+".csv")
		cam, err := s.cfg.startCamera(ctx, camera.Config{Clip: path}, log)
		if err != nil {
			return err
		}
		s.cameras[st.name], urls[st.name] = cam, cam.URL
		if err := w.cameraStarted(log); err != nil {
			return err
		}
	}
	if s.program, err = startProgram(ctx, s.cfg.Binary, s.folder, yaml(s.streams, urls)); err != nil {
		return err
	}
	s.victim.program = s.program
	if err := s.publish(); err != nil {
		return err
	}
	for _, w := range s.watchers {
		w.cfg.URL = s.program.url(w.name)
		if err := w.connect(ctx); err != nil {
			return err
		}
	}
	s.guests = []*guest{
		{path: "gate/original", transport: "udp"}, {path: "yard", transport: "udp"},
		{path: "studio/original", transport: "tcp"}, {path: unruly + "/original", transport: "tcp"},
	}
	return s.look()
}

func (s *soak) openVictim(ctx context.Context, path string, usual clip.Params, w *watcher) (string, error) {
	other := usual
	other.Width, other.Height = 240, 136
	second, err := s.cfg.makeClip(ctx, other)
	if err != nil {
		return "", err
	}
	s.victim = &victim{cfg: s.cfg, folder: s.folder, clips: [2]string{path, second}, watcher: w}
	if err := s.victim.open(ctx, s.cfg.Seed); err != nil {
		return "", err
	}
	return s.victim.url(), nil
}

// publish starts the publisher, and starts it again if it ended.
func (s *soak) publish() (err error) {
	if s.publisher != nil {
		select {
		case <-s.publisher.Done():
			s.published++
			s.cfg.Log.Error("the publisher was thrown out", "said", s.publisher.Output())
		default:
			return nil
		}
	}
	for _, st := range s.streams {
		if st.published {
			s.publisher, err = s.cfg.startPublisher(s.cameras[st.name].URL, s.program.url(st.name))
		}
	}
	return err
}

// look starts again who was thrown out.
func (s *soak) look() error {
	for _, g := range s.guests {
		if err := g.look(s.cfg.FFmpeg, s.program, s.cfg.Log); err != nil {
			return err
		}
	}
	return s.publish()
}

// run is the measured time.
func (s *soak) run(ctx context.Context) (Result, error) {
	start := time.Now()
	ph := phasesOf(s.cfg.Length)
	result := Result{Started: start, Seed: s.cfg.Seed, Phases: ph, Stayed: len(s.watchers) + len(s.guests)}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	visitors := &crowd{ffmpeg: s.cfg.FFmpeg, program: s.program, streams: s.streams, log: s.cfg.Log}
	clock := &stallClock{}
	var wait sync.WaitGroup
	var failed error
	wait.Go(func() { clock.run(ctx) })
	wait.Go(func() {
		if !sleep(ctx, ph.calm) {
			return
		}
		busy, end := context.WithDeadline(ctx, start.Add(ph.rest))
		defer end()
		wait.Go(func() { visitors.run(busy, s.cfg.Seed) })
		result.Faults, failed = s.victim.play(busy, start, Schedule(s.cfg.Seed, ph.rest-ph.calm))
		if failed != nil {
			cancel()
		}
	})
	err := s.measure(ctx, &sampler{start: start, program: s.program, watchers: s.watchers, clock: clock}, &result)
	cancel()
	wait.Wait()
	result.Visits = visitors.visits
	return s.count(result), errors.Join(err, failed)
}

// measure takes samples until the time is over. The end of RAVE ends it as well.
func (s *soak) measure(ctx context.Context, samples *sampler, result *Result) error {
	if _, err := samples.sample(ctx); err != nil { // what came before counts for nothing
		return err
	}
	for time.Since(samples.start) < s.cfg.Length {
		if !sleep(ctx, min(window, s.cfg.Length-time.Since(samples.start))) {
			return nil
		}
		select {
		case <-s.program.Done(): // which is what the run is to find out
			result.Bad = fmt.Sprintf("RAVE ended in the run: %v", s.program.Wait())
			return nil
		default:
		}
		sample, err := samples.sample(ctx)
		if err != nil {
			return stopped(ctx, err)
		}
		result.Samples = append(result.Samples, sample)
		if err := s.look(); err != nil {
			return err
		}
		s.cfg.Log.Info("sample", "at", sample.At.Round(time.Second), "main_mb", sample.Main.PSS>>20, "fds", sample.Main.FDs,
			"readers", sample.Readers, "rave", fmt.Sprintf("%.2f", sample.Rave), "harness", fmt.Sprintf("%.2f", sample.Harness),
			"others", fmt.Sprintf("%.2f", sample.Others), "stall", sample.Stall.Round(time.Millisecond))
	}
	return nil
}

// count sums up.
func (s *soak) count(result Result) Result {
	if n := len(result.Samples); n > 0 {
		result.Length = result.Samples[n-1].At
	}
	end := result.Started.Add(result.Length)
	for _, g := range s.guests {
		result.Thrown += g.thrown
	}
	result.Publish = s.published
	for i, st := range s.streams {
		w := s.watchers[i]
		result.Thrown += w.thrown
		if st.name == unruly {
			continue
		}
		r := StreamResult{Name: st.name, What: st.describe(), ages: w.ages}
		for _, sample := range result.Samples {
			r.Received += sample.Windows[st.name].Pictures - sample.Windows[st.name].Unreadable
		}
		sent, err := camera.ReadLog(s.cameras[st.name].Log)
		if err != nil {
			s.cfg.Log.Error("camera log", "error", err)
		}
		for _, line := range sent {
			if line.Time.After(result.Started) && line.Time.Before(end) {
				r.Sent++
			}
		}
		result.Streams = append(result.Streams, r)
	}
	return result
}

func (st stream) describe() string {
	how := st.transport
	if st.published {
		how = "published over TCP"
	}
	return fmt.Sprintf("%d×%d at %d/s, %s, %s", st.clip.Width, st.clip.Height, st.clip.FPS, how, st.options)
}
