package main

import (
	"errors"
	"strings"
	"testing"

	"rave/gpu/cuda"
	"rave/gpu/probe"
)

func TestReportGPU(t *testing.T) {
	caps := cuda.DecoderCaps{Supported: true, MinWidth: 48, MinHeight: 16, MaxWidth: 4096, MaxHeight: 2304}
	works := probe.Report{
		GPU: cuda.Device{Name: "NVIDIA L4", Major: 8, Minor: 9, Memory: 23034 << 20}, Free: 22000 << 20, CUDA: 13000, Driver: "580.65.06",
		Inference: "ONNX Runtime 1.31.1, CUDAExecutionProvider", Encoders: []cuda.Codec{cuda.H264, cuda.HEVC},
		Decoders: []probe.Decoder{{Codec: cuda.H264, Bits: 8, DecoderCaps: caps}, {Codec: cuda.HEVC, Bits: 8, DecoderCaps: caps}, {Codec: cuda.HEVC, Bits: 10, DecoderCaps: caps}},
	}
	partly := works
	partly.Encode, partly.NVML = errors.New("the chip has no encoder"), errors.New("NVML is lost")
	for name, tc := range map[string]struct {
		report probe.Report
		want   string
	}{
		"none": {probe.Report{Absent: true}, "– GPU        none of NVIDIA's here; software serves every stage\n"},
		"broken": {probe.Report{Err: errors.New("driver 535 is too old")},
			"– GPU        driver 535 is too old\n             software serves every stage\n"},
		"works": {works, `✓ GPU        NVIDIA L4: compute capability 8.9, 23034 MiB of memory, 22000 free; driver 580.65.06, CUDA 13.0
✓  decode    NVDEC: H.264 8 bits 48x16 to 4096x2304, HEVC 8 and 10 bits 48x16 to 4096x2304
✓  enhance   ONNX Runtime 1.31.1, CUDAExecutionProvider
✓  encode    NVENC: H.264, HEVC
`},
		"works in part": {partly, `✓ GPU        NVIDIA L4: compute capability 8.9, 23034 MiB of memory, 22000 free; driver 580.65.06, CUDA 13.0
✓  decode    NVDEC: H.264 8 bits 48x16 to 4096x2304, HEVC 8 and 10 bits 48x16 to 4096x2304
✓  enhance   ONNX Runtime 1.31.1, CUDAExecutionProvider
–  encode    the chip has no encoder
–  memory    NVML is lost
`},
	} {
		var out strings.Builder
		reportGPU(&out, tc.report)
		if out.String() != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, out.String(), tc.want)
		}
	}
}
