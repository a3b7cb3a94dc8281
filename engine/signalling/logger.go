package signalling

import (
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// Logger passes on what pion says, at debug level: strangers can make it complain, and what concerns a viewer or a publisher
// is logged by those who serve it. Whatever of pion is not given one writes to the standard error.
type Logger struct{ Log *slog.Logger }

var _ logging.LoggerFactory = Logger{}

// NewLogger implements logging.LoggerFactory.
func (l Logger) NewLogger(scope string) logging.LeveledLogger {
	return scoped{l.Log.With("pion", scope)}
}

// scoped implements logging.LeveledLogger. Tracing says something for each packet: nobody wants that.
type scoped struct{ log *slog.Logger }

// Trace does nothing.
func (s scoped) Trace(string) {}

// Tracef does nothing.
func (s scoped) Tracef(string, ...any) {}

// Debug does nothing.
func (s scoped) Debug(string) {}

// Debugf does nothing.
func (s scoped) Debugf(string, ...any) {}

// Info does nothing.
func (s scoped) Info(string) {}

// Infof does nothing.
func (s scoped) Infof(string, ...any) {}

// Warn logs.
func (s scoped) Warn(msg string) { s.log.Debug("webrtc", "says", msg) }

// Warnf logs.
func (s scoped) Warnf(format string, args ...any) {
	s.log.Debug("webrtc", "says", lazy{format, args})
}

// Error logs.
func (s scoped) Error(msg string) { s.log.Debug("webrtc", "says", msg) }

// Errorf logs.
func (s scoped) Errorf(format string, args ...any) {
	s.log.Debug("webrtc", "says", lazy{format, args})
}

// lazy is formatted only if it is logged.
type lazy struct {
	format string
	args   []any
}

// LogValue implements slog.LogValuer.
func (l lazy) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf(l.format, l.args...)) }
