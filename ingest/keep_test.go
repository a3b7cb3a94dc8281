package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// source is a Source made of one function for each attempt; the last one serves all that follow.
type source struct {
	runs    []func(ctx context.Context, out media.Output) error
	attempt int
}

func (s *source) Run(ctx context.Context, out media.Output) error {
	run := s.runs[min(s.attempt, len(s.runs)-1)]
	s.attempt++
	return run(ctx, out)
}

func failing(err error) func(context.Context, media.Output) error {
	return func(context.Context, media.Output) error { return err }
}

var avTracks = []media.Track{{ID: 0, Kind: media.Video}, {ID: 1, Kind: media.Audio}}

// live sends video and sound every 40 ms for so long, then sound only.
func live(video time.Duration, total time.Duration, end error) func(context.Context, media.Output) error {
	return func(ctx context.Context, out media.Output) error {
		if err := out.Tracks(avTracks); err != nil {
			return err
		}
		start := time.Now()
		for time.Since(start) < total {
			if time.Since(start) < video {
				if err := out.Packet(media.Packet{Track: 0}); err != nil {
					return err
				}
			}
			if err := out.Packet(media.Packet{Track: 1}); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(40 * time.Millisecond):
			}
		}
		return end
	}
}

type sink struct {
	err     error
	packets int
}

func (s *sink) Tracks([]media.Track) error { return nil }
func (s *sink) Packet(media.Packet) error  { s.packets++; return s.err }

// keep runs Keep in a bubble of fake time until the stream has had so many states.
func keep(t *testing.T, src media.Source, p Policy, n int) (states []State, log string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var b bytes.Buffer
		p.Name, p.Log = "cam1", slog.New(slog.NewTextHandler(&b, nil))
		p.OnState = func(s State) {
			states = append(states, s)
			if len(states) == n {
				cancel()
			}
		}
		if err := Keep(ctx, src, p, &sink{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Keep returned %v", err)
		}
		log = b.String()
	})
	return states[:n], log
}

func TestKeepBacksOff(t *testing.T) {
	down := errors.New("connection refused")
	states, _ := keep(t, &source{runs: []func(context.Context, media.Output) error{failing(down)}}, Policy{}, 20)
	want := 500 * time.Millisecond
	for i := 1; i < len(states); i += 2 {
		s := states[i]
		if s.Phase != Waiting || !errors.Is(s.Err, down) || s.Attempt != i/2+1 {
			t.Fatalf("state %d: %+v", i, s)
		}
		if s.Next < want*8/10 || s.Next > min(want*12/10, 15*time.Second) {
			t.Errorf("pause %d: %v, want about %v", i/2+1, s.Next, want)
		}
		if i+1 < len(states) {
			if next := states[i+1]; next.Phase != Connecting || next.Since.Sub(s.Since) != s.Next {
				t.Errorf("state %d: %+v, %v after the last", i+1, next, next.Since.Sub(s.Since))
			}
		}
		want = min(2*want, 15*time.Second)
	}
}

// A camera that hangs is waited for within the attempts; the pauses between them needn't be long as well.
func TestKeepCountsTheWaitingTowardsThePause(t *testing.T) {
	hanging := func(ctx context.Context, _ media.Output) error {
		time.Sleep(10 * time.Second)
		return errors.New("no answer")
	}
	states, _ := keep(t, &source{runs: []func(context.Context, media.Output) error{hanging}}, Policy{}, 20)
	for i := 1; i < len(states); i += 2 {
		most := 600 * time.Millisecond // 0.5 s and the jitter,
		if i > 9 {
			most = 6 * time.Second // and in the end what is left of 15 s
		}
		if s := states[i]; s.Phase != Waiting || s.Next < 400*time.Millisecond || s.Next > most {
			t.Errorf("pause %d: %+v, want at most %v", i/2+1, s, most)
		}
	}
}

