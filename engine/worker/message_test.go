package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// fill sets every exported field to something that is not zero, so that one that does not cross is noticed.
func fill(v reflect.Value, skip ...string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Now().Add(-time.Second)))
			return
		}
	fields:
		for i := range v.NumField() {
			for _, s := range skip {
				if v.Type().Field(i).Name == s {
					continue fields
				}
			}
			fill(v.Field(i), skip...)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	case reflect.String:
		v.SetString("text " + v.Type().String())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(-123456789)
	case reflect.Uint8:
		v.SetUint(77)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	default:
		panic("a field of kind " + v.Kind().String() + " cannot cross: " + v.Type().String())
	}
}

// TestEverythingCrosses fails when a field is added to what crosses the socket and not to its encoding.
func TestEverythingCrosses(t *testing.T) {
	t.Run("start", func(t *testing.T) {
		m := startMessage{version: protocolVersion, level: slog.LevelWarn, resume: true, after: time.Minute, spec: []byte("spec"),
			want: 5, memory: 1 << 40, avoid: []verdict{{model: "m", why: "w", rest: time.Hour}}}
		fill(reflect.ValueOf(&m.config).Elem(), "Plan", "Renditions", "Observer", "Log", "OnMisuse")
		got, err := decodeStart(m.encode())
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v: %v", m, got, err)
		}
	})
	t.Run("packet", func(t *testing.T) {
		var p media.Packet
		fill(reflect.ValueOf(&p).Elem())
		now := time.Now()
		got, err := decodePacket(append(appendPacket(nil, p, now), p.Data...), now)
		if !got.NTP.Equal(p.NTP) || !got.Arrival.Equal(p.Arrival) {
			t.Errorf("times %v, %v became %v, %v", p.Arrival, p.NTP, got.Arrival, got.NTP)
		}
		got.NTP, got.Arrival = p.NTP, p.Arrival
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v became %+v: %v", p, got, err)
		}
	})
	t.Run("plain packet", func(t *testing.T) {
		got, err := decodePacket(appendPacket(nil, media.Packet{}, time.Now()), time.Now())
		if got.Data = nil; err != nil || !reflect.DeepEqual(got, media.Packet{}) {
			t.Errorf("nothing became %+v: %v", got, err)
		}
	})
	t.Run("question", func(t *testing.T) {
		for _, v := range engine.Variants() {
			q := question{1 << 60, v, 1 << 40}
			if got, err := decodeQuestion(q.encode()); err != nil || got != q || len(q.encode()) > kindSnapshot.limit() {
				t.Errorf("%+v became %+v: %v", q, got, err)
			}
		}
	})
	t.Run("answer", func(t *testing.T) {
		var a answer
		fill(reflect.ValueOf(&a.shot).Elem())
		a.shot.Width, a.shot.Height = 1280, 720
		now := time.Now()
		id, got, err := decodeAnswer(append(appendAnswer(nil, -5, a, now), a.shot.JPEG...), now)
		if !got.shot.At.Equal(a.shot.At) {
			t.Errorf("%v became %v", a.shot.At, got.shot.At)
		}
		if got.shot.At = a.shot.At; err != nil || id != -5 || !reflect.DeepEqual(got, a) {
			t.Errorf("%+v became %d %+v: %v", a, id, got, err)
		}
		for _, why := range []error{io.EOF, fmt.Errorf("not there: %w", engine.ErrNoPicture)} {
			_, got, err := decodeAnswer(appendAnswer(nil, 1, answer{err: why}, now), now)
			if err != nil || got.err == nil || got.err.Error() != why.Error() || errors.Is(got.err, engine.ErrNoPicture) != errors.Is(why, engine.ErrNoPicture) {
				t.Errorf("%v became %v: %v", why, got.err, err)
			}
		}
	})
	t.Run("tracks", func(t *testing.T) {
		tracks := make([]media.Track, 2)
		for i := range tracks {
			fill(reflect.ValueOf(&tracks[i]).Elem())
		}
		got, err := decodeTracks(encodeTracks(tracks))
		if err != nil || !reflect.DeepEqual(got, tracks) {
			t.Errorf("%+v became %+v: %v", tracks, got, err)
		}
	})
}

// heard records what an observer is told.
type heard struct{ calls []any }

func (h *heard) StageDone(stage string, waited, worked time.Duration) {
	h.calls = append(h.calls, stageDone{stage, waited, worked})
}
func (h *heard) Dropped(stage, reason string, n int) {
	h.calls = append(h.calls, drop{stage, reason, n})
}
func (h *heard) Decoded()                    { h.calls = append(h.calls, "decoded") }
func (h *heard) Made(enhancer string, _ int) { h.calls = append(h.calls, enhancer) }
func (h *heard) Planned(plan string, in, out string) {
	h.calls = append(h.calls, planned{plan, in, out})
}
func (h *heard) RungLoaded(rung string, err error) { h.calls = append(h.calls, rung, err) }
func (h *heard) RungChanged(from, to, reason string) {
	h.calls = append(h.calls, change{from, to, reason})
}
func (h *heard) Waiting(stage string, n int) { h.calls = append(h.calls, waiting{stage, n}) }

