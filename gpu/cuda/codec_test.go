package cuda_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"rave/gpu/cuda"
	"rave/gpu/cuda/cudatest"
)

func TestNVML(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, lib cuda.Library) {
		devices, err := openDriver(t, lib).Devices()
		if err != nil {
			t.Fatal(err)
		}
		n, err := cuda.OpenNVML(lib)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, n)
		version, err := n.DriverVersion()
		if err != nil || !strings.HasPrefix(version, "58") {
			t.Errorf("driver %q, %v", version, err)
		}
		m, err := n.Memory(devices[0].UUID)
		if err != nil || m.Total == 0 || m.Used == 0 || m.Free+m.Used > m.Total {
			t.Errorf("got %+v, %v", m, err)
		}
		used, err := n.ProcessMemory(devices[0].UUID, os.Getpid())
		if err != nil || used == 0 || used > m.Used {
			t.Errorf("this process uses %d of %d, %v", used, m.Used, err)
		}
		t.Logf("driver %s, %+v, this process %d MiB", version, m, used>>20)
		if _, err := n.ProcessMemory(devices[0].UUID, 1<<30); !errors.Is(err, cuda.ErrNoProcess) {
			t.Errorf("a process that is not there: %v", err)
		}
		if _, err := n.Memory("GPU-0"); err == nil || !strings.Contains(err.Error(), "find GPU-0") {
			t.Errorf("a GPU that is not there: %v", err)
		}
	})
}

func TestNVMLLost(t *testing.T) {
	fakeOnly(t)
	t.Setenv("FAKE_NVML_FAIL", "999")
	if _, err := cuda.OpenNVML(fakes.Library()); !errors.Is(err, cuda.ErrLostNVML) || !strings.Contains(err.Error(), "initialise: Unknown Error (999)") {
		t.Errorf("got %v", err)
	}
	t.Setenv("FAKE_NVML_FAIL", "3")
	if _, err := cuda.OpenNVML(fakes.Library()); err == nil || errors.Is(err, cuda.ErrLostNVML) {
		t.Errorf("got %v", err)
	}
	if _, err := cuda.OpenNVML(fakes.Library(cudatest.NVML)); !errors.Is(err, cuda.ErrNoLibrary) {
		t.Errorf("got %v", err)
	}
}

func TestDecoderCaps(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, lib cuda.Library) {
		d, err := cuda.OpenDecoders(lib)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, d)
		caps, err := d.Caps(c, cuda.H264, 8)
		if err != nil || !caps.Supported || !caps.NV12 || caps.Engines == 0 || caps.Fits(1920, 1080) != nil {
			t.Errorf("H.264: %+v, %v", caps, err)
		}
		for _, codec := range []cuda.Codec{cuda.H264, cuda.HEVC, cuda.VP9, cuda.AV1, cuda.MJPEG} {
			for _, bits := range []int{8, 10} {
				caps, err := d.Caps(c, codec, bits)
				t.Logf("%v %d bits: %+v %v", codec, bits, caps, err)
			}
		}
		if fakes == nil {
			return
		}
		if caps, err := d.Caps(c, cuda.HEVC, 10); err != nil || !caps.Supported || !caps.P016 {
			t.Errorf("HEVC with 10 bits: %+v, %v", caps, err)
		}
		if caps, err := d.Caps(c, cuda.H264, 10); err != nil || caps.Supported || caps.Fits(1920, 1080) == nil {
			t.Errorf("H.264 with 10 bits: %+v, %v", caps, err)
		}
		t.Setenv("FAKE_CUDA_FAIL", "cuvidGetDecoderCaps=1")
		if _, err := d.Caps(c, cuda.AV1, 10); err == nil || !strings.Contains(err.Error(), "AV1 of 10 bits: CUDA_ERROR_INVALID_VALUE") {
			t.Errorf("got %v", err)
		}
	})
}

func TestFits(t *testing.T) {
	caps := cuda.DecoderCaps{Supported: true, MinWidth: 48, MinHeight: 16, MaxWidth: 4096, MaxHeight: 4096, MaxMacroblocks: 36864}
	for _, tc := range []struct {
		w, h int
		want string
	}{
		{48, 16, ""}, {4096, 2304, ""}, {32, 100, "smaller than the decoder's 48x16"}, {5120, 1440, "larger than the decoder's 4096x4096"},
		{4096, 2305, "more macroblocks than the decoder's 36864"},
	} {
		t.Run(fmt.Sprintf("%dx%d", tc.w, tc.h), func(t *testing.T) {
			if err := caps.Fits(tc.w, tc.h); (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestEncoders(t *testing.T) {
	anywhere(t, func(t *testing.T, c *cuda.Context, lib cuda.Library) {
		e, err := cuda.OpenEncoders(lib)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, e)
		major, minor, err := e.Version()
		if err != nil || major < 12 {
			t.Errorf("version %d.%d, %v", major, minor, err)
		}
		codecs, err := e.Try(c)
		t.Logf("NVENC %d.%d: %v %v", major, minor, codecs, err)
		if fakes == nil {
			if err != nil && !errors.Is(err, cuda.ErrNoEncoder) {
				t.Error(err)
			}
			return
		}
		if err != nil || fmt.Sprint(codecs) != "[H.264 HEVC]" {
			t.Errorf("got %v, %v", codecs, err)
		}
		for status, want := range map[string]error{"1": cuda.ErrNoEncoder, "2": cuda.ErrNoEncoder, "10": cuda.ErrEncoderSessions, "21": cuda.ErrEncoderSessions} {
			t.Setenv("FAKE_NVENC_STATUS", status)
			if _, err := e.Try(c); !errors.Is(err, want) {
				t.Errorf("status %s: %v", status, err)
			}
		}
		t.Setenv("FAKE_NVENC_STATUS", "15")
		if _, err := e.Try(c); err == nil || errors.Is(err, cuda.ErrNoEncoder) || errors.Is(err, cuda.ErrEncoderSessions) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCodecLibraryMissing(t *testing.T) {
	fakeOnly(t)
	_, decoders := cuda.OpenDecoders(fakes.Library(cudatest.Decoder))
	_, encoders := cuda.OpenEncoders(fakes.Library(cudatest.Encoder))
	for name, err := range map[string]error{cudatest.Decoder: decoders, cudatest.Encoder: encoders} {
		if !errors.Is(err, cuda.ErrNoLibrary) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
	}
}
