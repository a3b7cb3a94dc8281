package rtpin

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmjpeg"
	"github.com/pion/rtp"

	"rave/engine/media"
	"rave/ingest/rtpin/rtptest"
)

// Packets in a fuzz input: two bytes of length, one of flags (1: marker, 2: next timestamp, 4: one lost before), payload.
func fuzzPackets(data []byte) []*rtp.Packet {
	var pkts []*rtp.Packet
	var seq uint16
	var ts uint32
	for len(data) >= 3 && len(pkts) < 200 {
		n, flags := int(binary.BigEndian.Uint16(data)), data[2]
		data = data[3:]
		n = min(n, len(data))
		if flags&2 != 0 {
			ts += 3600
		}
		seq += 1 + uint16(flags>>2&1)
		pkts = append(pkts, &rtp.Packet{
			Header:  rtp.Header{Version: 2, SequenceNumber: seq, Timestamp: ts, Marker: flags&1 != 0},
			Payload: bytes.Clone(data[:n]),
		})
		data = data[n:]
	}
	return pkts
}

func fuzzInput(pkts []*rtp.Packet) []byte {
	var b []byte
	var ts uint32
	for _, p := range pkts {
		var flags byte
		if p.Marker {
			flags |= 1
		}
		if p.Timestamp != ts {
			ts, flags = p.Timestamp, flags|2
		}
		b = binary.BigEndian.AppendUint16(b, uint16(len(p.Payload)))
		b = append(append(b, flags), p.Payload...)
	}
	return b
}

// FuzzDepacketize: no panic whatever a camera sends; what comes out is Annex B with 4-byte start codes or an image; the
// sum of what is dropped and what comes out never exceeds the packets.
func FuzzDepacketize(f *testing.F) {
	h264 := pictures(&testing.T{}, [][]byte{{9, 0xf0}, rtptest.SPS(), rtptest.PPS(), rtptest.IDR(0, 3000)}, [][]byte{rtptest.Inter(1, 50)}, [][]byte{rtptest.Inter(2, 3000)})
	f.Add(uint8(0), fuzzInput(h264))
	f.Add(uint8(0), fuzzInput(h264[1:]))
	f.Add(uint8(1), []byte{0, 5, 1, 38, 1, 0x80, 1, 2, 0, 6, 3, 98, 1, 0x93, 0x80, 1, 2, 0, 4, 1, 98, 1, 0x53, 9, 0, 9, 3, 96, 1, 0, 2, 0x40, 1, 0, 1, 0x42})
	enc := &rtpmjpeg.Encoder{PayloadMaxSize: 1200}
	if err := enc.Init(); err != nil {
		f.Fatal(err)
	}
	image, err := enc.Encode(testJPEG())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(2), fuzzInput(image))
	f.Fuzz(func(t *testing.T, codec uint8, data []byte) {
		formats := []format.Format{rtptest.H264(), &format.H265{PayloadTyp: 96}, &format.MJPEG{}}
		dropped := 0
		d, err := newDepacketizer(formats[codec%3], [][]byte{rtptest.SPS(), rtptest.PPS()}, func(_ string, n int) { dropped += n })
		if err != nil {
			t.Fatal(err)
		}
		pkts, units := fuzzPackets(data), 0
		for _, p := range pkts {
			u, ok := d.push(p)
			if !ok {
				continue
			}
			units++
			switch d.codec {
			case media.MJPEG:
				if !bytes.HasPrefix(u.data, []byte{0xff, 0xd8}) {
					t.Errorf("image begins % x", u.data[:2])
				}
			default:
				if !bytes.HasPrefix(u.data, []byte{0, 0, 0, 1}) {
					t.Errorf("unit begins % x", u.data[:min(4, len(u.data))])
				}
			}
		}
		if units+dropped > 2*len(pkts) {
			t.Errorf("%d units and %d drops of %d packets", units, dropped, len(pkts))
		}
	})
}

func FuzzPictureSize(f *testing.F) {
	f.Add(false, rtptest.SPS())
	f.Add(true, []byte{
		0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x78, 0xa0, 0x03,
		0xc0, 0x80, 0x10, 0xe5, 0x96, 0x66, 0x69, 0x24, 0xca, 0xe0, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x01,
		0xe0, 0x80,
	})
	f.Fuzz(func(t *testing.T, hevc bool, sps []byte) {
		codec := media.H264
		if hevc {
			codec = media.H265
		}
		if w, h := pictureSize(codec, sps); w < 0 || h < 0 || w > 1<<15 || h > 1<<15 || (w == 0) != (h == 0) {
			t.Errorf("%d×%d", w, h)
		}
	})
}

func FuzzRecoveryPoint(f *testing.F) {
	f.Add(false, []byte{6, 6, 1, 0xc4, 0x80})
	f.Add(true, []byte{0x4e, 1, 6, 1, 0xc4, 0x80})
	f.Add(false, []byte{6, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, hevc bool, sei []byte) {
		codec := media.H264
		if hevc {
			codec = media.H265
		}
		if count, ok := media.RecoveryPoint(codec, sei); ok && count < 0 {
			t.Errorf("count %d", count)
		}
	})
}
