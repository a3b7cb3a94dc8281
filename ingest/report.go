package ingest

import (
	"errors"
	"log/slog"
	"strings"
	"time"
)

// report logs failures: the first of a kind at once, its repetitions at most once a minute with their number, a
// permanent one never again until the reason changes.
type report struct {
	log    *slog.Logger
	reason string    // of the last failure, without digits: ports and times differ from one attempt to the next
	said   time.Time // when it was last logged
	count  int       // failures since then
	down   int       // failures since the source was last online,
	told   bool      // one of which was logged
}

// A pause of 0 is none.
func (r *report) failed(err error, pause time.Duration) {
	r.down++
	r.count++
	reason := strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' {
			return -1
		}
		return c
	}, err.Error())
	if reason == r.reason && (errors.Is(err, ErrPermanent) || time.Since(r.said) < time.Minute) {
		return
	}
	args := []any{"error", err}
	if pause > 0 {
		args = append(args, "retry_in", pause.Round(10*time.Millisecond))
	}
	if reason == r.reason {
		args = append(args, "failures", r.count)
	}
	r.log.Warn("no stream", args...)
	r.reason, r.said, r.count, r.told = reason, time.Now(), 0, true
}

// recovered ends a series of failures. The reason is kept: a source that comes and goes must not fill the log.
func (r *report) recovered(attempts int) {
	switch {
	case r.down == 0:
		r.log.Info("stream is online")
	case r.told:
		r.log.Info("stream is back", "attempts", attempts)
	}
	r.down, r.told = 0, false
}
