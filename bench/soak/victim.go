package soak

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"syscall"
	"time"

	"rave/bench/camera"
	"rave/bench/relay"
)

// Fault is one that was injected.
type Fault struct {
	Kind       Kind
	Start, End time.Duration // since the run's start; at the end camera, way and worker are whole again
	// Recovery is the time from the end to the first picture that the reader saw and that was sent after the end.
	Recovery  time.Duration
	Recovered bool
}

// recoveryLimit is how long a picture is waited for: the longest pause before a camera is connected again is 18 s.
const recoveryLimit = 60 * time.Second

// victim is the camera that misbehaves, behind a relay.
type victim struct {
	cfg     Config
	folder  string
	clips   [2]string // of the usual size and of the other
	program *program
	watcher *watcher

	listen string // host:port of the camera, the same for all its starts
	camera *camera.Process
	relay  *relay.Relay
	starts int
}

// open starts the camera and the relay.
func (v *victim) open(ctx context.Context, seed uint64) error {
	v.listen = "127.0.0.1:0"
	if err := v.startCamera(ctx, camera.Config{}); err != nil {
		return err
	}
	u, err := url.Parse(v.camera.URL)
	if err != nil {
		return err
	}
	v.listen = u.Host
	v.relay, err = relay.Start(relay.Config{Camera: u.Host, Seed: seed})
	return err
}

// url is where RAVE finds the camera.
func (v *victim) url() string { return "rtsp://" + v.relay.Address() + "/stream" }

func (v *victim) close() {
	if v.relay != nil {
		v.relay.Close()
	}
	if v.camera != nil {
		v.camera.Kill()
	}
}

// startCamera starts the camera, ending the one before without a goodbye.
func (v *victim) startCamera(ctx context.Context, cfg camera.Config) error {
	if v.camera != nil {
		v.camera.Kill()
	}
	if cfg.Clip == "" {
		cfg.Clip = v.clips[0]
	}
	cfg.Listen = v.listen
	log := filepath.Join(v.folder, fmt.Sprintf("%s-%d.csv", unruly, v.starts))
	v.starts++
	started, err := v.cfg.startCamera(ctx, cfg, log)
	if err != nil {
		return err
	}
	v.camera = started
	return v.watcher.cameraStarted(log)
}

// play injects the faults of the plan one after another, until ctx is done. It returns those that came to their end.
func (v *victim) play(ctx context.Context, start time.Time, plan []Planned) (done []Fault, err error) {
	from := time.Now()
	for _, p := range plan {
		if !sleep(ctx, time.Until(from.Add(p.Start))) {
			return done, nil
		}
		f := Fault{Kind: p.Kind, Start: time.Since(start)}
		v.cfg.Log.Info("fault", "kind", p.Kind, "at", f.Start.Round(time.Second), "for", p.Length)
		if err := v.begin(ctx, p.Kind); err != nil {
			return done, stopped(ctx, fmt.Errorf("fault %s: %w", p.Kind, err))
		}
		if !sleep(ctx, p.Length) {
			return done, nil
		}
		if err := v.end(ctx, p.Kind); err != nil {
			return done, stopped(ctx, fmt.Errorf("end of fault %s: %w", p.Kind, err))
		}
		ended := time.Now()
		f.End = ended.Sub(start)
		if f.Recovery, f.Recovered, err = v.recovery(ctx, ended); err != nil {
			return done, stopped(ctx, err)
		}
		if ctx.Err() != nil && !f.Recovered {
			return done, nil
		}
		v.cfg.Log.Info("fault over", "kind", p.Kind, "recovered", f.Recovered, "after", f.Recovery.Round(time.Millisecond))
		done = append(done, f)
	}
	return done, nil
}

// stopped is no error if the run was told to end.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// jumps are enough for the longest fault: every 40 frames the clock goes ahead by 20 s, back, stands still, or goes on.
func jumps() (list camera.Steps) {
	for from := int64(40); from < 600; from += 160 {
		list = append(list, camera.Step{Frame: from, By: 20 * time.Second}, camera.Step{Frame: from + 40, By: -20 * time.Second},
			camera.Step{Frame: from + 80, Stop: true}, camera.Step{Frame: from + 120})
	}
	return list
}

func (v *victim) begin(ctx context.Context, kind Kind) error {
	switch kind {
	case Killed:
		v.camera.Kill()
	case Stopped:
		return v.camera.Signal(syscall.SIGSTOP)
	case Lossy:
		v.relay.SetFaults(relay.Faults{Loss: 0.05, Reorder: 0.05, Distance: 4, Duplicate: 0.01})
	case Resized:
		return v.startCamera(ctx, camera.Config{Clip: v.clips[1]})
	case Jumping:
		return v.startCamera(ctx, camera.Config{Clock: jumps()})
	case Garbage:
		return v.startCamera(ctx, camera.Config{Noise: 10})
	case Silent:
		return v.startCamera(ctx, camera.Config{SilentAfter: 6})
	case Workless:
		pids, err := workers(v.program.PID())
		if err != nil {
			return err
		}
		pid, ok := pids[unruly]
		if !ok {
			return errors.New("the stream has no worker process")
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil
}

func (v *victim) end(ctx context.Context, kind Kind) error {
	switch kind {
	case Stopped:
		return v.camera.Signal(syscall.SIGCONT)
	case Lossy:
		v.relay.SetFaults(relay.Faults{})
	case Workless:
	default:
		return v.startCamera(ctx, camera.Config{})
	}
	return nil
}

func (v *victim) recovery(ctx context.Context, ended time.Time) (time.Duration, bool, error) {
	for time.Since(ended) < recoveryLimit {
		at, ok, err := v.watcher.seenSince(ended)
		if err != nil || ok {
			return at.Sub(ended), ok, err
		}
		if !sleep(ctx, 100*time.Millisecond) {
			break
		}
	}
	return time.Since(ended), false, nil
}

// sleep returns false when ctx is done first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
