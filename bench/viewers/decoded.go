package viewers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"rave/engine"
	"rave/engine/media"
	"rave/engine/software"
)

// screen is a viewer's eye for the first keyframe: it decodes it. Its packet is for whep.Config.OnPacket.
type screen struct {
	packets rtph264.Decoder
	decoder engine.Decoder
	ledger  engine.Ledger

	mu    sync.Mutex
	done  chan struct{} // closed when a keyframe is decoded, or cannot be
	ended bool
	first time.Time // when it was decoded
	err   error     // why it is not
}

// newScreen opens a decoder, as a viewer has one before the picture comes. The caller closes it.
func newScreen(ctx context.Context) (*screen, error) {
	s := &screen{packets: rtph264.Decoder{PacketizationMode: 1}, done: make(chan struct{})}
	if err := s.packets.Init(); err != nil {
		return nil, fmt.Errorf("open depacketizer: %w", err)
	}
	var err error
	s.decoder, err = software.New(software.Config{}).NewDecoder(ctx, engine.DecoderParams{
		Stream: "viewer", Log: slog.New(slog.DiscardHandler), Track: media.Track{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate},
		Threads: 1, Frames: 1, Ledger: &s.ledger,
	})
	return s, err
}

// close may be called when no packet comes any more.
func (s *screen) close() { s.decoder.Close() }

func (s *screen) packet(kind webrtc.RTPCodecType, pkt *rtp.Packet) {
	if kind != webrtc.RTPCodecTypeVideo {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	nals, err := s.packets.Decode(pkt)
	const typeOf, idr = 0x1f, 5 // ITU-T H.264 table 7-1
	if err != nil || !slices.ContainsFunc(nals, func(n []byte) bool { return len(n) > 0 && n[0]&typeOf == idr }) {
		return // more packets are needed, or it is a picture before the keyframe
	}
	err = s.decoder.Send(media.Packet{Data: media.AnnexB(nals...), Keyframe: true}, func(f *media.Frame) error {
		s.first = time.Now()
		f.Release()
		return nil
	})
	if err == nil && s.first.IsZero() {
		err = errors.New("the decoder keeps it back")
	}
	if err != nil {
		s.err = fmt.Errorf("decode the first keyframe: %w", err)
	}
	s.ended = true
	close(s.done)
}

// seen returns when the first keyframe was decoded, once done is closed.
func (s *screen) seen() (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first, s.err
}
