package camera

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"rave/bench/process"
)

// DiedStatus is the exit status of a camera that died as told.
const DiedStatus = 9

// Main is the camera as a program: it reads the flags, serves until SIGINT or SIGTERM and returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, logPath, err := parseFlags(args, stderr)
	if err != nil {
		return 2
	}
	cfg.Say = stdout
	if logPath != "" {
		file, err := os.Create(logPath)
		if err != nil {
			_, _ = fmt.Fprintln(stderr, "camera:", err)
			return 1
		}
		defer file.Close()
		cfg.Log = file
	}
	switch err := Run(ctx, cfg); {
	case errors.Is(err, ErrDied):
		return DiedStatus
	case err != nil && !errors.Is(err, context.Canceled):
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func parseFlags(args []string, stderr io.Writer) (cfg Config, log string, err error) {
	set := flag.NewFlagSet("camera", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&cfg.Clip, "clip", "", "MP4 file to play in a loop")
	set.Float64Var(&cfg.FPS, "fps", 0, "frames per second (default the clip's)")
	set.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "TCP address; port 0 is any that is free")
	set.StringVar(&cfg.User, "user", "", "user that readers must be")
	set.StringVar(&cfg.Password, "password", "", "the user's password")
	set.StringVar((*string)(&cfg.Transport), "transport", string(Any), "transports that readers may use: any, tcp, udp")
	set.StringVar((*string)(&cfg.Sets), "sets", string(SetsBoth), "where parameter sets are: both, inband, sdp")
	set.StringVar((*string)(&cfg.Audio), "audio", "", "audio track: pcma (a tone each second) or opus (silence)")
	set.Var(&cfg.Clock, "clock", "steps of the clock behind the video's timestamps: FRAME:DURATION or FRAME:stop, joined by commas")
	set.Int64Var(&cfg.SilentAfter, "silent-after", 0, "send no video after so many frames")
	set.Int64Var(&cfg.DieAfter, "die-after", 0, "end at once after so many frames")
	set.Int64Var(&cfg.Noise, "noise", 0, "one of so many frames has noise for data")
	set.StringVar(&log, "log", "", "file for lines NUMBER,NANOSECONDS of the frames sent")
	if err := set.Parse(args); err != nil {
		return cfg, "", err
	}
	if cfg.Clip == "" {
		err = errors.New("camera: -clip is needed")
		_, _ = fmt.Fprintln(stderr, err)
	}
	return cfg, log, err
}

// Args returns the flags that make Main this camera.
func (c Config) Args(log string) []string {
	args := []string{"-clip", c.Clip, "-listen", c.Listen}
	for name, value := range map[string]string{
		"-user": c.User, "-password": c.Password, "-transport": string(c.Transport), "-sets": string(c.Sets),
		"-audio": string(c.Audio), "-clock": c.Clock.String(), "-log": log,
	} {
		if value != "" {
			args = append(args, name, value)
		}
	}
	return append(args, "-fps", fmt.Sprint(c.FPS), "-silent-after", fmt.Sprint(c.SilentAfter), "-die-after", fmt.Sprint(c.DieAfter),
		"-noise", fmt.Sprint(c.Noise))
}

// Process is a camera that runs as a program of its own.
type Process struct {
	*process.Process
	URL string // without credentials
	Log string // path
}

// Start runs a camera as a program: the given one with the arguments before the camera's flags. It returns when readers
// can connect.
func Start(ctx context.Context, program string, before []string, cfg Config, log string) (*Process, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	args := append(append([]string(nil), before...), cfg.Args(log)...)
	p, err := process.Start(process.Config{Name: "camera", Path: program, Args: args})
	if err != nil {
		return nil, err
	}
	match, err := p.Line(ctx, `^camera: (rtsp://\S+)$`)
	if err != nil {
		p.Kill()
		return nil, err
	}
	return &Process{Process: p, URL: match[1], Log: log}, nil
}
