// Command bench measures RAVE from outside, beside the FFmpeg pipeline that does the same work:
//
//	bench -rave .build/rave -json bench.json     the rows of docs/performance.md
//	bench clip -codec h265 -o clips …            makes a numbered clip
//	bench camera -clip clip.mp4 …                is a camera that plays it
//	bench read rtsp://…                          prints the numbers it sees
//
// Each has -help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"rave/bench/camera"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command, args := "", os.Args[1:]
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	status := 0
	switch command {
	case "camera":
		status = camera.Main(args, os.Stdout, os.Stderr)
	case "clip":
		status = report(makeClip(ctx, args))
	case "read":
		status = report(read(ctx, args))
	case "":
		status = report(bench(ctx, args))
	default:
		status = report(fmt.Errorf("%q: there is camera, clip and read", command))
	}
	stop()
	os.Exit(status)
}

// report prints an error and returns the exit status.
func report(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}
