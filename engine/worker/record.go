package worker

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// handler is the slog.Handler of a worker: its records are events.
type handler struct {
	events *events
	level  slog.Level
	prefix string      // of the open groups: "a.b."
	attrs  []slog.Attr // flat
}

// Enabled implements slog.Handler: what the main process does not log is not sent.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle implements slog.Handler.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clip(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = appendFlat(attrs, h.prefix, a)
		return true
	})
	h.events.log(record{at: r.Time, level: r.Level, message: r.Message, attrs: attrs})
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		c.attrs = appendFlat(c.attrs, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	if name != "" {
		c.prefix += name + "."
	}
	return &c
}

// appendFlat appends an attribute with a simple value, or those of a group.
func appendFlat(list []slog.Attr, prefix string, a slog.Attr) []slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			list = appendFlat(list, prefix, g)
		}
		return list
	case slog.KindInt64, slog.KindFloat64, slog.KindBool, slog.KindDuration:
	default:
		text := v.String()
		v = slog.StringValue(text[:min(len(text), maxText)])
	}
	if len(list) >= maxAttrs {
		return list
	}
	return append(list, slog.Attr{Key: prefix + a.Key, Value: v})
}

const maxAttrs = 32

func appendRecord(out []byte, r record, now time.Time) []byte {
	out = appendTime(out, r.at, now)
	out = appendInt(out, int(r.level))
	out = appendText(out, r.message)
	return appendList(out, r.attrs, func(o []byte, a slog.Attr) []byte {
		o = append(appendText(o, a.Key), byte(a.Value.Kind()))
		switch a.Value.Kind() {
		case slog.KindInt64:
			return appendInt(o, a.Value.Int64())
		case slog.KindFloat64:
			return appendFloat(o, a.Value.Float64())
		case slog.KindBool:
			return appendBool(o, a.Value.Bool())
		case slog.KindDuration:
			return appendInt(o, a.Value.Duration())
		default:
			return appendText(o, a.Value.String())
		}
	})
}

func (f *fields) record(now time.Time) record {
	r := record{at: f.time(now), level: slog.Level(f.int()), message: f.text()}
	r.attrs = readList(f, func() slog.Attr {
		key := f.text()
		switch kind := slog.Kind(f.byte()); kind {
		case slog.KindInt64:
			return slog.Int64(key, f.int64())
		case slog.KindFloat64:
			return slog.Float64(key, f.float())
		case slog.KindBool:
			return slog.Bool(key, f.bool())
		case slog.KindDuration:
			return slog.Duration(key, f.duration())
		case slog.KindString:
			return slog.String(key, f.text())
		default:
			f.fail("attribute")
			return slog.Attr{}
		}
	})
	return r
}

// repeat gives a worker's record to the main process's log.
func (r record) repeat(log *slog.Logger) {
	ctx := context.Background()
	if !log.Enabled(ctx, r.level) {
		return
	}
	out := slog.NewRecord(r.at, r.level, r.message, 0)
	out.AddAttrs(r.attrs...)
	_ = log.Handler().Handle(ctx, out) // as slog does
}

// lowest is the level from which on log keeps records.
func lowest(log *slog.Logger) slog.Level {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(context.Background(), l) {
			return l
		}
	}
	return slog.LevelError
}
