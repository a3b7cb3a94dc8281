package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"rave/engine/software"
	"rave/gpu/cuda"
	"rave/gpu/ort"
	"rave/gpu/probe"
)

// probeGPU tries the first GPU, with the ONNX Runtime that the software backend has.
func probeGPU(ctx context.Context, d *software.Device) probe.Report {
	lib := cuda.System()
	return probe.Run(ctx, probe.Config{Library: lib, Infer: func(ctx context.Context, c *cuda.Context) (string, error) {
		return ort.Try(ctx, lib, d.LibraryFile(), c)
	}})
}

// reportGPU says what the GPU does in each stage, or why not and the fix. What it does not do, software does, so nothing
// here makes a machine unhealthy.
func reportGPU(w io.Writer, r probe.Report) {
	line := func(what string, err error, good string) {
		if err != nil {
			fmt.Fprintf(w, "– %-10s %v\n", what, err)
			return
		}
		fmt.Fprintf(w, "✓ %-10s %s\n", what, good)
	}
	if r.Absent {
		fmt.Fprintf(w, "– %-10s none of NVIDIA's here; software serves every stage\n", "GPU")
		return
	}
	g := r.GPU
	line("GPU", r.Err, fmt.Sprintf("%s: compute capability %d.%d, %d MiB of memory, %d free; driver %s, CUDA %s",
		g.Name, g.Major, g.Minor, g.Memory>>20, r.Free>>20, r.Driver, cuda.VersionText(r.CUDA)))
	if r.Err != nil {
		fmt.Fprintf(w, "  %-10s software serves every stage\n", "")
		return
	}
	line(" decode", r.Decode, "NVDEC: "+decoders(r.Decoders))
	line(" enhance", r.Enhance, r.Inference)
	line(" encode", r.Encode, "NVENC: "+join(r.Encoders))
	if r.NVML != nil {
		line(" memory", r.NVML, "")
	}
}

// decoders lists what is decoded, as in "H.264 up to 4096x4096, HEVC 8 and 10 bits up to 8192x8192".
func decoders(list []probe.Decoder) string {
	var parts []string
	for i := 0; i < len(list); i++ {
		d := list[i]
		bits := fmt.Sprintf("%d bits", d.Bits)
		if i+1 < len(list) && list[i+1].Codec == d.Codec {
			i++
			bits = fmt.Sprintf("%d and %d bits", d.Bits, list[i].Bits)
		}
		parts = append(parts, fmt.Sprintf("%v %s %dx%d to %dx%d", d.Codec, bits, d.MinWidth, d.MinHeight, d.MaxWidth, d.MaxHeight))
	}
	return strings.Join(parts, ", ")
}

func join(codecs []cuda.Codec) string {
	names := make([]string, len(codecs))
	for i, c := range codecs {
		names[i] = c.String()
	}
	return strings.Join(names, ", ")
}
