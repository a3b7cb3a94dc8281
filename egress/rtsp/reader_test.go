package rtsp

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/liberrors"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/egress/capture"
	"rave/egress/gate"
)

// A TCP client that stops reading loses whole access units, comes back at a keyframe with contiguous sequence numbers,
// and nobody else notices.
func TestSlowReaderSkipsToAKeyframe(t *testing.T) {
	var wanted, dropped atomic.Int64
	s := startServer(t, Config{
		QueueUnits: 8, WriteTimeout: time.Minute,
		OnDrop: func(path, reason string, n int) {
			if path != "cam1" || reason != "slow_reader" {
				t.Errorf("drop on %s: %s", path, reason)
			}
			dropped.Add(int64(n))
		},
	})
	p := s.Path("cam1", PathConfig{OnReader: func() { wanted.Add(1) }})
	mustOpen(t, p, videoTrack())
	release := make(chan struct{})
	let := sync.OnceFunc(func() { close(release) })
	slow, fast := newPlayer(gortsplib.TransportTCP), newPlayer(gortsplib.TransportTCP)
	slow.video = make(chan *rtp.Packet, 1<<16)
	slow.gate = func() { <-release }
	slow.play(t, pathURL(s, "cam1"))
	t.Cleanup(let) // before the client is closed, whatever fails
	fast.play(t, pathURL(s, "cam1"))
	mustWrite(t, p, picture(0, 100, true))

	n := 0
	for wanted.Load() < 3 { // one for each join, one for the reader that fell behind
		n++
		mustWrite(t, p, picture(n, 100_000, false))
		receive(t, fast.units, "picture")
	}
	last := n
	let()
	for range 3 { // the slow one waits for a keyframe
		n++
		mustWrite(t, p, picture(n, 1000, false))
	}
	key := n + 1
	mustWrite(t, p, picture(key, 1000, true), picture(key+1, 1000, false))
	for got := range fast.units {
		if got == key+1 {
			break
		}
	}
	checkSkip(t, slow, last, key)
	if d := int64(p.Stats().Dropped["slow_reader"]); d == 0 || d != dropped.Load() {
		t.Errorf("%d drops counted, %d told", d, dropped.Load())
	}
}

// checkSkip reads pictures up to key+1: contiguous up to some picture before last, then key.
func checkSkip(t *testing.T, slow *player, last, key int) {
	t.Helper()
	prev := -1
	for prev != key+1 {
		got := receive(t, slow.units, "picture of the slow reader")
		if got != prev+1 && got != key {
			t.Fatalf("picture %d after %d: only the keyframe %d may follow a gap", got, prev, key)
		}
		if got == key && prev >= last {
			t.Errorf("nothing was skipped before %d", key)
		}
		prev = got
	}
	close(slow.video)
	first := true
	var seq uint16
	for pkt := range slow.video {
		if !first && pkt.SequenceNumber != seq+1 {
			t.Fatalf("sequence number %d after %d", pkt.SequenceNumber, seq)
		}
		first, seq = false, pkt.SequenceNumber
	}
}

// fakeSession is a writer whose queue has room for so many packets.
type fakeSession struct {
	room chan struct{}
	rtp  chan *rtp.Packet
	rtcp chan *rtcp.SenderReport
}

func (f *fakeSession) WritePacketRTP(_ *description.Media, p *rtp.Packet) error {
	select {
	case <-f.room:
		f.rtp <- p
		return nil
	default:
		return liberrors.ErrServerWriteQueueFull{}
	}
}

func (f *fakeSession) WritePacketRTCP(_ *description.Media, p rtcp.Packet) error {
	f.rtcp <- p.(*rtcp.SenderReport)
	return nil
}

func newFakeReader(t *testing.T, l gate.Limits) (*reader, *fakeSession) {
	t.Helper()
	f := &fakeSession{room: make(chan struct{}, 1<<16), rtp: make(chan *rtp.Packet, 1<<16), rtcp: make(chan *rtcp.SenderReport, 1<<16)}
	v, err := newOutTrack(videoTrack())
	if err != nil {
		t.Fatal(err)
	}
	a, err := newOutTrack(audioTrack())
	if err != nil {
		t.Fatal(err)
	}
	g := &generation{tracks: []*outTrack{v, a}}
	r := g.newReader(f, []*description.Media{v.media, a.media})
	r.limits, r.wall, r.sent = l, &capture.Clock{}, &atomic.Uint64{}
	return r, f
}

// Reports come before the first packet, after the first of each track, and agree on the wall clock of a stream time.
func TestReaderReports(t *testing.T) {
	r, f := newFakeReader(t, gate.Limits{Units: 10, Bytes: 1 << 20})
	captured := time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC)
	pkt := picture(25, 10, true)
	pkt.NTP = captured
	r.wall.Observe(pkt)
	r.start(nil)
	defer r.stopAndWait()
	v, err := r.tracks[0].packetize(0, pkt)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.tracks[1].packetize(1, sound(50)) // the same stream time, 1 s
	if err != nil {
		t.Fatal(err)
	}
	r.push(v)
	for range 2 {
		sr := receive(t, f.rtcp, "report before the first packet")
		if got := sr.NTPTime >> 32; got != uint64(captured.Unix()+2208988800) {
			t.Errorf("NTP seconds %d", got)
		}
		if fraction := float64(sr.NTPTime&0xffffffff) / (1 << 32); fraction < 0.8899 || fraction > 0.8901 {
			t.Errorf("NTP fraction %v, want 0.89 of a second in units of 2^-32 s", fraction)
		}
		if want := [2]uint32{v.rtp, a.rtp}; sr.RTPTime != want[0] && sr.RTPTime != want[1] {
			t.Errorf("RTP time %d, want one of %d", sr.RTPTime, want)
		}
	}
	if len(f.rtp) != 0 {
		t.Error("a packet came before the report")
	}
	f.room <- struct{}{}
	receive(t, f.rtp, "packet")
	for range 2 {
		receive(t, f.rtcp, "report after the first packet")
	}
	r.push(a)
	f.room <- struct{}{}
	receive(t, f.rtp, "sound")
	counts := map[uint32]bool{}
	for range 2 {
		counts[receive(t, f.rtcp, "report after the first sound").PacketCount] = true
	}
	if !counts[1] {
		t.Errorf("packet counts %v", counts)
	}
}

// A session that is gone does not keep its reader.
func TestReaderStopsWhileItsSessionIsFull(t *testing.T) {
	r, f := newFakeReader(t, gate.Limits{Units: 10, Bytes: 1 << 20})
	r.start(nil)
	u, err := r.tracks[0].packetize(0, picture(0, 10, true))
	if err != nil {
		t.Fatal(err)
	}
	r.push(u)
	receive(t, f.rtcp, "report")
	r.stopAndWait()
}

func TestPacerBoundsABurst(t *testing.T) {
	stop := make(chan struct{})
	p := &pacer{}
	start := time.Now()
	const packets = 64 + 800 // 50 ms at 16,000 a second
	for range packets {
		if !p.wait(stop) {
			t.Fatal("stopped")
		}
	}
	if d := time.Since(start); d < 45*time.Millisecond {
		t.Errorf("%d packets left in %v", packets, d)
	}
	close(stop)
	p.credit = 0
	if p.wait(stop) && p.credit > 1 {
		t.Error("waiting was not interrupted")
	}
}
