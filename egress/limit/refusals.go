package limit

import (
	"log/slog"
	"maps"
	"sync"
	"time"
)

// Reasons of refusals.
const (
	ManyOfHost    = "connections_of_host" // one host has its share of connections
	ManyInAll     = "connections"         // all hosts together have theirs
	WrongPassword = "wrong_password"
	Guessing      = "guessing" // a host has guessed a user's password too often; it is not even compared
	Busy          = "busy"     // too many passwords wait to be compared
	NoPermission  = "no_permission"
	UnknownHost   = "unknown_host" // HTTP: a name that is not the server's
)

// burst is how long refusals for one reason are gathered into one message.
const burst = 10 * time.Second

// Refusals counts what a server has refused, and says so without filling the log: the first at once, those that follow
// within a burst in one message with their number. A nil Refusals counts nothing. Who closes: its server.
type Refusals struct {
	log *slog.Logger

	mu     sync.Mutex
	counts map[string]uint64
	bursts map[string]*following
	closed bool
}

// following is what came after the first of a burst.
type following struct {
	count int
	last  []any
	timer *time.Timer
}

// NewRefusals makes a counter. log may be nil.
func NewRefusals(log *slog.Logger) *Refusals {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Refusals{log: log, counts: map[string]uint64{}, bursts: map[string]*following{}}
}

// Add counts one refusal. The message belongs to the reason; attrs are of slog and hold no secrets.
func (r *Refusals) Add(reason, message string, attrs ...any) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.counts[reason]++
	b := r.bursts[reason]
	switch {
	case b != nil:
		b.count++
		b.last = attrs
	case !r.closed:
		r.bursts[reason] = &following{timer: time.AfterFunc(burst, func() { r.say(reason, message) })}
	}
	r.mu.Unlock()
	if b == nil {
		r.log.Warn(message, append(attrs, "reason", reason)...)
	}
}

// say tells of a burst. A quiet one ends it.
func (r *Refusals) say(reason, message string) {
	r.mu.Lock()
	b := r.bursts[reason]
	if b == nil { // closed meanwhile
		r.mu.Unlock()
		return
	}
	n, last := b.count, b.last
	if b.count, b.last = 0, nil; n == 0 {
		delete(r.bursts, reason)
	} else {
		b.timer.Reset(burst)
	}
	r.mu.Unlock()
	if n > 0 {
		r.log.Warn(message+"; these are the last seconds' and the last of them",
			append(last, "reason", reason, "count", n, "within", burst)...)
	}
}

// Counts returns how many there were, by reason.
func (r *Refusals) Counts() map[string]uint64 {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.counts)
}

// Close ends the messages. It may be called twice.
func (r *Refusals) Close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, b := range r.bursts {
		b.timer.Stop()
	}
	clear(r.bursts)
}