func TestKeepStartsAfreshAfterAStableConnection(t *testing.T) {
	gone := errors.New("connection reset")
	for _, c := range []struct {
		name   string
		online time.Duration
		most   time.Duration // pause after it
	}{
		{"stable", 11 * time.Second, 600 * time.Millisecond},
		{"flapping", time.Second, 15 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			runs := []func(context.Context, media.Output) error{failing(gone), failing(gone), failing(gone), live(c.online, c.online, gone)}
			states, log := keep(t, &source{runs: runs}, Policy{}, 9)
			if s := states[7]; s.Phase != Online || s.Err != nil || s.Attempt != 4 {
				t.Errorf("online: %+v", s)
			}
			s := states[8]
			if s.Phase != Waiting || s.Attempt != 0 || s.Next > c.most || c.online < 10*time.Second && s.Next < 3*time.Second {
				t.Errorf("afterwards: %+v", s)
			}
			if !strings.Contains(log, "stream is back") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestKeepWatchesVideo(t *testing.T) {
	states, log := keep(t, &source{runs: []func(context.Context, media.Output) error{live(3*time.Second, time.Hour, nil)}}, Policy{VideoTimeout: 2 * time.Second}, 6)
	s := states[2]
	if s.Phase != Waiting || !strings.Contains(s.Err.Error(), "no video for 2s") || !strings.Contains(s.Err.Error(), "cam1") {
		t.Fatalf("%+v", s)
	}
	if online := s.Since.Sub(states[1].Since); online < 4900*time.Millisecond || online > 5*time.Second {
		t.Errorf("given up after %v, want 3 s of video and 2 s of silence", online)
	}
	if s := states[4]; s.Phase != Online {
		t.Errorf("reconnected: %+v", s)
	}
	if strings.Count(log, "no video") != 1 {
		t.Errorf("log: %s", log)
	}
}

func TestKeepWithoutWatchdog(t *testing.T) {
	end := errors.New("end")
	for name, src := range map[string]*source{
		"switched off": {runs: []func(context.Context, media.Output) error{live(0, time.Minute, end)}},
		"no video": {runs: []func(context.Context, media.Output) error{func(ctx context.Context, out media.Output) error {
			if err := out.Tracks(avTracks[1:]); err != nil {
				return err
			}
			time.Sleep(time.Minute)
			return end
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := Policy{}
			if name == "switched off" {
				p.VideoTimeout = -1
			}
			states, _ := keep(t, src, p, 3)
			if !errors.Is(states[2].Err, end) || states[2].Since.Sub(states[1].Since) < time.Minute {
				t.Errorf("%+v", states[2])
			}
		})
	}
}

func TestKeepRetriesPermanentErrorsSlowlyAndSaysThemOnce(t *testing.T) {
	bad := fmt.Errorf("video is offered as VP9 only: %w", ErrPermanent)
	other := fmt.Errorf("401: %w", ErrPermanent)
	runs := []func(context.Context, media.Output) error{failing(bad)}
	for range 20 {
		runs = append(runs, failing(bad))
	}
	states, log := keep(t, &source{runs: append(runs, failing(other))}, Policy{}, 60)
	for i := 1; i < len(states); i += 2 {
		if n := states[i].Next; n < 12*time.Second || n > 15*time.Second {
			t.Errorf("pause %v", n)
		}
	}
	if strings.Count(log, "VP9") != 1 || strings.Count(log, "401") != 1 {
		t.Errorf("log: %s", log)
	}
}

func TestKeepRepeatsAtMostOnceAMinute(t *testing.T) {
	n := 0
	run := func(context.Context, media.Output) error {
		n++
		return fmt.Errorf("read tcp 10.0.0.1:%d: reset", 40000+n) // another port each time
	}
	states, log := keep(t, &source{runs: []func(context.Context, media.Output) error{run}}, Policy{}, 80)
	took := states[len(states)-1].Since.Sub(states[0].Since)
	lines := strings.Count(log, "no stream")
	if most := int(took/time.Minute) + 1; lines > most || lines < most/2 {
		t.Errorf("%d lines in %v", lines, took)
	}
	if !strings.Contains(log, "failures=") || !strings.Contains(log, "stream=cam1") {
		t.Errorf("log: %s", log)
	}
}

func TestKeepGoesOnAtOnceWhenThePublisherLeft(t *testing.T) {
	left := fmt.Errorf("publisher left (%w)", ErrEnded)
	states, _ := keep(t, &source{runs: []func(context.Context, media.Output) error{live(time.Second, time.Second, left)}}, Policy{}, 4)
	if s := states[2]; s.Phase != Connecting || !errors.Is(s.Err, left) || s.Since.Sub(states[1].Since) > 1100*time.Millisecond {
		t.Errorf("%+v", s)
	}
}

// waiter is a source that waits for its peer.
type waiter struct{ source }

func (*waiter) WaitsForPeer() {}

// The watchdog, an error, even a permanent one: nothing keeps a source that waits from being ready for its next peer.
func TestKeepNeverPausesASourceThatWaits(t *testing.T) {
	bad := fmt.Errorf("video is offered as VP9 only: %w", ErrPermanent)
	src := &waiter{source{runs: []func(context.Context, media.Output) error{
		live(0, time.Hour, nil), live(time.Second, time.Second, bad), live(time.Second, time.Second, bad), live(time.Hour, time.Hour, nil),
	}}}
	states, log := keep(t, src, Policy{VideoTimeout: 2 * time.Second}, 8)
	for i, s := range states {
		want := Connecting
		if i%2 == 1 {
			want = Online
		}
		if s.Phase != want {
			t.Fatalf("state %d: %+v, want %v", i, s, want)
		}
	}
	if s := states[2]; !strings.Contains(s.Err.Error(), "no video for 2s") || s.Since.Sub(states[1].Since) > 2100*time.Millisecond {
		t.Errorf("after the watchdog: %+v", s)
	}
	if !strings.Contains(log, "no video for 2s") || strings.Contains(log, "retry_in") {
		t.Errorf("log: %s", log)
	}
}

func TestKeepReturnsTheOutputsError(t *testing.T) {
	broken := errors.New("engine is gone")
	src := &source{runs: []func(context.Context, media.Output) error{live(time.Hour, time.Hour, nil)}}
	if err := Keep(t.Context(), src, Policy{}, &sink{err: broken}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}
