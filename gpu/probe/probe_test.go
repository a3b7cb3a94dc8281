package probe_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"rave/bench/leak"
	"rave/gpu/cuda"
	"rave/gpu/cuda/cudatest"
	"rave/gpu/probe"
)

// fakes are built once for all tests.
var fakes *cudatest.Fakes

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "probetest")
	if err == nil {
		fakes, err = cudatest.Build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := leak.Main(m)
	os.RemoveAll(dir)
	os.Exit(status)
}

// Files of the system.
func card() fstest.MapFS {
	return fstest.MapFS{
		"sys/bus/pci/devices/0000:00:02.0/vendor": {Data: []byte("0x8086\n")},
		"sys/bus/pci/devices/0000:00:02.0/class":  {Data: []byte("0x030000\n")},
		"sys/bus/pci/devices/0000:01:00.0/vendor": {Data: []byte("0x10de\n")},
		"sys/bus/pci/devices/0000:01:00.0/class":  {Data: []byte("0x030200\n")},
	}
}

func module() fstest.MapFS {
	fs := card()
	fs["proc/driver/nvidia/version"] = &fstest.MapFile{Data: []byte("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version: 12\n")}
	return fs
}

func infer(context.Context, *cuda.Context) (string, error) { return "ran", nil }

func TestAllWorks(t *testing.T) {
	r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(), System: card(), Infer: infer})
	if r.Absent || r.Err != nil || r.Decode != nil || r.Enhance != nil || r.Encode != nil || r.NVML != nil {
		t.Errorf("something is in the way: %+v", r)
	}
	if r.GPU.Name != "Fake GPU" || r.Total != 1<<30 || r.Free == 0 || r.CUDA != 13000 || r.Driver != "580.65.06" || r.Inference != "ran" {
		t.Errorf("got %+v", r)
	}
	var codecs []string
	for _, d := range r.Decoders {
		codecs = append(codecs, fmt.Sprintf("%v-%d", d.Codec, d.Bits))
	}
	if got := strings.Join(codecs, " "); got != "H.264-8 HEVC-8 HEVC-10 AV1-8 VP9-8 MJPEG-8" || fmt.Sprint(r.Encoders) != "[H.264 HEVC]" {
		t.Errorf("decoders %s, encoders %v", got, r.Encoders)
	}
	for _, tc := range []struct {
		codec         cuda.Codec
		bits          int
		width, height int
		want          string
	}{
		{cuda.HEVC, 10, 3840, 2160, ""},
		{cuda.H264, 8, 8192, 4320, "H.264 with 8 bits: 8192x4320 is larger than the decoder's 4096x4096; set a smaller size in the camera"},
		{cuda.H264, 8, 32, 32, "smaller than the decoder's 48x48"},
		{cuda.H264, 10, 1920, 1080, "the decoder of the Fake GPU has no H.264 with 10 bits"},
	} {
		if err := r.Decodes(tc.codec, tc.bits, tc.width, tc.height); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v: got %v", tc, err)
		}
	}
}

func TestAbsent(t *testing.T) {
	fs := card()
	delete(fs, "sys/bus/pci/devices/0000:01:00.0/vendor")
	r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(cudatest.Driver, cudatest.NVML, cudatest.Decoder, cudatest.Encoder), System: fs})
	if !r.Absent || r.Err != nil {
		t.Errorf("got %+v", r)
	}
	// A sound device of NVIDIA's, as many graphics cards have beside, is no GPU.
	fs["sys/bus/pci/devices/0000:01:00.1/vendor"] = &fstest.MapFile{Data: []byte("0x10de\n")}
	fs["sys/bus/pci/devices/0000:01:00.1/class"] = &fstest.MapFile{Data: []byte("0x040300\n")}
	if r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(cudatest.Driver, cudatest.NVML), System: fs}); !r.Absent {
		t.Errorf("got %+v", r)
	}
}

