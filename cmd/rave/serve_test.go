package main

import (
	"os/signal"
	"syscall"
	"testing"
)

// A program that nohup has started, which ignores SIGHUP, goes on doing so.
func TestNohupKeepsIt(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	ctx, cancel := untilHangup(t.Context())
	defer cancel()
	if !signal.Ignored(syscall.SIGHUP) {
		t.Error("SIGHUP ends what nohup has started")
	}
	if err := ctx.Err(); err != nil {
		t.Error(err)
	}
}
