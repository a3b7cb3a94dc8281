package engine

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// TestRepeat holds the last picture while the camera is away: repetitions come at their times, a keyframe if somebody asks
// for one, and count nowhere; what the camera sent before the last of them and comes late is given up; then it goes on.
func TestRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &fakeDevice{script: script{gop: 100, encGOP: time.Minute, quality: []string{Lanczos}}, drops: map[string]int{}}
		s := New(Config{
			Track: media.Track{Codec: media.H264}, Plan: Plan{Decode: d, Enhance: d, Encode: d}, Quality: d.quality, GOP: d.encGOP,
			Observer: scriptOutput{d}, Log: slog.New(slog.DiscardHandler), OnMisuse: func() { t.Error("a frame was released twice") },
		}, scriptOutput{d})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		send := func(n int, unwanted bool) {
			p := d.packet(n)
			p.DecodeOnly = unwanted
			s.Send(ctx, p)
			time.Sleep(frameTime)
		}
		repeat := func(n int) {
			s.Repeat(time.Duration(n) * frameTime)
			time.Sleep(frameTime)
		}
		repeat(1) // there is no picture yet
		send(0, true)
		send(1, true)
		send(2, false)
		send(3, false)
		repeat(20)
		repeat(10) // of the past
		s.RequestKeyframe()
		repeat(40)
		send(30, false) // it was on its way for long
		send(41, false)
		repeat(50)
		cancel()
		if err := <-done; err != nil || s.InUse() != 0 {
			t.Errorf("Run: %v, %d frames in use", err, s.InUse())
		}
		s.Repeat(time.Hour) // too late
		got := ""
		for _, p := range d.packets {
			got += fmt.Sprint(" ", number(p.PTS))
			if p.Held {
				got += "h"
			}
			if p.Keyframe {
				got += "k"
			}
		}
		if want := " 2k 3 20h 40hk 41 50h"; got != want {
			t.Errorf("came out:%s, want%s", got, want)
		}
		if got := fmt.Sprint(d.made, d.drops); got != "3 map[enhance/late:1]" {
			t.Errorf("counted: %s", got)
		}
	})
}

// TestRepeatOfAnotherGeneration: a picture is not repeated into an encoder that it is too large or too small for.
func TestRepeatOfAnotherGeneration(t *testing.T) {
	var ledger Ledger
	pool, err := fakePool(1, media.Format{Width: 64}, &ledger)
	if err != nil {
		t.Fatal(err)
	}
	f, err := pool.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	queue := NewQueue[*media.Frame](1, nil)
	var k still
	k.open(queue, func() { t.Error("a frame was released twice") })
	k.keep(f).Release()
	k.repeat(1)
	k.repeat(2) // the first still waits
	k.drop()
	k.repeat(3)
	if n := queue.Len(); n != 1 || ledger.InUse() != 1 {
		t.Errorf("%d repetitions wait, %d frames in use; want 1 and 1", n, ledger.InUse())
	}
	queue.Drain(func(f *media.Frame) {
		if f.PTS != 1 || !f.Held {
			t.Errorf("%v was put into the queue", f.Meta)
		}
		f.Release()
	})
	if ledger.InUse() != 0 {
		t.Error("the picture was not released")
	}
}
