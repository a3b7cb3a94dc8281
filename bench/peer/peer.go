// Package peer finds the programs that RAVE is tested and measured against. scripts/peers.sh installs them.
package peer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the peers.
const (
	FFmpeg   = "ffmpeg"   // version 9
	MediaMTX = "mediamtx" // version 1.12
	Chromium = "chromium" // Debian's
)

// Path returns where a peer is: in the folder that RAVE_PEERS names, or in .build/peers of the repository around the
// working directory.
func Path(name string) (string, error) {
	folder := os.Getenv("RAVE_PEERS")
	if folder == "" {
		root, err := Root()
		if err != nil {
			return "", err
		}
		folder = filepath.Join(root, ".build", "peers")
	}
	path := filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find peer %s: %w (scripts/peers.sh installs it)", name, err)
	}
	return path, nil
}

// Root returns the top of the repository around the working directory.
func Root() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("find the repository: no go.mod above " + start)
		}
	}
}

// TB is what Need uses of testing.TB.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need returns the path of a peer. Without the peer it skips the test, or fails it where RAVE_REQUIRE_PEERS is 1.
func Need(t TB, name string) string {
	t.Helper()
	path, err := Path(name)
	if err == nil {
		return path
	}
	if os.Getenv("RAVE_REQUIRE_PEERS") == "1" {
		t.Fatalf("%v", err)
	}
	t.Skipf("%v", err)
	return ""
}
