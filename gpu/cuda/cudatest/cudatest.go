// Package cudatest builds small fakes of NVIDIA's libraries with gcc, so that everything that uses package cuda can be
// tested without a GPU. A fake libcuda keeps books of contexts, streams, events and memory, copies for real (in the host's
// memory), loads any PTX and records what is launched. It is told by the environment what to be:
//
//	FAKE_CUDA_VERSION=12020        CUDA that the driver serves (13000)
//	FAKE_CUDA_DEVICES=0            number of GPUs (1)
//	FAKE_CUDA_NAME, _MAJOR, _MINOR, _MEMORY (bytes)    of each GPU ("Fake GPU", 9, 0, 1 GiB)
//	FAKE_CUDA_FLAGS=8              the primary context exists already, with these flags
//	FAKE_CUDA_PENDING=2            a recorded event is asked so many times before it is done (0)
//	FAKE_CUDA_FAIL="cuMemAlloc_v2=2 cuLaunchKernel=700"  what calls return; after 700 to 719 so does everything else
//	FAKE_CUDA_LOG=file             gets a line for each call
//	FAKE_NVML_FAIL=999             what nvmlInit returns
//	FAKE_NVML_DRIVER=580.65.06     the driver's version
//	FAKE_NVML_USED=bytes           memory used by this process
//	FAKE_CUVID_CODECS="4:8 8:8 8:10"   codec and bits that are decoded; FAKE_CUVID_MAX=4096 pixels each way
//	FAKE_NVENC_STATUS=2            what opening a session returns (0)
package cudatest

import (
	"context"
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"rave/gpu/cuda"
)

//go:embed testdata
var sources embed.FS

// Fakes are libraries in a folder.
type Fakes struct{ dir string }

// The names under which the fakes are opened.
const (
	Driver  = "libcuda.so.1"
	NVML    = "libnvidia-ml.so.1"
	Decoder = "libnvcuvid.so.1"
	Encoder = "libnvidia-encode.so.1"
)

// Build compiles the fakes into dir.
func Build(dir string) (*Fakes, error) {
	header, err := sources.ReadFile("testdata/fake.h")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "fake.h"), header, 0o644); err != nil {
		return nil, err
	}
	for name, source := range map[string]string{Driver: "fakecuda.c", NVML: "fakenvml.c", Decoder: "fakecuvid.c", Encoder: "fakenvenc.c"} {
		code, err := sources.ReadFile("testdata/" + source)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, source)
		if err := os.WriteFile(file, code, 0o644); err != nil {
			return nil, err
		}
		out, err := exec.CommandContext(context.Background(), "gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", filepath.Join(dir, name), file).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("compile %s: %w: %s", source, err, out)
		}
	}
	return &Fakes{dir}, nil
}

// Library opens the fakes in place of NVIDIA's libraries, except those that are missing. Other files are the system's.
func (f *Fakes) Library(missing ...string) cuda.Library {
	return library{cuda.System(), f.dir, missing}
}

type library struct {
	cuda.Library
	dir     string
	missing []string
}

func (l library) Open(name string) (cuda.Handle, error) {
	if slices.Contains(l.missing, name) {
		return 0, fmt.Errorf("%w: %s: cannot open shared object file: No such file or directory", cuda.ErrNoLibrary, name)
	}
	if slices.Contains([]string{Driver, NVML, Decoder, Encoder}, name) {
		name = filepath.Join(l.dir, name)
	}
	return l.Library.Open(name)
}
