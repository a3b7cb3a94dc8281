package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"rave/bench/clip"
	"rave/bench/measure"
	"rave/bench/peer"
	"rave/bench/viewers"
)

// watchers measures viewers of WebRTC.
func watchers(ctx context.Context, args []string) error {
	o := viewers.Options{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	set := flag.NewFlagSet("viewers", flag.ContinueOnError)
	set.StringVar(&o.RAVE, "rave", ".build/rave", "the program to measure")
	set.IntVar(&o.Connects, "connects", 30, "viewers that come one after the other, for the time to the first keyframe")
	set.IntVar(&o.Starts, "starts", 10, "starts of RAVE")
	set.IntVar(&o.Viewers, "viewers", 25, "viewers that are added, for their cost")
	set.IntVar(&o.Crowd, "crowd", 50, "viewers that watch at once")
	set.IntVar(&o.Turns, "turns", 4, "turns of the servers")
	set.DurationVar(&o.Length, "length", 10*time.Second, "time of one turn")
	out := set.String("json", "", "file for all figures")
	if err := set.Parse(args); err != nil {
		return err
	}
	if o.Connects < 1 || o.Starts < 1 || o.Viewers < 1 || o.Crowd < 1 || o.Turns < 1 || o.Length < time.Second {
		return fmt.Errorf("viewers: every number is 1 at least, and -length %v a second", o.Length)
	}
	var err error
	if o.MediaMTX, err = peer.Path(peer.MediaMTX); err != nil {
		return err
	}
	ffmpeg, err := peer.Path(peer.FFmpeg)
	if err != nil {
		return err
	}
	root, err := peer.Root()
	if err != nil {
		return err
	}
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	o.Clip, err = clip.Make(ctx, ffmpeg, filepath.Join(root, clips), clip.Params{
		Source: filepath.Join(root, "ingest", "testsrc", "clips", "cockatoo-640x360.mp4"), Width: 640, Height: 360, FPS: 25, Frames: 1500,
	})
	if err != nil {
		return err
	}
	result, err := viewers.Run(ctx, o)
	if err != nil {
		return err
	}
	result.Machine = measure.Machine()
	if *out != "" {
		text, err := json.MarshalIndent(result, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*out, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return result.Table(os.Stdout)
}
