package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"rave/config"
)

// TestMemoryShare: however many workers are hungry, together they take no more than half of the memory, while that holds a
// model each.
func TestMemoryShare(t *testing.T) {
	const gib = int64(1) << 30
	for _, c := range []struct {
		bytes   int64
		streams int
		want    int64
	}{
		{16 * gib, 0, 8 * gib}, {16 * gib, 1, 8 * gib}, {16 * gib, 2, 4 * gib}, {16 * gib, 16, gib / 2}, {16 * gib, 17, gib / 2},
		{gib / 4, 1, gib / 2}, {0, 3, gib / 2},
	} {
		if got := memoryShare(c.bytes, c.streams); got != c.want {
			t.Errorf("%d streams share %d: %d each, want %d", c.streams, c.bytes, got, c.want)
		}
	}
}

// TestCannotListen: the fix is for what is wrong: another address cures no lack of descriptors.
func TestCannotListen(t *testing.T) {
	a := &app{cfg: config.Default()}
	for _, c := range []struct {
		errno syscall.Errno
		want  string
		not   string
	}{
		{syscall.EMFILE, "too many open files; raise the limit of open files with ulimit -n, LimitNOFILE=", "udp: false"},
		{syscall.ENFILE, "sysctl fs.file-max", "another address"},
		{syscall.EACCES, "choose a port from 1024 on", "LimitNOFILE"},
		{syscall.EINVAL, "choose another address, or udp: false", "LimitNOFILE"},
	} {
		err := fmt.Errorf("no port: %w", &net.OpError{Op: "listen", Net: "udp", Err: os.NewSyscallError("socket", c.errno)})
		got := a.cannotListen("rtsp.rtp_port", ", or udp: false", err).Error()
		if !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("%v: %s", c.errno, got)
		}
	}
}
