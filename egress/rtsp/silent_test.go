package rtsp

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
)

// While a path is silent, a reader over UDP that says nothing by itself is kept; who has paused is not, and neither is
// anybody once the path speaks again.
func TestSilentPathKeepsItsReaders(t *testing.T) {
	const most = 500 * time.Millisecond
	var logs logBuffer
	s := startServer(t, Config{SessionTimeout: most, Log: slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack())
	mustWrite(t, p, picture(0, 10, true))
	silent := dialRaw(t, s, "127.0.0.2")
	if err := silent.PlayUDP("cam1"); err != nil {
		t.Fatal(err)
	}
	p.SetSilent(true)
	p.SetSilent(true) // which does not begin anew
	for range 3 {
		paused := dialRaw(t, s, "")
		if err := paused.PlayUDP("cam1"); err != nil {
			t.Fatal(err)
		}
		if a, err := paused.Do("PAUSE", "cam1"); err != nil || a.Code != 200 {
			t.Fatal(a.Status, err)
		}
		if err := paused.HungUp(waitLimit); err != nil { // after the time that nobody has by himself
			t.Errorf("who has paused: %v", err)
		}
		if n := p.Stats().Readers; n != 1 {
			t.Fatalf("the reader of a silent path is gone: %s", logs.String())
		}
	}
	if strings.Contains(logs.String(), "may be dropped") {
		t.Errorf("its session is not kept alive: %s", logs.String())
	}
	mustWrite(t, p, picture(1, 10, true))
	for range 2 {
		if _, err := silent.Packet(); err != nil {
			t.Fatal(err)
		}
	}
	p.SetSilent(false)
	eventually(t, "the reader is dropped", func() bool { return p.Stats().Readers == 0 })
}

// Patience with a silent path's readers ends: some of them have gone.
func TestSilentPatience(t *testing.T) {
	p := &Path{}
	if p.excuses() {
		t.Error("a path that speaks excuses")
	}
	p.SetSilent(true)
	if !p.excuses() {
		t.Error("a silent path does not excuse")
	}
	p.silent = p.silent.Add(-silentPatience)
	if p.excuses() {
		t.Error("it excuses for ever")
	}
}

// OnReaders is told of the first reader and of the end of the last, however it ends.
func TestOnReaders(t *testing.T) {
	told := make(chan struct{}, 10)
	s := startServer(t, Config{})
	p := s.Path("cam1", PathConfig{OnReaders: func() { told <- struct{}{} }})
	mustOpen(t, p, videoTrack())
	join := func() *player {
		pl := newPlayer(gortsplib.TransportTCP)
		pl.play(t, pathURL(s, "cam1"))
		return pl
	}
	readers := func(want int) {
		t.Helper()
		receive(t, told, "word of a reader")
		if n := p.Stats().Readers; n != want {
			t.Errorf("%d readers, want %d", n, want)
		}
	}
	first := join()
	readers(1)
	second := join()
	first.c.Close()
	eventually(t, "one reader", func() bool { return p.Stats().Readers == 1 })
	if _, err := second.c.Pause(); err != nil {
		t.Fatal(err)
	}
	readers(0)
	if _, err := second.c.Play(nil); err != nil {
		t.Fatal(err)
	}
	readers(1)
	mustOpen(t, p, videoTrack(), audioTrack()) // other formats
	readers(0)
	join()
	readers(1)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	readers(0)
	if len(told) > 0 {
		t.Errorf("told %d times more", len(told))
	}
}
