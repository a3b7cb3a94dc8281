package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Load reads a file and the environment (os.Environ). Without a path only the environment counts. Relative paths of
// models and of the ONNX Runtime library are taken from the file's folder, or without a file from the working folder.
// Variables in reserved are not ours, though they begin with RAVE_.
func Load(path string, environ []string, reserved ...string) (*Config, error) {
	var data []byte
	if path != "" {
		var err error
		if data, err = ReadFile(path); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	c, err := Parse(data, path, environ, reserved...)
	if err != nil {
		return nil, err
	}
	return c, c.resolvePaths(filepath.Dir(path))
}

// Parse reads the contents of a file, which errors call name, and the environment.
func Parse(data []byte, name string, environ []string, reserved ...string) (*Config, error) {
	d := newDecoder(name)
	root := d.parse(data)
	if root == nil {
		return nil, join(d.problems)
	}
	return d.config(root, environ, reserved)
}

// ForURL returns the configuration for one camera, without a file: a stream named "camera". The environment counts.
func ForURL(url string, environ []string, reserved ...string) (*Config, error) {
	d := newDecoder("")
	source := textNode(url)
	d.origins[source] = "command line"
	root := &yaml.Node{Kind: yaml.MappingNode}
	d.put(root, []string{"streams", "camera", "source"}, source)
	c, err := d.config(root, environ, reserved)
	if err != nil {
		return nil, err
	}
	return c, c.resolvePaths("")
}

// config turns the tree of a file into a Config.
func (d *decoder) config(root *yaml.Node, environ, reserved []string) (*Config, error) {
	d.overlay(root, Default().schema(), environ, reserved)
	c := Default()
	c.schema().read(d, "", root)
	c.places = d.places
	if c.places[""] == (place{}) {
		c.places[""] = place{file: d.file}
	}
	if problems := append(d.problems, c.check(d.problems)...); len(problems) > 0 {
		return nil, join(problems)
	}
	return c, nil
}

// Errorf returns an error about a key, such as "streams.cam1.quality[0]", that names where it was set.
func (c *Config) Errorf(path, format string, args ...any) error {
	return problem{c.placeOf(path), path, fmt.Sprintf(format, args...)}
}

// String returns the configuration as a file in which every secret is replaced.
func (c *Config) String() string {
	var text strings.Builder
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := enc.Encode(c.schema().write()); err != nil {
		return fmt.Sprintf("configuration that cannot be written: %v", err)
	}
	return text.String()
}

// GoString is String: %#v must not print more.
func (c *Config) GoString() string { return c.String() }

// LogValue is String, for slog.
func (c *Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON writes the keys and values of the file, with every secret replaced.
func (c *Config) MarshalJSON() ([]byte, error) {
	var tree any
	if err := c.schema().write().Decode(&tree); err != nil {
		return nil, fmt.Errorf("configuration as JSON: %w", err)
	}
	return json.Marshal(tree)
}
