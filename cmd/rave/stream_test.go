package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rave/config"
	"rave/engine"
	"rave/engine/media"
	"rave/engine/stats"
	"rave/ingest"
)

// TestStreamsComeAndGo adds, changes and removes streams a thousand times, and every tenth time a published picture goes
// through a session: what they took is given back, their metrics are forgotten, and a file that cannot be followed changes
// nothing.
func TestStreamsComeAndGo(t *testing.T) {
	parse := func(streams string) *config.Config {
		t.Helper()
		cfg, err := config.Parse([]byte("rtsp: {listen: '127.0.0.1:0', udp: false}\nhttp: {listen: '127.0.0.1:0'}\nwebrtc: {max_viewers: 0}\nworkers: off\nstreams: {"+
			streams+"}"), "rave.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	const publish = "cam: {source: publish, quality: [lanczos], output: {scale: 1}, encode: {preset: ultrafast}}"
	tracks, picture := onePicture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := parse("stays: {source: publish}")
	a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
	a.stats, a.reloads = stats.New(a.registry), newReloader(options{}, a.apply, a.log, a.registry)
	var err error
	if a.rtsp, err = a.listenRTSP(); err != nil {
		t.Fatal(err)
	}
	if a.web, err = a.listenHTTP(); err != nil {
		t.Fatal(err)
	}
	a.streams = newSupervisor(ctx, a.newStream)
	defer func() {
		cancel()
		a.streams.wait()
		if err := a.rtsp.Close(); err != nil {
			t.Error(err)
		}
		if err := a.web.Close(); err != nil {
			t.Error(err)
		}
	}()
	a.registry.MustRegister(newCollector(a))
	apply := func(streams, want string) {
		t.Helper()
		c, err := a.apply(parse(streams))
		if got := fmt.Sprint(c); err != nil || got != want {
			t.Fatalf("%s: %s, %v; want %s", streams, got, err, want)
		}
	}
	apply("stays: {source: publish}", "{[stays] [] [] []}")
	stays := a.streams.streams()[0]
	series, err := testutil.GatherAndCount(a.registry)
	if err != nil {
		t.Fatal(err)
	}
	var before, now usage
	var growth []int // of resident memory. The C library's arenas, one for a thread by chance, make it leap; what is kept makes it climb.
	for i := range 1000 {
		apply("stays: {source: publish}, "+publish, "{[cam] [] [] [stays]}")
		if i%10 == 0 {
			passes(t, a, "cam", tracks, picture)
		}
		apply("stays: {source: publish}, cam: {source: 'rtsp://127.0.0.1:9/x', reconnect: {min: 1h, max: 1h}}", "{[] [] [cam] [stays]}")
		apply("stays: {source: publish}, cam: {source: 'rtsp://127.0.0.1:9/x', reconnect: {min: 1h, max: 1h}, quality: [lanczos]}", "{[] [] [cam] [stays]}")
		apply("stays: {source: publish}", "{[] [cam] [] [stays]}")
		if i%100 == 99 {
			u := used(t)
			if i == 99 {
				before = u
			} else {
				growth = append(growth, u.resident-now.resident)
			}
			now = u
		}
	}
	t.Logf("after 100 times %+v, after 1000 %+v; resident memory grew by %v", before, now, growth)
	if now.goroutines > before.goroutines+5 || now.files > before.files+5 || now.heap > before.heap+1<<20 {
		t.Errorf("after 100 times %+v, after 1000 %+v", before, now)
	}
	slices.Sort(growth)
	if median := growth[len(growth)/2]; median > 4<<20 { // one session that is kept takes 1.5 MB
		t.Errorf("resident memory grows by %d bytes with ten sessions", median)
	}
	if n, err := testutil.GatherAndCount(a.registry); err != nil || n != series {
		t.Errorf("%d series at first, %d at the end, %v", series, n, err)
	}
	if paths := a.rtsp.Stats(); len(paths) != 2 {
		t.Errorf("the server has the paths %v", paths)
	}
	cfg = parse("cam: {source: publish}, stays: {source: publish}")
	cfg.Workers = config.WorkersOn
	if _, err := a.apply(cfg); err == nil || !strings.Contains(err.Error(), "workers") {
		t.Errorf("workers cannot change: %v", err)
	}
	if now := a.streams.streams(); len(now) != 1 || now[0] != stays {
		t.Error("a stream that was never touched is another one")
	}
}

// withoutStreams is an app that serves RTSP and nothing else, until the test ends.
func withoutStreams(t *testing.T) *app {
	t.Helper()
	cfg, err := config.Parse([]byte("rtsp: {listen: '127.0.0.1:0', udp: false}"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler), registry: prometheus.NewRegistry()}
	a.stats = stats.New(a.registry)
	a.streams = newSupervisor(t.Context(), a.newStream)
	if a.rtsp, err = a.listenRTSP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.rtsp.Close() })
	return a
}