// TestEvents: what a session reports is repeated at the other side: counts added up, states by their last value.
func TestEvents(t *testing.T) {
	urgent := 0
	e := newEvents(func(u bool) {
		if u {
			urgent++
		}
	})
	if e.take() != nil {
		t.Error("something came of nothing")
	}
	e.StageDone(engine.StageDecode, time.Millisecond, 2*time.Millisecond)
	e.Decoded()
	e.Decoded()
	e.Dropped(engine.StageEnhance, engine.DropLate, 2)
	e.Dropped(engine.StageEnhance, engine.DropLate, 3)
	e.Dropped(engine.StageEnhance, engine.DropLate, 0)
	e.Waiting(engine.StageEncode, 1)
	e.Waiting(engine.StageEncode, 7)
	if urgent != 0 {
		t.Error("statistics are urgent")
	}
	e.Planned("plan", "640x360", "1280x720")
	e.RungLoaded("a", nil)
	e.RungLoaded("b", errors.New("no memory"))
	e.RungChanged("a", "lanczos", engine.ChangeSlow)
	b, err := decodeBatch(e.take(), time.Now())
	if err != nil || urgent != 4 {
		t.Fatalf("%v, %d urgent", err, urgent)
	}
	var h heard
	b.tell(&h)
	want := []any{
		"decoded", "decoded", stageDone{engine.StageDecode, time.Millisecond, 2 * time.Millisecond}, drop{engine.StageEnhance, engine.DropLate, 5},
		waiting{engine.StageEncode, 7}, planned{"plan", "640x360", "1280x720"}, "a", nil, "b", errors.New("no memory"),
		change{"a", "lanczos", engine.ChangeSlow},
	}
	if !reflect.DeepEqual(h.calls, want) {
		t.Errorf("told %v", h.calls)
	}
	if e.take() != nil {
		t.Error("told twice")
	}
}

// TestEventsStaySmall: however long nobody reads, a message stays within its limit.
func TestEventsStaySmall(t *testing.T) {
	e := newEvents(func(bool) {})
	log := slog.New(&handler{events: e, level: slog.LevelDebug})
	long := strings.Repeat("long ", 10_000)
	for i := range 5000 {
		e.StageDone(engine.StageDecode, time.Hour, time.Hour)
		e.Dropped(engine.StageDecode, long[:i%1000], 1)
		e.Planned(long, "", "")
		e.RungLoaded(long, io.EOF)
		e.RungChanged(long, long, long)
		e.Decoded()
		log.Error(long[:500], "key", long[:500], "other", long[:500])
	}
	message := e.take()
	if len(message) > maxMessage {
		t.Errorf("%d bytes", len(message))
	}
	if _, err := decodeBatch(message, time.Now()); err != nil {
		t.Error(err)
	}
}

// TestRecords: a log record says the same in the other process.
func TestRecords(t *testing.T) {
	e := newEvents(func(bool) {})
	far := slog.New(&handler{events: e, level: slog.LevelInfo}).With("stage", "decode").WithGroup("g")
	far.Debug("not wanted")
	far.Warn("careful", "n", 7, "f", 1.5, "ok", true, "d", time.Second, "err", io.EOF, slog.Group("h", "s", "text"), "u", uint8(3))
	b, err := decodeBatch(e.take(), time.Now())
	if err != nil || len(b.records) != 1 {
		t.Fatalf("%d records: %v", len(b.records), err)
	}
	var out bytes.Buffer
	here := slog.New(slog.NewTextHandler(&out, nil)).With("stream", "front")
	b.records[0].repeat(here)
	_, line, _ := strings.Cut(out.String(), " ")
	if want := "level=WARN msg=careful stream=front stage=decode g.n=7 g.f=1.5 g.ok=true g.d=1s g.err=EOF g.h.s=text g.u=3\n"; line != want {
		t.Errorf("got  %swant %s", line, want)
	}
	if l := lowest(slog.New(slog.DiscardHandler)); l != slog.LevelError || lowest(here) != slog.LevelInfo {
		t.Errorf("lowest levels %v, %v", l, lowest(here))
	}
	_ = here.Handler().Enabled(context.Background(), slog.LevelInfo)
}

// TestTimeCrosses: a moment keeps its age, by the monotonic clock.
func TestTimeCrosses(t *testing.T) {
	now := time.Now()
	for _, age := range []time.Duration{0, time.Nanosecond, 40 * time.Millisecond, time.Hour} {
		f := fields{b: appendTime(nil, now.Add(-age), now)}
		if got := f.time(now); now.Sub(got) != age {
			t.Errorf("age %v became %v", age, now.Sub(got))
		}
	}
	f := fields{b: appendTime(nil, now.Add(time.Second), now)}
	if got := f.time(now); !got.Equal(now) {
		t.Errorf("the future became %v", got.Sub(now))
	}
}

