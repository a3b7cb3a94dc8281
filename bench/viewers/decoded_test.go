package viewers

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"rave/bench/leak"
	"rave/engine/media"
	"rave/ingest/testsrc"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// taker takes two access units of a clip.
type taker struct{ units [][]byte }

var errEnough = errors.New("enough")

func (t *taker) Tracks([]media.Track) error { return nil }

func (t *taker) Packet(p media.Packet) error {
	if t.units = append(t.units, p.Data); len(t.units) < 2 {
		return nil
	}
	return errEnough
}

// What counts is a keyframe that is decoded: not what comes before it, not a part of it, and not one that is broken.
func TestScreenDecodes(t *testing.T) {
	clip, err := testsrc.Open("../../ingest/testsrc/clips/cockatoo-640x360.mp4", testsrc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	source := &taker{}
	if err := clip.Run(t.Context(), source); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	var pack rtph264.Encoder
	if err := pack.Init(); err != nil {
		t.Fatal(err)
	}
	packets := func(unit []byte) []*rtp.Packet {
		list, err := pack.Encode(slices.Collect(media.NALUs(unit)))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	broken := media.AnnexB([]byte{0x65, 0xff, 0xff, 0xff}) // an IDR slice of nothing
	for name, c := range map[string]struct {
		units [][]byte
		cut   int // packets that are missing at the end
		ended bool
		whole bool
	}{
		"a keyframe":                  {source.units[:1], 0, true, true},
		"after a picture without one": {[][]byte{source.units[1], source.units[0]}, 0, true, true},
		"no keyframe":                 {source.units[1:], 0, false, false},
		"a part of one":               {source.units[:1], 1, false, false},
		"a broken one":                {[][]byte{broken}, 0, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := newScreen(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			var all []*rtp.Packet
			for _, u := range c.units {
				all = append(all, packets(u)...)
			}
			for _, p := range all[:len(all)-c.cut] {
				s.packet(webrtc.RTPCodecTypeVideo, p)
			}
			ended := false
			select {
			case <-s.done:
				ended = true
			default:
			}
			at, err := s.seen()
			if ended != c.ended || at.IsZero() == c.whole || (err != nil) != (c.ended && !c.whole) {
				t.Errorf("ended %v, at %v, %v", ended, at, err)
			}
			if n := s.ledger.InUse(); n != 0 {
				t.Errorf("%d frames are left", n)
			}
		})
	}
}
