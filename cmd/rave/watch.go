package main

import (
	"os"
	"syscall"
	"time"
)

// fileState tells a file from itself after a change: it was written, replaced by another one, or linked to another one.
type fileState struct {
	device, inode    uint64
	size             int64
	written, changed time.Duration // since 1970
	missing          string        // why it cannot be looked at
}

// stateOf returns a file's state; links are followed, so that those of a Kubernetes volume count as what they lead to.
func stateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{missing: err.Error()}
	}
	s := fileState{size: info.Size(), written: time.Duration(info.ModTime().UnixNano())}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.changed = sys.Dev, sys.Ino, time.Duration(sys.Ctim.Nano())
	}
	return s
}

// fileWatch notices that a file has changed, by looking every now and then. It needs no help of the file system, which
// network mounts do not give, and sees replaced files and changed links.
type fileWatch struct {
	path string
	read fileState // when it was read
	last fileState // at the last look
}

// reading is called before the file is read.
func (w *fileWatch) reading() { w.read = stateOf(w.path) }

// changed reports that the file is not as it was read, and has stood still since the last look: whoever writes it has
// done so.
func (w *fileWatch) changed() bool {
	now := stateOf(w.path)
	still := now == w.last
	w.last = now
	return still && now != w.read
}