// script is a connection that gives what it is told to.
type script struct {
	net.Conn
	io.Reader
	io.Writer
}

func (s script) Read(b []byte) (int, error)  { return s.Reader.Read(b) }
func (s script) Write(b []byte) (int, error) { return s.Writer.Write(b) }

// TestBadMessages: what is too long, too short or unknown is refused before memory is taken for it.
func TestBadMessages(t *testing.T) {
	for name, bytes := range map[string]string{
		"length 0":           "\x00\x00\x00\x00\x02",
		"unknown kind":       "\x02\x00\x00\x00\x63x",
		"packet too long":    "\xff\xff\xff\x7f\x02",
		"ping with a field":  "\x02\x00\x00\x00\x05x",
		"question too long":  "\x22\x00\x00\x00\x07",
		"image too long":     "\xff\xff\xff\x7f\x16",
		"cut in the header":  "\x02\x00",
		"cut in the message": "\x05\x00\x00\x00\x02x",
	} {
		l := newLink(script{Reader: strings.NewReader(bytes)})
		if _, _, err := l.read(); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := newLink(script{Writer: io.Discard})
	if err := l.write(kindPacket, make([]byte, maxData+headRoom+1)); err == nil {
		t.Error("too long a packet is written")
	}
	if _, err := decodeStart(startMessage{version: protocolVersion + 1}.encode()); err == nil {
		t.Error("another version is taken")
	}
}

// FuzzMessage: no message crashes the decoder, and what it accepts means the same when it is encoded again.
func FuzzMessage(f *testing.F) {
	now := time.Now()
	var e events
	e.notify = func(bool) {}
	e.StageDone(engine.StageDecode, 1, 2)
	e.Dropped(engine.StageDecode, "behind", 1)
	slog.New(&handler{events: &e}).Error("text", "a", 1, "b", 2.5, "c", true, "d", time.Second)
	f.Add(byte(kindEvents), e.batch.encode(now))
	f.Add(byte(kindPacket), appendPacket(nil, media.Packet{Arrival: now, NTP: now, PTS: 5, Keyframe: true, Enhancer: "x"}, now))
	track := media.Track{Codec: media.H264, ParameterSets: [][]byte{{1}}, RTP: media.RTPFormat{FMTP: map[string]string{"a": "b"}}}
	f.Add(byte(kindTracks), encodeTracks([]media.Track{track}))
	start := startMessage{version: protocolVersion, spec: []byte("{}"), config: engine.Config{Track: track, Quality: []string{"lanczos"}}}
	f.Add(byte(kindStart), start.encode())
	f.Add(byte(kindWant), []byte{5, 2})
	f.Add(byte(kindSnapshot), question{7, engine.VariantCompare, 320}.encode())
	shot := answer{shot: engine.Snapshot{Width: 1280, Height: 720, PTS: time.Minute, At: now, Enhancer: "x"}}
	f.Add(byte(kindShot), append(appendAnswer(nil, 7, shot, now), "image"...))
	f.Add(byte(kindShot), appendAnswer(nil, 8, answer{err: engine.ErrNoPicture}, now))
	f.Fuzz(func(t *testing.T, k byte, message []byte) {
		again := func(message []byte) ([]byte, error) {
			switch kind(k) {
			case kindPacket:
				p, err := decodePacket(message, now)
				return append(appendPacket(nil, p, now), p.Data...), err
			case kindTracks:
				tracks, err := decodeTracks(message)
				return encodeTracks(tracks), err
			case kindSnapshot:
				q, err := decodeQuestion(message)
				if err != nil {
					return nil, err
				}
				return q.encode(), nil
			case kindShot:
				id, a, err := decodeAnswer(message, now)
				return append(appendAnswer(nil, id, a, now), a.shot.JPEG...), err
			case kindWant:
				wanted, refresh, err := decodeWant(message)
				return []byte{byte(wanted), byte(refresh)}, err
			case kindStart:
				m, err := decodeStart(message)
				return m.encode(), err
			default:
				b, err := decodeBatch(message, now)
				return b.encode(now), err
			}
		}
		first, err := again(message)
		if err != nil {
			return
		}
		second, err := again(first)
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%q became %q and then %q: %v", message, first, second, err)
		}
	})
}

// FuzzLink: a stream of bytes is read as messages or refused; nothing is read beyond what a message may have.
func FuzzLink(f *testing.F) {
	var out bytes.Buffer
	l := newLink(script{Writer: &out})
	_ = l.write(kindHello, appendInt(nil, protocolVersion))
	_ = l.write(kindPing)
	_ = l.write(kindPacket, appendPacket(nil, media.Packet{}, time.Now()), []byte("data"))
	_ = l.flush()
	f.Add(out.Bytes())
	f.Fuzz(func(t *testing.T, stream []byte) {
		l := newLink(script{Reader: bytes.NewReader(stream)})
		for {
			k, message, err := l.read()
			if err != nil {
				return
			}
			if len(message) > k.limit() {
				t.Errorf("kind %d with %d bytes", k, len(message))
			}
		}
	})
}
