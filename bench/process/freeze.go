package process

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Freeze stops processes (SIGSTOP) and waits until all their threads stand still: the signal is taken by one, and the
// others go on until it has run.
func Freeze(ctx context.Context, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("freeze process %d: %w", pid, err)
		}
	}
	for _, pid := range pids {
		for !frozen(pid) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("freeze process %d: %w", pid, ctx.Err())
			case <-time.After(time.Millisecond):
			}
		}
	}
	return nil
}

// Thaw lets frozen processes go on (SIGCONT).
func Thaw(pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			return fmt.Errorf("thaw process %d: %w", pid, err)
		}
	}
	return nil
}

// frozen reads the state of each thread (proc(5): /proc/pid/task/tid/stat, field 3).
func frozen(pid int) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid)) // the pattern is right
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		if !bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" T")) {
			return false
		}
	}
	return len(files) > 0
}
