package software_test

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/engine"
	"rave/engine/media"
	"rave/engine/software"
	"rave/engine/stats"
	"rave/ingest/testsrc"
)

type collector struct {
	mu      sync.Mutex
	tracks  [][]media.Track
	packets []media.Packet
}

func (c *collector) Tracks(t []media.Track) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracks = append(c.tracks, t)
	return nil
}

func (c *collector) Packet(p media.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, p)
	return nil
}

func TestProbe(t *testing.T) {
	d := software.New(software.Config{})
	caps := d.Probe(t.Context())
	if caps != (engine.Caps{}) {
		t.Fatalf("caps %+v", caps)
	}
}

func TestSessionSketch(t *testing.T) {
	clip, err := testsrc.Demo("cockatoo", testsrc.Options{Count: 60, Speed: 1})
	if err != nil {
		t.Fatal(err)
	}
	d := software.New(software.Config{Library: "../../.build/lib/libonnxruntime.so", Models: map[string]string{"copy": "../model/testdata/luma-copy-x2.onnx"}})
	plan, err := engine.ChoosePlan(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	st := stats.New(prometheus.NewRegistry()).Stream("x")
	var out collector
	s := engine.New(engine.Config{
		Stream: "x", Track: clip.Tracks()[0], Plan: plan, Quality: []string{"copy", "lanczos"}, Output: engine.OutputRule{MaxWidth: 3840, MaxHeight: 2160},
		Preset: "superfast", GOP: 2 * time.Second, Threads: 2, Observer: st, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		OnMisuse: func() { panic("released twice") },
	}, &out)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	_ = clip.Run(ctx, sender{s, ctx})
	time.Sleep(300 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packets, %d tracks, in use %d", len(out.packets), len(out.tracks), s.InUse())
	t.Logf("%+v", st.Snapshot())
	for _, p := range out.packets {
		t.Log(p.PTS, len(p.Data), p.Arrival)
	}
}

type sender struct {
	s   *engine.Session
	ctx context.Context
}

func (s sender) Tracks([]media.Track) error { return nil }
func (s sender) Packet(p media.Packet) error {
	s.s.Send(s.ctx, p)
	return nil
}
