package main

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/config"
)

// TestListenersThatFail has both ports refuse to accept, for ever: the status says so, and the process goes on.
func TestListenersThatFail(t *testing.T) {
	cfg, err := config.Parse([]byte("rtsp: {listen: '127.0.0.1:0', udp: false}\nhttp: {listen: '127.0.0.1:0'}\nwebrtc: {max_viewers: 0}\nworkers: off\nstreams: {}"),
		"rave.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, written := newLogger(cfg.Log, io.Discard)
	defer written.Close()
	ready, ended := make(chan *app, 1), make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, log, options{written: written, onReady: func(a *app) { ready <- a }}) }()
	var a *app
	select {
	case a = <-ready:
	case err := <-ended:
		t.Fatalf("serve: %v", err)
	}
	for _, l := range a.status().Listeners {
		if !l.Up || l.Reason != "" {
			t.Errorf("at first: %+v", l)
		}
		stopAccepting(t, l.Address)
	}
	down := func() bool {
		for _, l := range a.status().Listeners {
			if l.Up || !strings.Contains(l.Reason, syscall.EINVAL.Error()) {
				return false
			}
		}
		return true
	}
	for began := time.Now(); !down(); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("serve has ended: %v", err)
		default:
		}
		if time.Since(began) > 10*time.Second {
			t.Fatalf("the status: %+v", a.status().Listeners)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	for _, l := range a.status().Listeners {
		if l.Up {
			t.Errorf("at the end: %+v", l)
		}
	}
}

// stopAccepting shuts down the socket that listens on an address, as `ss --kill` does: accept fails from then on.
func stopAccepting(t *testing.T, address string) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fd, _ := strconv.Atoi(f.Name())
		listens, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		if err != nil || listens != 1 {
			continue
		}
		name, err := syscall.Getsockname(fd)
		if in, ok := name.(*syscall.SockaddrInet4); err == nil && ok && (&net.TCPAddr{IP: in.Addr[:], Port: in.Port}).String() == address {
			if err := syscall.Shutdown(fd, syscall.SHUT_RD); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("nobody listens on %s", address)
}
