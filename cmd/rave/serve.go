package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rave/config"
	"rave/engine"
	"rave/engine/model"
)

// reserved are variables that begin with RAVE_ and are no configuration: scripts and tests use them.
func reserved() []string {
	return []string{"RAVE_CACHE", "RAVE_PEERS", "RAVE_REQUIRE_PEERS", "RAVE_LIB", "RAVE_BIN"}
}

func serveCommand() *cobra.Command {
	var file string
	var local bool
	cmd := &cobra.Command{
		Use:   "serve [--lan] [-c rave.yaml | rtsp://camera/path]",
		Short: "Serve enhanced streams",
		Long: `Serve connects to the cameras of a configuration file, or to the one whose URL is given, enhances their
pictures and serves each as rtsp://HOST:8554/NAME, and the untouched original as rtsp://HOST:8554/NAME/original.
Every key of the file can be overridden by the environment, as in RAVE_RTSP_LISTEN=127.0.0.1:9554.
SIGHUP, or a change of the file, makes a running serve follow it: streams come, go and change without the others noticing;
a file with a mistake changes nothing, and the log says why. Without a file SIGHUP ends it, as closing the terminal does.
With --lan the page is for the local network: by HTTPS with a certificate of its own, so that phones may send their camera,
and with a password, which is printed with the address. --lan alone serves one stream, which waits for such a phone.
RUN_FOR=30s in the environment ends it by itself.`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel, err := limited(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			load := func() (*config.Config, error) { return loadConfig(file, args) }
			opt := options{}
			if local {
				if load, opt.onReady, err = serveLAN(file, args); err != nil {
					return err
				}
			}
			opt.load = load
			if file != "" {
				hangup := make(chan os.Signal, 1) // from now on it does not end the process
				signal.Notify(hangup, syscall.SIGHUP)
				defer signal.Stop(hangup)
				opt.hangup, opt.watch = hangup, &fileWatch{path: file}
				opt.watch.reading()
			} else {
				ctx, cancel = untilHangup(ctx)
				defer cancel()
			}
			cfg, err := load()
			if err != nil {
				return err
			}
			log, written := newLogger(cfg.Log, os.Stderr)
			defer written.Close()
			opt.written = written
			return serve(ctx, cfg, log, opt)
		},
	}
	cmd.Flags().BoolVar(&local, "lan", false, "open the page to the local network, and print its address and a password")
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration file (see rave.example.yaml)")
	return cmd
}

// serveLAN returns how to load a configuration for the local network, and what to do once it is served.
func serveLAN(file string, args []string) (load func() (*config.Config, error), onReady func(*app), err error) {
	l, err := newLAN()
	if err != nil {
		return nil, nil, err
	}
	if file == "" && len(args) == 0 {
		args = []string{"publish"} // a phone's camera
	}
	load = func() (*config.Config, error) { return l.open(loadConfig(file, args)) }
	onReady = func(a *app) {
		screen := newLogWriter(os.Stdout)
		defer screen.Close()
		l.announce(screen, a, isTerminal(os.Stdout))
	}
	return load, onReady, nil
}

// untilHangup ends ctx when the terminal is closed, unless nohup started the program.
func untilHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	if signal.Ignored(syscall.SIGHUP) {
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

func loadConfig(file string, args []string) (*config.Config, error) {
	var (
		cfg *config.Config
		err error
	)
	switch {
	case file != "" && len(args) > 0:
		return nil, usageError{fmt.Errorf("give either a configuration file or a URL, not both")}
	case len(args) > 0:
		cfg, err = config.ForURL(args[0], os.Environ(), reserved()...)
	case file != "":
		cfg, err = config.Load(file, os.Environ(), reserved()...)
	default:
		return nil, usageError{fmt.Errorf("give a configuration file (-c rave.yaml) or the URL of a camera; " +
			"rave.example.yaml shows every key, and `rave demo` needs neither")}
	}
	if err == nil {
		err = cfg.CheckModels(enhancers())
	}
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// limited ends ctx after RUN_FOR, if that is set.
func limited(ctx context.Context) (context.Context, context.CancelFunc, error) {
	text := os.Getenv("RUN_FOR")
	if text == "" {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return nil, nil, usageError{fmt.Errorf("RUN_FOR=%s is not a duration; write 30s or 5m", text)}
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	return ctx, cancel, nil
}

// newLogger logs to w, for which nobody ever waits. The writer has to be closed.
func newLogger(cfg config.Log, w io.Writer) (*slog.Logger, *logWriter) {
	handler := func(w io.Writer) slog.Handler {
		opts := &slog.HandlerOptions{Level: cfg.Level}
		if cfg.Format == config.LogJSON {
			return slog.NewJSONHandler(w, opts)
		}
		return slog.NewTextHandler(w, opts)
	}
	written := newLogWriter(w)
	written.reportWith(func(lost int64) []byte {
		var line bytes.Buffer
		slog.New(handler(&line)).Error("log lines were lost: the log was full, closed or not read; make room, or log less with log.level",
			"lines", lost)
		return line.Bytes()
	})
	return slog.New(handler(written)), written
}

// enhancers names what quality: may list without a models: entry.
func enhancers() []string { return append(model.Names(), engine.Lanczos) }
