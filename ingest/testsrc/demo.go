package testsrc

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed clips/*.mp4
var clips embed.FS

// DemoNames returns the names that Demo knows.
func DemoNames() []string { return []string{"security", "cockatoo"} }

// Demo returns one of the clips that come with the program: "security" (a yard, 384x288, 10 fps) or "cockatoo"
// (a bird close up, 640x360, 20 fps).
func Demo(name string, opt Options) (*Clip, error) {
	file := ""
	switch name {
	case "security":
		file = "clips/security-384x288.mp4"
	case "cockatoo":
		file = "clips/cockatoo-640x360.mp4"
	default:
		return nil, fmt.Errorf("demo clip %q: there is only %s", name, strings.Join(DemoNames(), ", "))
	}
	data, err := clips.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("demo clip %s: %w", name, err)
	}
	return New(data, opt)
}
