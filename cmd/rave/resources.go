package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"rave/config"
	web "rave/egress/http"
)

// What open files RAVE takes: measured with one camera on TCP and a worker, and rounded up for cameras on UDP. Each
// connection takes one.
const (
	filesAtRest    = 24
	filesPerStream = 16
)

const filesFix = "raise the limit of open files with ulimit -n, LimitNOFILE= of the systemd unit or --ulimit nofile= of the container " +
	"(of the whole machine: sysctl fs.file-max)"

// checkFiles says when the limit of open files will not do for the streams. Go's runtime has raised the soft limit to
// the hard one before main.
func (a *app) checkFiles(cfg *config.Config) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		a.log.Debug("the limit of open files is not known", "err", err)
		return
	}
	need := uint64(filesAtRest + filesPerStream*len(cfg.Streams))
	all := max(2*need, need+uint64(cfg.RTSP.MaxConnections+web.MaxConnections))
	if limit.Cur >= all {
		return
	}
	level, what := slog.LevelWarn, "the limit of open files does not do for all connections that are allowed: readers may be refused; "
	if limit.Cur < 2*need {
		level, what = slog.LevelError, "the limit of open files is low: cameras or readers may be refused; "
	}
	a.log.Log(context.Background(), level, what+filesFix, "limit", limit.Cur, "streams_need", need, "with_all_connections", all)
}

// memoryLimit returns the bytes of memory that this process and its workers may use together: the machine's, or what
// its cgroup (version 2 or 1) leaves of it; and which of the two it is.
func memoryLimit() (bytes int64, source string) {
	bytes, source = machineMemory(), "the machine"
	own, _ := os.ReadFile("/proc/self/cgroup")
	for _, line := range strings.Split(strings.TrimSpace(string(own)), "\n") {
		parts := strings.SplitN(line, ":", 3) // hierarchy:controllers:path
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		// Every group on the way up may have a limit. In a container the path may be the host's, and then only the root exists.
		for dir := parts[2]; ; dir = filepath.Dir(dir) {
			text, err := os.ReadFile(filepath.Join(root, dir, file))
			if n, errN := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && errN == nil && n > 0 && (bytes == 0 || n < bytes) {
				bytes, source = n, "the cgroup "+dir
			}
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return bytes, source
}

// checkMemory says when there is too little for one stream.
func checkMemory(bytes int64, source string) error {
	const least = 512 << 20
	if bytes > 0 && bytes < least {
		return fmt.Errorf("%s has %d MiB only: a stream with a model needs 150 MiB at 640x360, several times that at 1080p; raise the "+
			"limit (MemoryMax= of the systemd unit, --memory of the container), or use quality: [lanczos]", source, bytes>>20)
	}
	return nil
}

func machineMemory() int64 {
	text, _ := os.ReadFile("/proc/meminfo")
	for _, line := range strings.Split(string(text), "\n") {
		var kb int64
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kb); err == nil {
			return kb << 10
		}
	}
	return 0
}

// cannotListen says what to do about an address that cannot be listened at; key is the setting.
func (a *app) cannotListen(key, other string, err error) error {
	fix := "choose another address"
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		fix, other = filesFix, ""
	case errors.Is(err, syscall.EADDRINUSE):
		fix = "end what uses it" + holder(err) + ", or choose another port"
	case errors.Is(err, syscall.EACCES):
		fix = "choose a port from 1024 on, or allow lower ones (AmbientCapabilities=CAP_NET_BIND_SERVICE of the systemd unit)"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		fix = "choose an address that this machine has, or :PORT for all"
	}
	return a.cfg.Errorf(key, "%v; %s%s", err, fix, other)
}

// holder says which process has the port of an error, if it can be found: "" else. Other users' processes do not show
// their files.
func holder(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Addr == nil {
		return ""
	}
	_, text, _ := net.SplitHostPort(op.Addr.String())
	port, _ := strconv.Atoi(text)
	table := "/proc/net/" + strings.TrimRight(op.Net, "46")
	sockets := map[string]bool{}
	readSockets(table, port, sockets)
	readSockets(table+"6", port, sockets)
	files, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, f := range files {
		if target, err := os.Readlink(f); err == nil && sockets[target] {
			pid := strings.Split(f, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			return fmt.Sprintf(" (process %s, %s)", pid, strings.TrimSpace(string(name)))
		}
	}
	return ""
}

// readSockets collects the sockets of a table of /proc/net that are bound to a port and not connected (proc_net_tcp(5)).
func readSockets(table string, port int, into map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return // no IPv6
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text()) // sl local_address rem_address st … inode
		if len(fields) < 10 {
			continue
		}
		_, local, _ := strings.Cut(fields[1], ":")
		_, remote, _ := strings.Cut(fields[2], ":")
		n, err := strconv.ParseInt(local, 16, 32)
		if err == nil && int(n) == port && remote == "0000" {
			into["socket:["+fields[9]+"]"] = true
		}
	}
}