// Each symptom that hinders everything.
func TestNothingWorks(t *testing.T) {
	for name, tc := range map[string]struct {
		env     map[string]string
		missing []string
		system  fstest.MapFS
		is      error
		want    []string
	}{
		"card without driver": {
			missing: []string{cudatest.Driver, cudatest.NVML}, system: card(), is: cuda.ErrNoLibrary,
			want: []string{"there is an NVIDIA GPU, and no driver", "libcuda.so.1", "install NVIDIA's driver 580 or newer"},
		},
		"kernel module without libcuda": {
			missing: []string{cudatest.Driver, cudatest.NVML}, system: module(), is: cuda.ErrNoLibrary,
			want: []string{"driver 535.183.01", "libcuda.so.1", "docker run --gpus all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video", "libcuda1"},
		},
		"old driver": {
			env: map[string]string{"FAKE_CUDA_VERSION": "12020", "FAKE_NVML_DRIVER": "535.183.01"}, system: card(), is: cuda.ErrTooOld,
			want: []string{"driver 535.183.01", "it has CUDA 12.2, and CUDA 13.0 is needed", "install driver 580 or newer"},
		},
		"old driver without NVML": {
			env: map[string]string{"FAKE_CUDA_VERSION": "12020"}, missing: []string{cudatest.NVML}, system: module(), is: cuda.ErrTooOld,
			want: []string{"driver 535.183.01", "580"},
		},
		"container that lost its GPU": {
			env: map[string]string{"FAKE_CUDA_DEVICES": "0", "FAKE_NVML_FAIL": "999"}, system: module(), is: cuda.ErrLostNVML,
			want: []string{"CUDA_ERROR_NO_DEVICE", "Unknown Error", "restart the container"},
		},
		"hidden GPU": {
			env: map[string]string{"FAKE_CUDA_DEVICES": "0"}, system: module(), is: cuda.ErrNoDevice,
			want: []string{"CUDA_VISIBLE_DEVICES", "docker run --gpus all"},
		},
		"library and kernel module differ": {
			env: map[string]string{"FAKE_CUDA_FAIL": "cuInit=803"}, system: module(), want: []string{"initialise the driver: error 803", "restart the machine"},
		},
		"chip before Turing": {
			env: map[string]string{"FAKE_CUDA_NAME": "Tesla V100", "FAKE_CUDA_MAJOR": "7"}, system: card(),
			want: []string{"the Tesla V100 has compute capability 7.0, and CUDA 13 serves 7.5 (generation Turing", "software serves"},
		},
		"no memory left": {
			env: map[string]string{"FAKE_CUDA_MEMORY": "1000"}, system: card(), is: cuda.ErrMemory, want: []string{"allocate 1048576 bytes on GPU 0"},
		},
		"context lost": {
			env: map[string]string{"FAKE_CUDA_FAIL": "cuMemcpyDtoHAsync_v2=700"}, system: card(), is: cuda.ErrLost, want: []string{"download 1048576 bytes"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(tc.missing...), System: tc.system, Infer: infer})
			if r.Absent || r.Err == nil || tc.is != nil && !errors.Is(r.Err, tc.is) {
				t.Fatalf("got %+v, want %v", r, tc.is)
			}
			for _, want := range tc.want {
				if !strings.Contains(r.Err.Error(), want) {
					t.Errorf("got %v, want %q", r.Err, want)
				}
			}
			for _, stage := range []error{r.Decode, r.Enhance, r.Encode, r.Decodes(cuda.H264, 8, 1920, 1080)} {
				if !errors.Is(stage, r.Err) {
					t.Errorf("a stage says %v", stage)
				}
			}
		})
	}
}

// Each symptom that hinders one stage; the others work.
func TestOneStageDoesNotWork(t *testing.T) {
	const capabilities = "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video"
	broken := errors.New("libcudnn.so.9 is missing")
	for name, tc := range map[string]struct {
		env     map[string]string
		missing []string
		infer   error
		stage   string
		is      error
		want    []string
	}{
		"container without video, decoding": {missing: []string{cudatest.Decoder}, stage: "decode", is: cuda.ErrNoLibrary, want: []string{"libnvcuvid.so.1", "the driver itself works", capabilities, "libnvcuvid1"}},
		"container without video, encoding": {missing: []string{cudatest.Encoder}, stage: "encode", is: cuda.ErrNoLibrary, want: []string{"libnvidia-encode.so.1", capabilities, "libnvidia-encode1"}},
		"container without utility":         {missing: []string{cudatest.NVML}, stage: "nvml", is: cuda.ErrNoLibrary, want: []string{"libnvidia-ml.so.1", capabilities}},
		"container that lost NVML":          {env: map[string]string{"FAKE_NVML_FAIL": "999"}, stage: "nvml", is: cuda.ErrLostNVML, want: []string{"Unknown Error", "restart the container"}},
		"chip without decoder":              {env: map[string]string{"FAKE_CUVID_CODECS": "none"}, stage: "decode", want: []string{"the Fake GPU has no video decoder", "software decodes"}},
		"chip without encoder":              {env: map[string]string{"FAKE_NVENC_STATUS": "2"}, stage: "encode", is: cuda.ErrNoEncoder, want: []string{"the Fake GPU has no encoder (NVENC)", "software encodes"}},
		"too many encoder sessions":         {env: map[string]string{"FAKE_NVENC_STATUS": "10"}, stage: "encode", is: cuda.ErrEncoderSessions, want: []string{"end some, or let software encode"}},
		"cuDNN missing":                     {infer: broken, stage: "enhance", is: broken},
		"decoder fails":                     {env: map[string]string{"FAKE_CUDA_FAIL": "cuvidGetDecoderCaps=999"}, stage: "decode", is: cuda.ErrLost, want: []string{"H.264 of 8 bits"}},
	} {
		t.Run(name, func(t *testing.T) {
			for k, v := range tc.env {
				t.Setenv(k, v)
			}
			r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(tc.missing...), System: card(), Infer: func(context.Context, *cuda.Context) (string, error) { return "", tc.infer }})
			for stage, err := range map[string]error{"decode": r.Decode, "enhance": r.Enhance, "encode": r.Encode, "nvml": r.NVML, "all": r.Err} {
				if (err != nil) != (stage == tc.stage) {
					t.Errorf("%s: %v", stage, err)
				}
				if stage != tc.stage || err == nil {
					continue
				}
				if tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("%v is not %v", err, tc.is)
				}
				for _, want := range tc.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got %v, want %q", err, want)
					}
				}
			}
		})
	}
}

func TestAnotherGPU(t *testing.T) {
	if r := probe.Run(t.Context(), probe.Config{Library: fakes.Library(), System: card(), Index: 3}); r.Err == nil || r.Err.Error() != "there is no GPU 3: the driver has 1" {
		t.Errorf("got %v", r.Err)
	}
}
