package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"rave/gpu/cuda"
)

// readDriver reads the driver's version, by NVML or, without it, as the kernel module tells it.
func (r *Report) readDriver(cfg Config) {
	n, err := cuda.OpenNVML(cfg.Library)
	if err == nil {
		r.Driver, err = n.DriverVersion()
		err = errors.Join(err, n.Close())
	}
	if r.Driver == "" {
		r.Driver = kernelModule(cfg.System)
	}
	switch {
	case errors.Is(err, cuda.ErrLostNVML):
		r.NVML = fmt.Errorf("%w. A container loses its GPU when the host's systemd reloads (systemctl daemon-reload); restart the container, and let it have "+
			"the devices by name (--device /dev/nvidiactl …) or Docker use cgroupfs to keep it from happening again", err)
	case errors.Is(err, cuda.ErrNoLibrary):
		r.NVML = fmt.Errorf("%w; in a container, start that with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video", err)
	default:
		r.NVML = err
	}
}

// explain says why the driver cannot be used, by the symptom, or that there is nothing to use.
func (r *Report) explain(cfg Config, err error) (absent bool, why error) {
	card := hasCard(cfg.System)
	switch {
	case errors.Is(err, cuda.ErrNoLibrary) && r.Driver != "":
		return false, fmt.Errorf("the kernel has NVIDIA's driver %s, and its library is missing: %w; in a container, start that with the NVIDIA container toolkit "+
			"(docker run --gpus all) and NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; else install the rest of the driver (Debian: libcuda1, "+
			"Ubuntu: libnvidia-compute-%d)", r.Driver, err, cuda.MinDriver)
	case errors.Is(err, cuda.ErrNoLibrary) && card:
		return false, fmt.Errorf("there is an NVIDIA GPU, and no driver: %w; install NVIDIA's driver %d or newer", err, cuda.MinDriver)
	case errors.Is(err, cuda.ErrNoLibrary) && strings.Contains(err.Error(), "cannot open shared object file"):
		return true, nil
	case errors.Is(err, cuda.ErrTooOld):
		has := r.Driver
		if has == "" {
			has = "of an unknown version"
		}
		return false, fmt.Errorf("driver %s: %w; install driver %d or newer", has, err, cuda.MinDriver)
	case errors.Is(r.NVML, cuda.ErrLostNVML):
		return false, fmt.Errorf("%w; %w", err, r.NVML)
	case errors.Is(err, cuda.ErrNoDevice):
		return false, fmt.Errorf("%w; look whether CUDA_VISIBLE_DEVICES hides it, in a container whether it was given one (docker run --gpus all), "+
			"and what nvidia-smi says", err)
	}
	return false, fmt.Errorf("%w; see what nvidia-smi and dmesg say. After an update of the driver restart the machine", err)
}

// kernelModule is the version of the driver's part in the kernel, or "".
func kernelModule(system fs.FS) string {
	text, err := fs.ReadFile(system, "proc/driver/nvidia/version")
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return regexp.MustCompile(`\b\d+\.\d+(\.\d+)?\b`).FindString(first)
}

// hasCard reports whether there is a display or compute device of NVIDIA's (PCI vendor 10de, class 03).
func hasCard(system fs.FS) bool {
	vendors, _ := fs.Glob(system, "sys/bus/pci/devices/*/vendor") // the pattern is correct
	for _, file := range vendors {
		vendor, err := fs.ReadFile(system, file)
		if err != nil || strings.TrimSpace(string(vendor)) != "0x10de" {
			continue
		}
		class, err := fs.ReadFile(system, path.Join(path.Dir(file), "class"))
		if err == nil && strings.HasPrefix(string(class), "0x03") {
			return true
		}
	}
	return false
}
