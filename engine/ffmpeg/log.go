package ffmpeg

// #cgo pkg-config: libavcodec libavfilter libavformat libavutil libswscale
// #include <libavutil/avutil.h>
// #include <libavutil/log.h>
// #include "shim.h"
import "C"

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// logger is where FFmpeg's own lines go. FFmpeg has one log callback in the process, so there is one logger.
var logger atomic.Pointer[slog.Logger] //nolint:gochecknoglobals // FFmpeg's callback is global itself

// SetLogger sends FFmpeg's own log lines (warnings and worse) to l at debug level: what they mean for a stream is
// said by the stream. Lines are cut at 1 KiB.
func SetLogger(l *slog.Logger) {
	logger.Store(l)
	C.rave_log_install(C.AV_LOG_WARNING)
}

//export raveLogLine
func raveLogLine(level C.int, line *C.char) {
	l := logger.Load()
	if l == nil || !l.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	l.Debug(strings.TrimRight(C.GoString(line), "\n"), "component", "ffmpeg", "ffmpeg_level", int(level))
}

// Version returns the version of the FFmpeg that is linked in, such as "7.1.5".
func Version() string { return strings.SplitN(C.GoString(C.av_version_info()), "-", 2)[0] }
