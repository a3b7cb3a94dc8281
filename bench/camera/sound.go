package camera

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/g711"
	"github.com/pion/rtp"
)

const (
	packetTime   = 20 * time.Millisecond
	perSecond    = int(time.Second / packetTime)
	tonePackets  = 5 // 100 ms
	opusRate     = 48000
	pcmaRate     = 8000
	pcmaType     = 8
	audioType    = 97
	opusSilence  = "\xf8\xff\xfe" // one frame of 20 ms (RFC 6716 section 3.1: configuration 31, mono, code 0)
	toneHertz    = 1000
	toneLoudness = 0.5
)

func audioFormat(a Audio) (format.Format, error) {
	switch a {
	case PCMA:
		return &format.G711{PayloadTyp: pcmaType, SampleRate: pcmaRate, ChannelCount: 1}, nil
	case Opus:
		return &format.Opus{PayloadTyp: audioType, ChannelCount: 2}, nil
	default:
		return nil, fmt.Errorf("audio %q: there is pcma and opus", a)
	}
}

// sound makes the packets of an audio track.
type sound struct {
	rate          int // RTP clock, Hz
	payloadType   uint8
	tone, silence []byte
	sequence      uint16
}

func newSound(a Audio) *sound {
	s := &sound{rate: opusRate, payloadType: audioType, sequence: uint16(rand.Uint32()),
		tone: []byte(opusSilence), silence: []byte(opusSilence)}
	if a == PCMA {
		s.rate, s.payloadType = pcmaRate, pcmaType
		s.tone, s.silence = alaw(toneLoudness), alaw(0)
	}
	return s
}

// packet returns packet k of the track without its time stamp.
func (s *sound) packet(k int) *rtp.Packet {
	payload := s.silence
	if k%perSecond < tonePackets {
		payload = s.tone
	}
	s.sequence++
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: s.payloadType, SequenceNumber: s.sequence, Marker: k == 0},
		Payload: payload,
	}
}

// alaw returns one packet's time of tone, a whole number of its waves.
func alaw(loudness float64) []byte {
	const samples = pcmaRate / 1000 * int(packetTime/time.Millisecond)
	linear := make(g711.Alaw, 0, 2*samples)
	for i := range samples {
		v := int16(loudness * math.MaxInt16 * math.Sin(2*math.Pi*toneHertz*float64(i)/pcmaRate))
		linear = append(linear, byte(uint16(v)>>8), byte(v))
	}
	encoded, err := linear.Marshal()
	if err != nil { // an odd number of bytes, which this is not
		return make([]byte, samples)
	}
	return encoded
}
