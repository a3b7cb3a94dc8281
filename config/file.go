package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile bounds a configuration file: one camera takes about 200 bytes.
const maxFile = 1 << 20

// ReadFile reads a regular file of a reasonable size, and waits for nothing else: opening a pipe would wait for its
// writer, and a device may never end.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := readable(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may have been replaced meanwhile
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	if err := readable(path, info); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // it may be growing
	if err == nil && len(data) > maxFile {
		return nil, tooLong(path, int64(len(data)))
	}
	return data, err
}

func readable(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file (%v); save the configuration as one, and name that", path, info.Mode())
	}
	if info.Size() > maxFile {
		return tooLong(path, info.Size())
	}
	return nil
}

func tooLong(path string, size int64) error {
	return fmt.Errorf("%s has %d bytes or more, and at most %d are read; is it a configuration? Name another file, or share settings with "+
		"stream_defaults", path, size, maxFile)
}

// resolvePaths makes relative paths relative to dir. They become absolute: a bare name means a file there, and not one
// where the system keeps libraries.
func (c *Config) resolvePaths(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find the folder of relative paths: %w", err)
	}
	fix := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	}
	for _, path := range []*string{&c.ONNXRuntime.Library, &c.HTTP.TLS.Certificate, &c.HTTP.TLS.Key} {
		*path = fix(*path)
	}
	for name, path := range c.Models {
		c.Models[name] = fix(path)
	}
	return nil
}
