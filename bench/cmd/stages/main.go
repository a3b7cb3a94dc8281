// Command stages measures what decoding, enhancing and encoding a clip cost by themselves, in CPU time per picture, with
// no network, no queues and nothing else running: what the loop around them adds is the difference to the whole. Pictures
// come at the clip's own rate, as in the loop: between two of them caches cool and cores sleep, which costs as well.
//
//	stages -clips cockatoo25=.build/clips/….mp4 -systems lanczos,live-x2 -o .build/stages.json
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"rave/bench/measure"
	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/engine/software"
	"rave/ingest/testsrc"
)

// readingSpeed is how much faster than life a clip is read into memory.
const readingSpeed = 100

type options struct {
	clips, systems, library, models, preset, out string
	pictures, bitrate, threads                   int
}

func main() {
	var o options
	flag.StringVar(&o.clips, "clips", "", "NAME=FILE.mp4,…")
	flag.StringVar(&o.systems, "systems", "lanczos", "enhancers to measure")
	flag.StringVar(&o.library, "onnxruntime", ".build/lib/libonnxruntime.so", "ONNX Runtime")
	flag.StringVar(&o.models, "models", "copy=engine/model/testdata/luma-copy-x2.onnx", "NAME=FILE.onnx,…")
	flag.StringVar(&o.preset, "preset", "superfast", "of the encoder")
	flag.StringVar(&o.out, "o", "", "JSON file; empty: standard output")
	flag.IntVar(&o.pictures, "pictures", 200, "of each clip")
	flag.IntVar(&o.bitrate, "bitrate", 2_000_000, "of the encoder, bits per second")
	flag.IntVar(&o.threads, "threads", runtime.NumCPU(), "of each stage")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "stages:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	ffmpeg.SetLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
	device := software.New(software.Config{Library: o.library, Models: pairs(o.models)})
	var rows []measure.StagesAlone
	for name, file := range pairs(o.clips) {
		clip, err := testsrc.Open(file, testsrc.Options{Count: int64(o.pictures), Speed: readingSpeed})
		if err != nil {
			return err
		}
		for _, system := range strings.Split(o.systems, ",") {
			b := bench{device: device, o: o, clip: clip, fps: clip.FPS() / readingSpeed, ledger: &engine.Ledger{}}
			cost, err := b.measure(ctx, system)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", name, system, err)
			}
			rows = append(rows, measure.StagesAlone{Clip: name, System: system, PerFrame: cost})
		}
	}
	data, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if o.out == "" {
		_, err = os.Stdout.Write(append(data, '\n'))
		return err
	}
	return os.WriteFile(o.out, append(data, '\n'), 0o644)
}

func pairs(list string) map[string]string {
	m := map[string]string{}
	for _, item := range strings.Split(list, ",") {
		if k, v, ok := strings.Cut(item, "="); ok {
			m[k] = v
		}
	}
	return m
}

// bench runs the stages of one clip one after the other; all pictures of a stage are kept for the next.
type bench struct {
	device *software.Device
	o      options
	clip   *testsrc.Clip
	fps    float64
	ledger *engine.Ledger
}

func (b bench) measure(ctx context.Context, rung string) (map[string]float64, error) {
	var in packets
	if err := b.clip.Run(ctx, &in); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	cost := map[string]float64{}
	decoded, err := b.decode(ctx, in.list, cost)
	if err != nil {
		return nil, err
	}
	enhanced, err := b.enhance(ctx, rung, decoded, cost)
	if err != nil {
		return nil, err
	}
	return cost, b.encode(enhanced, cost)
}

// timed adds the CPU time of f, per picture, to a stage.
func (b bench) timed(cost map[string]float64, stage string, f func() error) error {
	before := cpu()
	err := f()
	cost[stage] = float64(cpu()-before) / float64(time.Millisecond) / float64(b.o.pictures)
	return err
}

// pace returns a function that waits for the time of the next picture.
func (b bench) pace() func() {
	next := time.Now()
	return func() {
		time.Sleep(time.Until(next))
		next = next.Add(time.Duration(float64(time.Second) / b.fps))
	}
}

func (b bench) decode(ctx context.Context, in []media.Packet, cost map[string]float64) ([]*media.Frame, error) {
	dec, err := b.device.NewDecoder(ctx, engine.DecoderParams{
		Track: b.clip.Tracks()[0], Threads: b.o.threads, Frames: len(in) + 1, Ledger: b.ledger,
	})
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	var out []*media.Frame
	keep := func(f *media.Frame) error { out = append(out, f); return nil }
	err = b.timed(cost, engine.StageDecode, func() error {
		pace := b.pace()
		for _, p := range in {
			pace()
			if err := dec.Send(p, keep); err != nil {
				return err
			}
		}
		return dec.Flush(keep)
	})
	return out, err
}

func (b bench) enhance(ctx context.Context, rung string, in []*media.Frame, cost map[string]float64) ([]*media.Frame, error) {
	format := in[0].Format
	e, err := b.device.NewEnhancer(ctx, engine.EnhancerParams{
		Rung: rung, In: format, Out: engine.OutputRule{Scale: 2}.Format(format, 2), Threads: b.o.threads, Frames: len(in) + 1,
		Ledger: b.ledger,
	})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	var out []*media.Frame
	err = b.timed(cost, engine.StageEnhance, func() error {
		pace := b.pace()
		for _, f := range in {
			pace()
			if err := e.Send(f, func(f *media.Frame) error { out = append(out, f); return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (b bench) encode(in []*media.Frame, cost map[string]float64) error {
	enc, err := b.device.NewEncoder(engine.EncoderParams{
		In: in[0].Format, Preset: b.o.preset, Bitrate: b.o.bitrate, FrameRate: b.fps, Threads: b.o.threads,
	})
	if err != nil {
		return err
	}
	defer enc.Close()
	drop := func(media.Packet) error { return nil }
	return b.timed(cost, engine.StageEncode, func() error {
		pace := b.pace()
		for i, f := range in {
			pace()
			if i%int(2*b.fps) == 0 {
				enc.RequestKeyframe()
			}
			f.PTS = time.Duration(float64(i) / b.fps * float64(time.Second))
			if err := enc.Send(f, drop); err != nil {
				return err
			}
		}
		return enc.Flush(drop)
	})
}

// packets collects what a clip sends.
type packets struct{ list []media.Packet }

// Tracks implements media.Output.
func (p *packets) Tracks([]media.Track) error { return nil }

// Packet implements media.Output.
func (p *packets) Packet(pkt media.Packet) error {
	p.list = append(p.list, pkt)
	return nil
}

// cpu returns the CPU time that the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for an unknown argument only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
