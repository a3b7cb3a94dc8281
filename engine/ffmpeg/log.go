package ffmpeg

// #cgo pkg-config: libavcodec libavfilter libavformat libavutil libswscale
// #include <libavutil/avutil.h>
// #include <libavutil/log.h>
// #include "shim.h"
import "C"

import (
	"context"
	"log/slog"
	"runtime/cgo"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// logger is where FFmpeg's own lines go. FFmpeg has one log callback in the process, so there is one logger.
var logger atomic.Pointer[lines] //nolint:gochecknoglobals // FFmpeg's callback is global itself

// SetLogger sends FFmpeg's own log lines (warnings and worse) to l at debug level, or to the logger of the decoder
// that they come from: what they mean for a stream is said by the stream. Lines are cut at 1 KiB. Lines of one kind
// come once a second with a count, and no stream has more than 10 lines a second.
func SetLogger(l *slog.Logger) {
	logger.Store(&lines{log: l, limits: map[string]*limit{}})
	C.rave_log_install()
}

// source is what lines of one decoder are logged as.
type source struct {
	stream string
	log    *slog.Logger
}

// lines writes log lines, in limits that outlive decoders: a hostile stream gets a new one whenever it likes.
type lines struct {
	log *slog.Logger

	mu     sync.Mutex
	limits map[string]*limit // by stream; "" is everything else
}

//export raveLogLine
func raveLogLine(handle C.uintptr_t, format *C.char, level C.int, line *C.char) {
	l := logger.Load()
	if l == nil {
		return
	}
	from := source{log: l.log}
	if handle != 0 {
		if s, ok := cgo.Handle(handle).Value().(source); ok && s.log != nil {
			from = s
		}
	}
	if !from.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	// A format is a constant in FFmpeg: its address tells the kind of a line, whatever numbers are in it.
	n, ok := l.admit(from.stream, uintptr(unsafe.Pointer(format)), time.Now())
	if !ok {
		return
	}
	attrs := []any{"component", "ffmpeg", "ffmpeg_level", int(level)}
	if n > 0 {
		attrs = append(attrs, "repeated", n)
	}
	from.log.Debug(strings.TrimRight(C.GoString(line), "\n"), attrs...)
}

// admit reports whether a line may be written, and how many of its kind were not since the last.
func (l *lines) admit(stream string, kind uintptr, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.limits[stream]
	if s == nil {
		s = &limit{kinds: map[uintptr]*repeats{}}
		l.limits[stream] = s
	}
	return s.admit(kind, now)
}

// limit is what one stream may write.
type limit struct {
	kinds map[uintptr]*repeats
	since time.Time
	n     int // lines since then
}

type repeats struct {
	at         time.Time
	suppressed int
}

func (l *limit) admit(kind uintptr, now time.Time) (suppressed int, ok bool) {
	const window, most, kinds = time.Second, 10, 1000 // FFmpeg's decoders have some hundred
	k := l.kinds[kind]
	if k == nil {
		if len(l.kinds) >= kinds {
			clear(l.kinds)
		}
		k = &repeats{}
		l.kinds[kind] = k
	}
	if now.Sub(l.since) >= window {
		l.since, l.n = now, 0
	}
	if l.n >= most || !k.at.IsZero() && now.Sub(k.at) < window {
		k.suppressed++
		return 0, false
	}
	l.n++
	suppressed, k.suppressed, k.at = k.suppressed, 0, now
	return suppressed, true
}

// Version returns the version of the FFmpeg that is linked in, such as "7.1.5".
func Version() string { return strings.SplitN(C.GoString(C.av_version_info()), "-", 2)[0] }
