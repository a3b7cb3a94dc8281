// Package leak is what every package's TestMain runs: after the tests no goroutine may be left, and no open file or socket
// that was not there before them.
package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/goleak"
)

// patience is how long the system may take to let go of what has been closed.
const patience = 2 * time.Second

// Main runs the tests of m, a *testing.M, and returns the exit status.
func Main(m goleak.TestingM, options ...goleak.Option) (status int) {
	before := files()
	goleak.VerifyTestMain(m, append(options, goleak.Cleanup(func(code int) { status = code }))...)
	if status != 0 {
		return status // failed tests leave things open
	}
	left := added(before)
	for deadline := time.Now().Add(patience); len(left) > 0 && time.Now().Before(deadline); left = added(before) {
		time.Sleep(10 * time.Millisecond)
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "files are left open:", strings.Join(left, ", "))
		return 1
	}
	return 0
}

// Descriptors counts what the process has open: files, sockets, pipes, processes. Where the system has no /proc it is 0.
func Descriptors() int { return len(files()) }

// files returns what each of the process's file descriptors is.
func files() map[string]string {
	const folder = "/proc/self/fd"
	open := map[string]string{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return open // no Linux
	}
	for _, e := range entries {
		if what, err := os.Readlink(filepath.Join(folder, e.Name())); err == nil { // that of the folder itself is closed by now
			open[e.Name()] = what
		}
	}
	return open
}

// added returns what has been opened since. The runtime's own poller, and what wakes it, stay open once a socket has been
// used. A process that was started and not waited for is a descriptor as well (pidfd_open(2)).
func added(before map[string]string) []string {
	var left []string
	for fd, what := range files() {
		if before[fd] != what && what != "anon_inode:[eventpoll]" && what != "anon_inode:[eventfd]" {
			left = append(left, fd+" "+what)
		}
	}
	return left
}
