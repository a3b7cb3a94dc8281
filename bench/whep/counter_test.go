package whep

import (
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

func TestCounter(t *testing.T) {
	c := NewCounter()
	send := func(seq uint16, stamp uint32, marker bool, payload ...byte) {
		c.Packet(webrtc.RTPCodecTypeVideo, &rtp.Packet{Header: rtp.Header{SequenceNumber: seq, Timestamp: stamp, Marker: marker}, Payload: payload})
	}
	keyed := func() bool {
		select {
		case <-c.Keyframe():
			return true
		default:
			return false
		}
	}
	send(65533, 1, true, 0x41, 1)              // before the keyframe
	send(65534, 2, false, 0x78, 0, 9, 0x67, 1) // STAP-A of parameter sets
	send(65535, 2, false, 0x7c, 0x85, 1)       // FU-A, start of an IDR
	if keyed() {
		t.Error("a keyframe that is not whole counts")
	}
	send(1, 2, true, 0x7c, 0x45, 1) // 0 is missing
	send(2, 3, true, 0x41, 1)
	if got := c.Count(); !keyed() || got.Pictures != 1 || got.Lost != 1 || got.First.IsZero() || got.Gap <= 0 {
		t.Errorf("%+v", got)
	}
	send(0, 2, false, 0x7c, 0x05, 1) // comes again
	send(5, 4, true, 0x41, 1)
	if got := c.Count(); got.Pictures != 2 || got.Lost != 2 {
		t.Errorf("%+v", got)
	}
}
