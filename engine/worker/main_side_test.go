package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/engine"
	"rave/engine/media"
)

// TestMainSide speaks to Main as a main process would, and as none would.
func TestMainSide(t *testing.T) {
	plain := startMessage{version: protocolVersion, config: engine.Config{Quality: []string{engine.Lanczos}}}
	start := func(m startMessage) func(*link) { return func(l *link) { _ = l.write(kindStart, m.encode()) } }
	raw := func(k kind, fields string) func(*link) {
		return func(l *link) { _ = l.write(k, []byte(fields)) }
	}
	for _, c := range []struct {
		name string
		say  []func(*link)
		hang bool // do not close
		err  string
	}{
		{name: "gone at once", err: "read start"},
		{name: "no start", say: []func(*link){raw(kindPing, "")}, err: "instead of the start"},
		{name: "another version", say: []func(*link){start(startMessage{version: 99})}, err: "version"},
		{name: "gone", say: []func(*link){start(plain)}},
		{name: "goodbye", say: []func(*link){start(plain), raw(kindGoodbye, "")}, hang: true},
		{name: "orders", say: []func(*link){start(plain), raw(kindKeyframe, ""), raw(kindPing, ""), raw(kindGoodbye, "")}, hang: true},
		{name: "unknown variant", say: []func(*link){start(plain), raw(kindSnapshot, "\x01\x07\x00")}, hang: true, err: "variant"},
		{name: "snapshot before a picture", say: []func(*link){start(plain), raw(kindSnapshot, "\x02\x00\x00"), raw(kindGoodbye, "")}, hang: true},
		{name: "unknown rendition", say: []func(*link){start(plain), raw(kindWant, "\x10\x00")}, hang: true, err: "renditions"},
		{name: "wants", say: []func(*link){start(plain), raw(kindWant, "\x0f\x0b"), raw(kindGoodbye, "")}, hang: true},
		{name: "nonsense", say: []func(*link){start(plain), raw(kindTracks, "x")}, hang: true, err: "malformed"},
		{name: "packet cut short", say: []func(*link){start(plain), raw(kindPacket, "\x00")}, hang: true, err: "malformed"},
		{name: "no plan", say: []func(*link){start(startMessage{version: protocolVersion, spec: []byte("bad")})}, hang: true, err: "bad spec"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs, err := socketPair()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			fd := mustDup(t, int(theirs.Fd()))
			theirs.Close()
			ended := make(chan error, 1)
			go func() {
				ended <- Main(uintptr(fd), func(_ context.Context, spec []byte, _ *slog.Logger) (engine.Plan, error) {
					if len(spec) > 0 {
						return engine.Plan{}, errors.New("bad spec")
					}
					return engine.Plan{}, nil
				})
			}()
			l := newLink(ours)
			for _, say := range c.say {
				say(l)
			}
			_ = l.flush()
			if !c.hang {
				_ = ours.(interface{ CloseWrite() error }).CloseWrite()
			}
			switch err := <-ended; {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("ended with %v, want %q", err, c.err)
			}
			if k, _, err := l.read(); k != kindHello || err != nil {
				t.Errorf("kind %d before hello: %v", k, err)
			}
		})
	}
}

// TestLargePacket: packets that are larger than the socket's buffer cross it, up to the limit.
func TestLargePacket(t *testing.T) {
	ours, theirs, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	conn, err := inherit(uintptr(mustDup(t, int(theirs.Fd()))))
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	data := bytes.Repeat([]byte("0123456789abcdef"), maxData/16)
	done := make(chan error, 1)
	go func() {
		l := newLink(ours)
		err := l.write(kindPacket, appendPacket(nil, media.Packet{PTS: 7, Arrival: time.Now()}, time.Now()), data)
		done <- errors.Join(err, l.write(kindPing), l.flush())
	}()
	l := newLink(conn)
	k, message, err := l.read()
	if err != nil || k != kindPacket {
		t.Fatalf("kind %d: %v", k, err)
	}
	p, err := decodePacket(message, time.Now())
	if err != nil || p.PTS != 7 || !bytes.Equal(p.Data, data) {
		t.Errorf("packet at %v with %d bytes: %v", p.PTS, len(p.Data), err)
	}
	if k, _, err := l.read(); k != kindPing || err != nil {
		t.Errorf("then kind %d: %v", k, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func mustDup(t *testing.T, fd int) int {
	t.Helper()
	n, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
