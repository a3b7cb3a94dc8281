package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a process has used of the machine so far.
type Usage struct {
	CPU     time.Duration // of all its threads and of children it has waited for, user and system
	PeakRSS int64         // bytes
}

// Usage reads what the program has used so far. It fails once the program has ended.
func (p *Process) Usage() (Usage, error) { return UsageOf(p.PID()) }

// UsageOf reads what a process has used so far (proc(5): /proc/pid/stat, /proc/pid/status).
func UsageOf(pid int) (Usage, error) {
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
