package main

import (
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// What may wait for a log that is slow: about a second of a loud debug log. Each line is bounded by the handlers' users.
const (
	waitingLines = 1024
	waitingBytes = 1 << 20
)

// logWriter takes lines for a file that may be full, closed or blocked, and never waits for it: one goroutine writes, a
// bounded queue lies before it, and lines that find the queue full, or that the file refuses, are lost and counted. Once
// a line gets through again, the loss is said before it.
type logWriter struct {
	to   io.Writer
	lost atomic.Int64
	done chan struct{}

	mu      sync.Mutex
	report  func(lost int64) []byte // makes the line that tells of a loss
	queue   [][]byte
	bytes   int
	closed  bool
	changed *sync.Cond
}

func newLogWriter(to io.Writer) *logWriter {
	w := &logWriter{to: to, done: make(chan struct{})}
	w.changed = sync.NewCond(&w.mu)
	go w.run()
	return w
}

// Write implements io.Writer. It never waits and never fails; b is one line or more.
func (w *logWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.queue) >= waitingLines || w.bytes+len(b) > waitingBytes {
		w.lost.Add(1)
		return len(b), nil
	}
	w.queue = append(w.queue, append([]byte(nil), b...))
	w.bytes += len(b)
	w.changed.Signal()
	return len(b), nil
}

// Lost counts the lines that nobody will read.
func (w *logWriter) Lost() float64 { return float64(w.lost.Load()) }

// reportWith sets how a loss is said; without it, it is only counted.
func (w *logWriter) reportWith(line func(lost int64) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report = line
}

func (w *logWriter) run() {
	defer close(w.done)
	var said int64 // of the lost lines
	for {
		line, report, ok := w.next()
		if !ok {
			return
		}
		if lost := w.lost.Load(); lost > said && report != nil {
			if _, err := w.to.Write(report(lost - said)); err == nil {
				said = lost
			}
		}
		if _, err := w.to.Write(line); err != nil {
			w.lost.Add(1)
		}
	}
}

// next waits for a line.
func (w *logWriter) next() (line []byte, report func(int64) []byte, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 {
		if w.closed {
			return nil, nil, false
		}
		w.changed.Wait()
	}
	line = w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.bytes -= len(line)
	return line, w.report, true
}

// Close gives what waits a moment to be written; a file that blocks keeps its goroutine, and the process ends without it.
func (w *logWriter) Close() {
	const patience = time.Second
	w.mu.Lock()
	w.closed = true
	w.changed.Signal()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(patience):
	}
}
