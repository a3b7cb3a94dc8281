package main

import (
	"context"
	"errors"
	"testing"

	"rave/engine"
	"rave/engine/media"
)

// looked is a session that notes its end.
type looked struct {
	session
	ended chan struct{}
}

func (l *looked) Run(ctx context.Context) error {
	<-ctx.Done()
	close(l.ended)
	return ctx.Err()
}

func (*looked) Send(context.Context, media.Packet) bool { return true }

func (*looked) Snapshot(context.Context, string, int) (engine.Snapshot, error) {
	return engine.Snapshot{}, engine.ErrNoPicture
}

// A camera that is asked again, over TCP, announces itself twice: the session of before ends with the second, and that one
// with the look. Where none can be opened nothing was found.
func TestLookTwice(t *testing.T) {
	var sessions []*looked
	var fails error
	l := &look{ctx: t.Context(), seen: &sight{}, open: func(media.Track, *sight) (session, error) {
		if fails != nil {
			return nil, fails
		}
		sessions = append(sessions, &looked{ended: make(chan struct{})})
		return sessions[len(sessions)-1], nil
	}}
	tracks := []media.Track{{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate}}
	if err := errors.Join(l.Tracks(tracks), l.Packet(media.Packet{}), l.Tracks(tracks), l.Packet(media.Packet{})); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sessions[0].ended:
	default:
		t.Error("the first session goes on")
	}
	if f := l.found(); f.Video.Codec != string(media.H264) {
		t.Errorf("found %+v", f)
	}
	l.close()
	select {
	case <-sessions[1].ended:
	default:
		t.Error("the second session goes on")
	}
	fails = errors.New("no memory")
	none := &look{ctx: t.Context(), seen: &sight{}, open: l.open}
	if err := none.Tracks(tracks); !errors.Is(err, fails) || none.tracks != nil {
		t.Errorf("%v, found %v", err, none.tracks)
	}
}
