package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/engine/model"
	"rave/engine/software"
)

func doctorCommand() *cobra.Command {
	var library string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine can do per stage, and the fix for what is missing",
		Args:  args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ffmpeg.SetLogger(slog.New(slog.DiscardHandler)) // what the probe encodes is nobody's news
			d := software.New(software.Config{Library: library})
			caps := d.Probe(cmd.Context())
			healthy := report(cmd.Context(), cmd.OutOrStdout(), d, caps)
			if !healthy {
				return fmt.Errorf("something is missing; see the lines marked ✗")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&library, "onnxruntime", os.Getenv("RAVE_ONNXRUNTIME_LIBRARY"), "path of libonnxruntime.so")
	return cmd
}

func report(ctx context.Context, w io.Writer, d *software.Device, caps engine.Caps) bool {
	healthy := true
	line := func(what string, err error, good string) {
		if err != nil {
			healthy = false
			fmt.Fprintf(w, "✗ %-10s %v\n", what, err)
			return
		}
		fmt.Fprintf(w, "✓ %-10s %s\n", what, good)
	}
	fmt.Fprintf(w, "rave %s on %s/%s, %d CPU cores\n\n", version, runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	line("decode", caps.Decode, "software: FFmpeg "+ffmpeg.Version()+", H.264, H.265, MJPEG")
	line("enhance", caps.Enhance, "software: Lanczos")
	runtimeVersion, err := d.OpenRuntime()
	line("", err, "software: ONNX Runtime "+runtimeVersion)
	for _, name := range model.Names() {
		if err != nil {
			break // said already
		}
		speed, err := d.Measure(ctx, name, media.Format{Width: 640, Height: 360, Pixel: media.YUV420P}, runtime.NumCPU())
		line("", err, fmt.Sprintf("software: %s ×2 of 640x360 in %.1f ms on %d threads: up to %.0f frames/s before decode and encode",
			name, float64(speed)/1e6, runtime.NumCPU(), 1/speed.Seconds()))
	}
	line("encode", caps.Encode, "software: libx264")
	memory, source := memoryLimit()
	line("memory", checkMemory(memory, source), fmt.Sprintf("%d MiB of %s", memory>>20, source))
	reportGPU(w, probeGPU(ctx, d))
	return healthy
}
