package leak_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"rave/bench/leak"
	"rave/bench/peer"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// tests is a testing.M.
type tests func() int

func (t tests) Run() int { return t() }

func TestMainSeesWhatIsLeft(t *testing.T) {
	var file *os.File
	var nameless int
	var socket net.Listener
	var child *exec.Cmd
	leave := make(chan struct{})
	for name, c := range map[string]struct {
		run  tests
		want int
	}{
		"nothing":  {func() int { return 0 }, 0},
		"failed":   {func() int { return 3 }, 3},
		"a file":   {func() int { file, _ = os.Open("leak.go"); return 0 }, 1},
		"a socket": {func() int { socket, _ = net.Listen("tcp", "127.0.0.1:0"); return 0 }, 1},
		"a process": {func() int {
			child = exec.CommandContext(context.Background(), "true")
			if err := child.Start(); err != nil {
				t.Error(err)
			}
			return 0
		}, 1},
		"something nameless": {func() int {
			var err error
			if nameless, err = syscall.InotifyInit(); err != nil { // anon_inode:inotify
				t.Error(err)
			}
			return 0
		}, 1},
		"a goroutine": {func() int { go func() { <-leave }(); return 0 }, 1},
	} {
		// This test's own goroutines are not the tests'.
		if got := leak.Main(c.run, goleak.IgnoreCurrent()); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
	}
	close(leave)
	if err := errors.Join(file.Close(), socket.Close(), child.Wait(), syscall.Close(nameless)); err != nil {
		t.Error(err)
	}
}

// Every package that has tests checks that they leave nothing behind, neither goroutines nor files.
func TestEveryPackageChecks(t *testing.T) {
	root, err := peer.Root()
	if err != nil {
		t.Fatal(err)
	}
	checked := map[string]bool{}
	start, check := regexp.MustCompile(`(?m)^func TestMain\(`), regexp.MustCompile(`(?m)^[^/\n]*\bleak\.Main\(`) // not in a comment
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		folder := filepath.Dir(path)
		checked[folder] = checked[folder] || start.Match(text) && check.Match(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for folder, ok := range checked {
		if !ok {
			t.Errorf("%s has no TestMain with leak.Main", strings.TrimPrefix(folder, root+"/"))
		}
	}
	if len(checked) < 20 {
		t.Errorf("only %d packages were found", len(checked))
	}
}
