package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/reader"
)

// clips is where clips are kept, from the top of the repository.
const clips = ".build/clips"

func makeClip(ctx context.Context, args []string) error {
	var p clip.Params
	set := flag.NewFlagSet("clip", flag.ContinueOnError)
	set.StringVar(&p.Source, "source", "ingest/testsrc/clips/cockatoo-640x360.mp4", "film to number")
	set.IntVar(&p.Width, "width", 640, "width")
	set.IntVar(&p.Height, "height", 360, "height")
	set.IntVar(&p.FPS, "fps", 25, "pictures per second")
	set.IntVar(&p.Frames, "frames", 1500, "pictures")
	set.StringVar((*string)(&p.Codec), "codec", string(clip.H264), "h264, h265 or mjpeg")
	set.IntVar(&p.BFrames, "bframes", 0, "B-frames between two others")
	set.BoolVar(&p.Interlaced, "interlaced", false, "code fields")
	set.StringVar(&p.Pixel, "pixel", "yuv420p", "pixel format, FFmpeg's name")
	set.BoolVar(&p.FullRange, "full", false, "full range")
	folder := set.String("o", clips, "folder for the clip")
	if err := set.Parse(args); err != nil {
		return err
	}
	ffmpeg, err := peer.Path(peer.FFmpeg)
	if err != nil {
		return err
	}
	path, err := clip.Make(ctx, ffmpeg, *folder, p)
	if err != nil {
		return err
	}
	_, err = fmt.Println(path)
	return err
}

// read prints a line for each picture: the time, and its number or why there is none.
func read(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("read", flag.ContinueOnError)
	cfg := reader.Config{}
	set.StringVar(&cfg.Transport, "transport", "tcp", "tcp or udp")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("read: give one URL")
	}
	cfg.URL = set.Arg(0)
	var err error
	if cfg.FFmpeg, err = peer.Path(peer.FFmpeg); err != nil {
		return err
	}
	r, err := reader.Start(cfg)
	if err != nil {
		return err
	}
	defer r.Stop()
	printed := 0
	return r.Wait(ctx, func(seen []reader.Seen) bool {
		for _, s := range seen[printed:] {
			text := fmt.Sprint(s.N)
			if s.Err != nil {
				text = s.Err.Error()
			}
			_, _ = fmt.Fprintln(os.Stdout, s.At.Format(time.StampMicro), text)
		}
		printed = len(seen)
		return false
	})
}
