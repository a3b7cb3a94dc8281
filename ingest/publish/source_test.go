package publish

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"rave/ingest"
	"rave/ingest/rtpin"
	"rave/ingest/rtpin/rtptest"
)

// guest is a publisher with a connection that the source may end.
type guest struct {
	*Turn
	video  *rtpin.Input
	hungUp int
}

func come(t *testing.T, s *Source) (*guest, error) {
	t.Helper()
	g := &guest{}
	var err error
	if g.video, err = rtpin.Video(rtptest.H264(), s.Drop); err != nil {
		t.Fatal(err)
	}
	g.Turn, err = s.Take(func() { g.hungUp++ }, g.video)
	return g, err
}

func (g *guest) send(seq int) {
	g.Packet(g.video, &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(seq), Timestamp: uint32(seq) * 3600, Marker: true},
		Payload: rtptest.IDR(seq, 10),
	})
}

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Name: "cam1"})
		out := rtptest.NewCollector()
		_, ended := rtptest.Start(t, s, out)
		first, err := come(t, s)
		if err != nil {
			t.Fatal(err)
		}
		first.Begin()
		first.send(0)
		if p := rtptest.Receive(t, out.Packets, "picture"); p.PTS != 0 || !p.Discontinuity {
			t.Errorf("first picture at %v", p.PTS)
		}
		time.Sleep(time.Hour) // who sends is not sent away
		if _, err := come(t, s); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "stream cam1 has a publisher already: stop it first") {
			t.Errorf("second publisher: %v", err)
		}
		first.Leave(errors.New("bored"))
		first.Leave(nil)
		if err := rtptest.Receive(t, ended, "end"); !errors.Is(err, ingest.ErrEnded) || !strings.Contains(err.Error(), "publisher left: bored") {
			t.Errorf("Run returned %v", err)
		}
		first.send(1) // of no use any more
		_, ended = rtptest.Start(t, s, out)
		second, err := come(t, s)
		if err != nil {
			t.Fatal(err)
		}
		second.Begin()
		second.send(500)
		if p := rtptest.Receive(t, out.Packets, "picture"); p.PTS < time.Hour || !p.Discontinuity {
			t.Errorf("the second publisher's time must go on from the first's: %v", p.PTS)
		}
		second.Leave(nil)
		rtptest.Receive(t, ended, "end")
		if len(out.Packets) != 0 {
			t.Errorf("%d packets too many", len(out.Packets))
		}
	})
}

// One that comes and never begins does not hold the stream for ever.
func TestTurnIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Name: "cam1"})
		idle, err := come(t, s)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(beginTimeout - time.Millisecond)
		if _, err := come(t, s); err == nil {
			t.Fatal("the stream must be held at first")
		}
		time.Sleep(time.Millisecond)
		if _, err := come(t, s); err != nil || idle.hungUp != 1 {
			t.Errorf("%v, hung up %d times", err, idle.hungUp)
		}
		idle.Leave(nil) // as its connection ends
		if _, err := come(t, s); err == nil {
			t.Error("one that has lost its turn ended another's")
		}
	})
}

// A publisher begins when somebody listens: its first keyframe may be the only one for a long time.
func TestPublisherWaitsForAListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Name: "cam1"})
		g, err := come(t, s)
		if err != nil {
			t.Fatal(err)
		}
		began := make(chan struct{})
		go func() {
			g.Begin()
			close(began)
		}()
		synctest.Wait()
		select {
		case <-began:
			t.Fatal("it may begin while nobody listens")
		default:
		}
		out := rtptest.NewCollector()
		stop, _ := rtptest.Start(t, s, out)
		<-began
		g.send(0)
		rtptest.Receive(t, out.Packets, "picture")
		if err := stop(); !errors.Is(err, context.Canceled) || g.hungUp != 1 {
			t.Errorf("%v, hung up %d times", err, g.hungUp)
		}
	})
}
