package worker

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// limitMemory bounds what this process may allocate (RLIMIT_DATA, setrlimit(2)): beyond it the C library's and Go's
// allocations fail. ONNX Runtime and FFmpeg make an error of that, which costs a model or a picture; where it is fatal
// it costs this process alone.
func limitMemory(bytes int64) error {
	if bytes <= 0 {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("read the limit of memory: %w", err)
	}
	limit.Cur = min(uint64(bytes), limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &limit); err != nil {
		return fmt.Errorf("limit memory to %d MiB: %w", bytes>>20, err)
	}
	return nil
}

// resident returns how much memory a process has in use (proc(5), statm); 0 if it has ended. The main process watches
// it: what RLIMIT_DATA does not count, such as shared memory, counts here.
func resident(pid int) int64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64) // the kernel writes numbers
	return pages * int64(os.Getpagesize())
}

// outOfMemory recognises the last words of a process whose allocation failed: Go's runtime, C++, the stack of a thread.
func outOfMemory(line []byte) bool {
	for _, sign := range []string{"out of memory", "cannot allocate memory", "std::bad_alloc", "Cannot allocate memory", "pthread_create failed"} {
		if bytes.Contains(line, []byte(sign)) {
			return true
		}
	}
	return false
}
