package rtpin

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest"
	"rave/ingest/rtpin/rtptest"
)

// Over UDP the reports that a sender sends first may be handled after its first packets, and sound may be late. It
// belongs where the reports say, from the first packet on; without them, where it has arrived.
func TestFirstSoundWaitsForItsReport(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name         string
		video, sound time.Duration // when their reports are handled; 0: never
		late         time.Duration // how much later than pictures sound arrives
		want         time.Duration // where the first sound belongs beside the first picture,
		first        time.Duration // and when it is passed on
	}{
		{"both come first", 1, 1, 30 * ms, 0, 30 * ms},
		{"sound's comes late", 1, 75 * ms, 30 * ms, 0, 75 * ms},
		{"sound's comes late, and sound is ahead", 1, 45 * ms, -30 * ms, 0, 45 * ms},
		{"none comes, and sound is ahead", 0, 0, -30 * ms, -30 * ms, -30*ms + holdTime},
		{"both come late", 45 * ms, 45 * ms, 30 * ms, 0, 80 * ms}, // with the third picture
		{"sound's never comes", 1, 0, 30 * ms, 30 * ms, 30*ms + holdTime},
		{"none comes", 0, 0, 30 * ms, 30 * ms, 30*ms + holdTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				video, err := Video(rtptest.H264(), func(string, int) {})
				if err != nil {
					t.Fatal(err)
				}
				inputs := []*Input{video, Audio(rtptest.Opus())}
				inputs[1].Track.ID = 1
				out := &timed{Collector: rtptest.NewCollector()}
				r := NewReceiver(&ingest.Clock{}, NewJumps(slog.New(slog.DiscardHandler)), func(string, int) {})
				defer r.Close()
				r.Take(inputs...)
				r.Apart()
				r.Attach(out)
				begin := time.Now().Add(100 * ms) // when the first picture comes
				at := func(when time.Duration, do func()) { time.AfterFunc(time.Until(begin.Add(when)), do) }
				report := func(in *Input, ssrc uint32, when time.Duration) {
					if when != 0 {
						at(when, func() { r.Report(in, &rtcp.SenderReport{SSRC: ssrc, NTPTime: 4000000000<<32 | 0xf0000000}) })
					}
				}
				report(inputs[0], 1, c.video)
				report(inputs[1], 2, c.sound)
				const pictures = 20
				for n := range pictures {
					at(time.Duration(n)*40*ms+2, func() {
						r.Packet(inputs[0], &rtp.Packet{Header: rtp.Header{Marker: true, SSRC: 1, SequenceNumber: uint16(n), Timestamp: uint32(n * 3600)}, Payload: rtptest.IDR(n, 10)})
					})
				}
				for n := range 2 * pictures {
					at(time.Duration(n)*20*ms+c.late, func() {
						r.Packet(inputs[1], &rtp.Packet{Header: rtp.Header{SSRC: 2, SequenceNumber: uint16(n), Timestamp: uint32(n * 960)}, Payload: []byte{byte(n)}})
					})
				}
				time.Sleep(time.Second)
				sounds := 0
				picture := time.Duration(-1) // the first
				var sound []media.Packet
				for len(out.Packets) > 0 {
					if p := <-out.Packets; p.Track == 1 {
						sound = append(sound, p)
					} else if picture < 0 {
						picture = p.PTS
					}
				}
				for _, p := range sound {
					if want := time.Duration(sounds) * 20 * ms; (p.PTS-picture-want-c.want).Abs() > ms || int(p.Data[0]) != sounds {
						t.Errorf("sound %d: packet %d at %v after the first picture, want %v", sounds, p.Data[0], p.PTS-picture, want+c.want)
					}
					if when := p.Arrival.Sub(begin); (when - time.Duration(sounds)*20*ms - c.late).Abs() > 0 {
						t.Errorf("sound %d arrived at %v", sounds, when)
					}
					sounds++
				}
				if when := out.first.Sub(begin); sounds != 2*pictures || (when-c.first).Abs() > ms {
					t.Errorf("%d packets of sound, the first passed on after %v, want %v", sounds, when, c.first)
				}
			})
		})
	}
}

// timed notes when the first sound is passed on.
type timed struct {
	*rtptest.Collector
	first time.Time
}

func (o *timed) Packet(p media.Packet) error {
	if p.Track == 1 && o.first.IsZero() {
		o.first = time.Now()
	}
	return o.Collector.Packet(p)
}
