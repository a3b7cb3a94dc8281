package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"rave/config"
	"rave/egress/rtsp"
	"rave/engine/media"
	"rave/ingest/testsrc"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Enhance two simulated cameras, to see it work",
		Long: `Demo simulates two cameras, real clips in a loop over real RTSP, and enhances them as serve would.
The environment overrides the configuration, as in RAVE_RTSP_LISTEN=127.0.0.1:9554; RUN_FOR=30s ends it by itself.`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel, err := limited(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			ctx, cancel = untilHangup(ctx)
			defer cancel()
			return demo(ctx)
		},
	}
}

func demo(ctx context.Context) error {
	cameras, err := rtsp.New(rtsp.Config{Listen: "127.0.0.1:0", UDPPort: -1})
	if err != nil {
		return fmt.Errorf("simulate cameras: %w", err)
	}
	defer cameras.Close() //nolint:errcheck // closing sockets at the end
	var yaml strings.Builder
	yaml.WriteString("streams:\n")
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range testsrc.DemoNames() {
		clip, err := testsrc.Demo(name, testsrc.Options{})
		if err != nil {
			return err
		}
		camera := cameraOutput{cameras.Path(name, rtsp.PathConfig{KeepGOP: true})}
		g.Go(func() error { return clip.Run(ctx, camera) })
		fmt.Fprintf(&yaml, "  %s: {source: \"rtsp://%s/%s\", transport: tcp}\n", name, cameras.Addr(), name)
	}
	cfg, err := config.Parse([]byte(yaml.String()), "demo", os.Environ(), reserved()...)
	if err == nil {
		err = cfg.CheckModels(enhancers())
	}
	if err != nil {
		return usageError{err}
	}
	log, written := newLogger(cfg.Log, os.Stderr)
	defer written.Close()
	screen := newLogWriter(os.Stdout)
	defer screen.Close()
	g.Go(func() error {
		defer log.Debug("demo ends")
		return serve(ctx, cfg, log, options{written: written, onReady: func(a *app) {
			announce(screen, a)
			go statusLines(ctx, a, log)
		}})
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// cameraOutput serves a clip as a camera would.
type cameraOutput struct{ path *rtsp.Path }

// Tracks implements media.Output.
func (c cameraOutput) Tracks(t []media.Track) error { return c.path.Open(t) }

// Packet implements media.Output.
func (c cameraOutput) Packet(p media.Packet) error { return c.path.Write(p) }

func announce(w io.Writer, a *app) {
	fmt.Fprintf(w, "\nTwo simulated cameras are being enhanced. Watch them with any RTSP player:\n")
	for _, s := range a.streams.streams() {
		fmt.Fprintf(w, "  %-10s enhanced %s\n  %-10s original %s\n", s.name, a.url(s.name), "", a.url(s.name+"/original"))
	}
	fmt.Fprintf(w, "Status page: %[1]s   metrics: %[1]smetrics\nCtrl-C ends it.\n\n", a.pageURL())
}

// statusLines prints one line every few seconds.
func statusLines(ctx context.Context, a *app, log *slog.Logger) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, s := range a.streams.streams() {
				log.Info("status", s.summary()...)
			}
		}
	}
}
