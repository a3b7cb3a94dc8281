package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process and its children have used of the machine so far.
type Usage struct {
	CPU     time.Duration // of all their threads and of children they have waited for, user and system
	PeakRSS int64         // bytes; the sum of each one's own peak
}

// Usage reads what the program has used so far. It fails once the program has ended.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// Own reads what the program itself has used so far, without its children.
func (p *Process) Own() (Usage, error) { return usageOfOne(p.PID()) }

// UsageOf reads what a process and its running children have used so far. A child that ends between two readings was
// waited for, so its time is not lost.
func UsageOf(pid int) (Usage, error) {
	sum, err := usageOfOne(pid)
	if err != nil {
		return Usage{}, err
	}
	for _, child := range children(pid) {
		if u, err := UsageOf(child); err == nil { // else it has just ended
			sum.CPU += u.CPU
			sum.PeakRSS += u.PeakRSS
		}
	}
	return sum, nil
}

// children returns the processes whose parent is pid (proc(5): /proc/pid/task/tid/children).
func children(pid int) []int {
	var pids []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is right
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}

// usageOfOne reads what one process has used (proc(5): /proc/pid/stat, /proc/pid/status).
func usageOfOne(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	ticks, err := cpuTicks(string(stat))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: /proc/%d/stat: %w", pid, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: %w", err)
	}
	peak, err := peakRSS(status)
	if err != nil {
		return Usage{}, fmt.Errorf("read usage: /proc/%d/status: %w", pid, err)
	}
	const ticksPerSecond = 100 // USER_HZ, which is fixed on Linux
	return Usage{CPU: time.Duration(ticks) * time.Second / ticksPerSecond, PeakRSS: peak}, nil
}

// cpuTicks adds utime, stime, cutime and cstime: fields 14 to 17.
func cpuTicks(stat string) (int64, error) {
	end := strings.LastIndexByte(stat, ')') // the name before it may hold anything
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 15 {
		return 0, errors.New("not understood")
	}
	sum := int64(0)
	for _, f := range fields[11:15] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func peakRSS(status []byte) (int64, error) {
	for line := range bytes.Lines(status) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10, nil
		}
	}
	return 0, errors.New("no VmHWM: the process has ended")
}
