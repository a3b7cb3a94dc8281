// Command bench measures RAVE from outside: see its -help.
package main

import (
	"os"

	"rave/bench/camera"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "camera" {
		os.Exit(camera.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
}
