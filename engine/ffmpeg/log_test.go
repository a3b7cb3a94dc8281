package ffmpeg

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asticode/go-astiav"

	"rave/engine/media"
)

// sink is a logger whose records are kept.
type sink struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.FieldsFunc(s.text.String(), func(r rune) bool { return r == '\n' })
}

func (s *sink) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func logged(t *testing.T, stream string, log *slog.Logger) *Decoder {
	t.Helper()
	d, err := NewDecoder(DecoderConfig{Stream: stream, Codec: media.H264, Threads: 1, MaxPixels: 1 << 20, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// TestLongLogLines: whatever FFmpeg logs, what arrives is cut, and arrives at the logger of the stream.
func TestLongLogLines(t *testing.T) {
	var common, own sink
	SetLogger(common.logger())
	defer SetLogger(slog.New(slog.DiscardHandler))
	d := logged(t, "cam", own.logger())
	for _, size := range []int{10, 1023, 1024, 4096, 100_000, 5_000_000} {
		SetLogger(common.logger()) // the limits begin anew
		astiav.Log(d.ctx, astiav.LogLevelError, strings.Repeat("x", size-1)+"\n")
	}
	SetLogger(common.logger())
	astiav.Log(d.ctx, astiav.LogLevelError, "%s\n", strings.Repeat("y", 100_000))
	lines := own.lines()
	if len(lines) != 7 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, l := range lines {
		if len(l) > 1200 {
			t.Errorf("a line has %d bytes: %.200s", len(l), l)
		}
	}
	if !strings.Contains(lines[6], strings.Repeat("y", 900)) {
		t.Errorf("what fits is missing: %s", lines[6])
	}
	astiav.Log(nil, astiav.LogLevelError, "of nobody\n")
	if lines := common.lines(); len(lines) != 1 || !strings.Contains(lines[0], "of nobody") {
		t.Errorf("the common logger has %q", lines)
	}
}

// TestLogLinesAreLimited: a stream that makes FFmpeg complain about everything gets a line of each kind and second, and 10
// altogether; what others say is not lost by it. A new decoder changes nothing.
func TestLogLinesAreLimited(t *testing.T) {
	var cam, other sink
	SetLogger(slog.New(slog.DiscardHandler))
	for range 20 {
		d := logged(t, "cam", cam.logger())
		for range 100 {
			astiav.Log(d.ctx, astiav.LogLevelError, "%s is wrong\n", "this")
		}
	}
	astiav.Log(logged(t, "other", other.logger()).ctx, astiav.LogLevelError, "%s is wrong\n", "that")
	if n := len(cam.lines()); n < 1 || n > 30 { // within a second or two
		t.Errorf("%d lines of 2,000", n)
	}
	if lines := other.lines(); len(lines) != 1 {
		t.Errorf("the other stream has %q", lines)
	}
}

func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lines{limits: map[string]*limit{}}
		for range 500 {
			l.admit("cam", 1, time.Now())
		}
		written, counted := 0, 0
		for range 3000 { // a line a millisecond, of three kinds
			time.Sleep(time.Millisecond)
			for kind := range uintptr(3) {
				if n, ok := l.admit("cam", kind, time.Now()); ok {
					written++
					counted += n
				}
			}
		}
		if written < 8 || written > 11 {
			t.Errorf("%d lines of 9,000 in 3 s", written)
		}
		if counted < 6000 || counted > 9500 {
			t.Errorf("%d lines were counted", counted)
		}
		time.Sleep(time.Second)
		burst := 0
		for kind := range uintptr(1000) {
			if _, ok := l.admit("cam", kind, time.Now()); ok {
				burst++
			}
		}
		if burst != 10 {
			t.Errorf("%d lines of 1,000 kinds in no time", burst)
		}
		if _, ok := l.admit("other", 1, time.Now()); !ok {
			t.Error("another stream is held back")
		}
	})
}

// TestQuietLoggerCostsNothing: at another level nothing is formatted or kept.
func TestQuietLoggerCostsNothing(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(&sink{}, &slog.HandlerOptions{Level: slog.LevelInfo}))
	if quiet.Enabled(context.Background(), slog.LevelDebug) {
		t.Fatal("not quiet")
	}
	SetLogger(quiet)
	astiav.Log(nil, astiav.LogLevelError, "nobody hears\n")
	if n := len(logger.Load().limits); n != 0 {
		t.Errorf("%d limits are kept", n)
	}
}
