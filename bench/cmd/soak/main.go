// Command soak lets RAVE serve for an hour while things go wrong around it and judges what that leaves behind:
//
//	soak -rave .build/rave -o docs/soak                     four cameras, one of which always misbehaves
//	soak -rave .build/rave -o docs/soak -scenario slow      one camera, a model four times too slow
//	soak camera -clip clip.mp4 …                            is a camera
//
// It writes NAME.md, NAME.svg and NAME.csv, also when it is interrupted. The exit status is 1 if a bound was broken and
// 2 if the run failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"rave/bench/camera"
	"rave/bench/measure"
	"rave/bench/peer"
	"rave/bench/soak"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "camera" {
		os.Exit(camera.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	broken, err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		_, _ = fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(2)
	case len(broken) > 0:
		for _, b := range broken {
			_, _ = fmt.Fprintf(os.Stderr, "soak: broken: %s: %s; the limit is %s\n", b.What, b.Found, b.Limit)
		}
		os.Exit(1)
	}
}

// outcome is what a scenario found.
type outcome interface {
	Report(io.Writer, soak.About) error
	Figure(io.Writer) error
	Data(io.Writer) error
	Bounds() []soak.Bound
}

func run(ctx context.Context, args []string) ([]soak.Bound, error) {
	cfg := soak.Config{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	set := flag.NewFlagSet("soak", flag.ContinueOnError)
	scenario := set.String("scenario", "soak", "soak: four cameras; slow: a model that is too slow")
	commit := set.String("commit", "unknown", "what is measured, for the report")
	folder := set.String("o", "docs/soak", "folder for the report")
	set.StringVar(&cfg.Binary, "rave", ".build/rave", "the program to measure")
	set.DurationVar(&cfg.Length, "length", time.Hour, "how long")
	set.Uint64Var(&cfg.Seed, "seed", 1, "decides which faults and readers come when")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if cfg.Length < time.Minute {
		return nil, fmt.Errorf("-length %v: a minute at least", cfg.Length)
	}
	// Linux gives 20 less the nice value. The time of niced programs counts as idle, since they give way.
	if p, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0); err == nil && p < 20 {
		return nil, fmt.Errorf("this program runs with nice %d, so others would slow what is measured; run it without nice", 20-p)
	}
	var err error
	if cfg.FFmpeg, err = peer.Path(peer.FFmpeg); err != nil {
		return nil, err
	}
	if cfg.Root, err = peer.Root(); err != nil {
		return nil, err
	}
	if cfg.Self, err = os.Executable(); err != nil {
		return nil, err
	}
	var found outcome // stays nil where nothing was measured
	switch *scenario {
	case "soak":
		var r soak.Result
		if r, err = soak.Run(ctx, cfg); len(r.Samples) > 0 {
			found = r
		}
	case "slow":
		var r soak.SlowResult
		if r, err = soak.Slow(ctx, cfg); len(r.Samples) > 0 {
			found = r
		}
	default:
		return nil, fmt.Errorf("-scenario %s: there is soak and slow", *scenario)
	}
	if found == nil {
		return nil, errors.Join(err, ctx.Err())
	}
	about := soak.About{Machine: measure.Machine(), Command: fmt.Sprintf("make soak SOAK='-scenario %s -length %v -seed %d'", *scenario, cfg.Length, cfg.Seed),
		Commit: *commit, Figure: *scenario + ".svg", Data: *scenario + ".csv"}
	return soak.Broken(found.Bounds()), errors.Join(err, write(*folder, *scenario, about, found))
}

func write(folder, name string, about soak.About, found outcome) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for suffix, content := range map[string]func(io.Writer) error{
		".md": func(w io.Writer) error { return found.Report(w, about) }, ".svg": found.Figure, ".csv": found.Data,
	} {
		var text strings.Builder
		if err := content(&text); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+suffix), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
