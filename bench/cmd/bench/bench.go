package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/measure"
	"rave/bench/peer"
)

// options are the flags.
type options struct {
	rave, json, alone      string
	systems, scenes        string
	length, warm           time.Duration
	turns                  int
	encode                 measure.Encode
	ffmpeg, mediamtx, root string
	log                    *slog.Logger
}

func parse(args []string) (options, error) {
	var o options
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.StringVar(&o.rave, "rave", ".build/rave", "the program to measure")
	set.StringVar(&o.json, "json", "", "file for all figures")
	set.StringVar(&o.alone, "stages-alone", "", `file with what stages cost alone: [{"clip","system","cpu_ms_per_frame":{stage: ms}}]`)
	set.StringVar(&o.systems, "systems", "direct,lanczos,ffmpeg,copy,live-x2", "systems, which take turns in this order; with "+inProcess+" after it, RAVE without workers")
	set.StringVar(&o.scenes, "clips", "cockatoo25,cockatoo,security", "clips")
	set.DurationVar(&o.length, "length", time.Minute, "time measured for each row")
	set.IntVar(&o.turns, "turns", 4, "slices that each row is cut into")
	set.DurationVar(&o.warm, "warm", 4*time.Second, "time before each slice in which pictures flow already")
	set.StringVar(&o.encode.Preset, "preset", "superfast", "x264's preset, for all systems")
	set.IntVar(&o.encode.Bitrate, "bitrate", 2_000_000, "bits per second, for all systems")
	set.DurationVar(&o.encode.GOP, "gop", 2*time.Second, "time between keyframes, for all systems")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if o.turns < 1 || o.length < time.Duration(o.turns)*time.Second {
		return o, fmt.Errorf("-length %v in -turns %d: a slice needs a second at least", o.length, o.turns)
	}
	var err error
	if o.ffmpeg, err = peer.Path(peer.FFmpeg); err != nil {
		return o, err
	}
	if o.mediamtx, err = peer.Path(peer.MediaMTX); err != nil {
		return o, err
	}
	o.root, err = peer.Root()
	o.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return o, err
}

// scene is a camera.
type scene struct {
	name, source       string
	width, height, fps int
}

// scenes are the two clips at their own rate, and the size and rate that goals are set for.
func scenes() []scene {
	return []scene{
		{"cockatoo25", "cockatoo-640x360.mp4", 640, 360, 25},
		{"cockatoo", "cockatoo-640x360.mp4", 640, 360, 20},
		{"security", "security-384x288.mp4", 384, 288, 10},
	}
}

// inProcess is the end of a system's name: RAVE without worker processes.
const inProcess = ":off"

// system returns a system by its name.
func (o options) system(name string, s scene) (measure.System, error) {
	if base, ok := strings.CutSuffix(name, inProcess); ok {
		system, err := o.system(base, s)
		rave, isRAVE := system.(measure.RAVE)
		if err != nil || !isRAVE {
			return nil, errors.Join(fmt.Errorf("system %s: only RAVE has workers", name), err)
		}
		rave.Label, rave.Extra = name, "workers: off"
		return rave, nil
	}
	copyModel := filepath.Join(o.root, "engine", "model", "testdata", "luma-copy-x2.onnx")
	switch name {
	case "direct":
		return measure.Direct{}, nil
	case "ffmpeg":
		return measure.Pipeline{FFmpeg: o.ffmpeg, MediaMTX: o.mediamtx, FPS: float64(s.fps), Encode: o.encode}, nil
	case "lanczos":
		return measure.RAVE{Label: name, Binary: o.rave, Quality: []string{"lanczos"}, Encode: o.encode}, nil
	case "copy":
		return measure.RAVE{Label: name, Binary: o.rave, Quality: []string{"copy", "lanczos"},
			Models: map[string]string{"copy": copyModel}, Encode: o.encode}, nil
	default: // an embedded model
		return measure.RAVE{Label: name, Binary: o.rave, Quality: []string{name, "lanczos"}, Encode: o.encode}, nil
	}
}

func bench(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	alone, err := o.stagesAlone()
	if err != nil {
		return err
	}
	result := measure.Result{Machine: measure.Machine(), Started: time.Now()}
	for _, name := range strings.Split(o.scenes, ",") {
		at := slices.IndexFunc(scenes(), func(s scene) bool { return s.name == name })
		if at < 0 {
			return fmt.Errorf("clip %q: there is %v", name, scenes())
		}
		rows, err := o.rows(ctx, scenes()[at])
		if err != nil {
			return fmt.Errorf("clip %s: %w", name, err)
		}
		result.Rows = append(result.Rows, rows...)
	}
	measure.Above(result.Rows)
	measure.SetOwnCost(result.Rows, alone)
	result.Ratios = append(measure.Ratios(result.Rows), measure.Against(result.Rows, inProcess)...)
	if o.json != "" {
		var text bytes.Buffer
		if err := result.JSON(&text); err != nil {
			return err
		}
		if err := os.WriteFile(o.json, text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return result.Table(os.Stdout)
}

// rows measures all systems with one clip.
func (o options) rows(ctx context.Context, s scene) ([]measure.Row, error) {
	folder, err := os.MkdirTemp("", "rave-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	const loop = 60 // seconds
	params := clip.Params{Source: filepath.Join(o.root, "ingest", "testsrc", "clips", s.source), Width: s.width, Height: s.height,
		FPS: s.fps, Frames: loop * s.fps}
	path, err := clip.Make(ctx, o.ffmpeg, filepath.Join(o.root, clips), params)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cam, err := camera.Start(ctx, program, []string{"camera"}, camera.Config{Clip: path, Transport: camera.TCP}, filepath.Join(folder, "camera.csv"))
	if err != nil {
		return nil, err
	}
	defer cam.Kill()
	place := measure.Scene{Clip: s.name, Loop: int64(params.Frames), Camera: cam, FFmpeg: o.ffmpeg, Folder: folder}
	names := strings.Split(o.systems, ",")
	parts := make([][]measure.Slice, len(names))
	for turn := range o.turns {
		for i, name := range names {
			system, err := o.system(name, s)
			if err != nil {
				return nil, err
			}
			slice, err := measure.Measure(ctx, place, system, o.warm, o.length/time.Duration(o.turns))
			if err != nil {
				return nil, err
			}
			o.log.Info("slice", "clip", s.name, "system", name, "turn", turn+1, "of", o.turns, "fps", fmt.Sprintf("%.1f", slice.FPS),
				"latency", slice.Latency, "lost", slice.Lost, "cpu", slice.CPU)
			parts[i] = append(parts[i], slice)
		}
	}
	var rows []measure.Row
	for i, name := range names {
		rows = append(rows, measure.NewRow(s.name, name, parts[i]))
	}
	return rows, nil
}

func (o options) stagesAlone() (list []measure.StagesAlone, err error) {
	if o.alone == "" {
		return nil, nil
	}
	text, err := os.ReadFile(o.alone)
	if err != nil {
		return nil, fmt.Errorf("-stages-alone: %w", err)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("-stages-alone %s: %w", o.alone, err)
	}
	return list, nil
}