// TestAnotherSessionTakesOver: once it has, nothing of the one before reaches readers or the page.
func TestAnotherSessionTakesOver(t *testing.T) {
	a := withoutStreams(t)
	p, err := a.prepare(a.cfg, nil, streamConfig{Stream: config.Stream{Name: "cam"}})
	if err == nil {
		t.Fatal("a stream without a source was prepared")
	}
	p.camera = "none"
	s := a.newStream(p)
	before, now := &running{}, &running{}
	s.current = now
	say := func(r *running) {
		t.Helper()
		out := sessionOutput{s, r}
		err := errors.Join(out.Tracks([]media.Track{{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate}}),
			out.Packet(media.Packet{Data: []byte{0, 0, 0, 1, 0x65, 0x88, 0x84}, Keyframe: true}))
		if err != nil {
			t.Fatal(err)
		}
		o := observer{s.stats, s, r}
		o.RungLoaded("live-x2", errors.New("broken"))
		o.RungChanged("live-x2", "lanczos", engine.ChangeSlow)
	}
	say(before)
	if frames, why := s.enhanced.Stats().Frames, s.stats.Snapshot().Enhancers; frames != 0 || len(why) != 0 {
		t.Errorf("the session before has passed %d pictures on, and said %v", frames, why)
	}
	say(now)
	if frames, why := s.enhanced.Stats().Frames, s.stats.Snapshot().Enhancers; frames != 1 || why["live-x2"].Code != stats.TroubleSlow {
		t.Errorf("the session has passed %d pictures on, and said %v", frames, why)
	}
}

// TestReconnectsOnlyGrow: another source, after a reload or after what could not be served, is the same stream's. The page
// and the metric agree.
func TestReconnectsOnlyGrow(t *testing.T) {
	a := withoutStreams(t)
	s := a.newStream(prepared{cfg: streamConfig{Stream: config.Stream{Name: "cam"}}, camera: "none"})
	for source := range int64(3) {
		ctx, cancel := context.WithCancel(t.Context())
		connections := int64(0)
		src := sourceFunc(func(_ context.Context, out media.Output) error {
			if connections == 2 {
				cancel()
				return nil
			}
			if err := out.Tracks(nil); err != nil {
				return err
			}
			connections++
			want := 2*source + connections - 1
			page := s.status().Reconnects
			err := testutil.GatherAndCompare(a.registry, strings.NewReader(fmt.Sprintf("# HELP rave_reconnects_total Connections to the stream's source after the first.\n"+
				"# TYPE rave_reconnects_total counter\nrave_reconnects_total{stream=\"cam\"} %d\n", want)), "rave_reconnects_total")
			if page != want || err != nil {
				t.Errorf("source %d, connection %d: the page says %d, want %d; %v", source, connections, page, want, err)
			}
			return errors.New("gone")
		})
		_ = ingest.Keep(ctx, src, ingest.Policy{Min: time.Millisecond, OnState: s.onState}, noOutput{})
	}
}

type sourceFunc func(context.Context, media.Output) error

func (f sourceFunc) Run(ctx context.Context, out media.Output) error { return f(ctx, out) }

type noOutput struct{}

func (noOutput) Tracks([]media.Track) error { return nil }
func (noOutput) Packet(media.Packet) error  { return nil }
