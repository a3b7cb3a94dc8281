// Command bench measures RAVE from outside, beside the FFmpeg pipeline that does the same work:
//
//	bench -rave .build/rave -json bench.json     the rows of docs/performance.md
//	bench clip -codec h265 -o clips …            makes a numbered clip
//	bench camera -clip clip.mp4 …                is a camera that plays it
//	bench read rtsp://…                          prints the numbers it sees
//	bench viewers -rave .build/rave              what viewers of WebRTC cost, beside MediaMTX
//	bench watch -n 25 http://…/whep              is so many viewers
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
	"rave/bench/viewers"
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
	case "viewers":
		status = report(watchers(ctx, args))
	case "watch":
		status = report(viewers.Main(ctx, args, os.Stdout))
	case "":
		status = report(bench(ctx, args))
	default:
		status = report(fmt.Errorf("%q: there is camera, clip, read, viewers and watch", command))
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
