package camera

import (
	"fmt"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/pion/rtp"

	"rave/engine/media"
)

const payloadType = 96

// packer turns an access unit into RTP packets without time stamps.
type packer func(data []byte) ([]*rtp.Packet, error)

// newPacker returns a track's description and packer, with the parameter sets where they belong.
func newPacker(track media.Track, sets Sets) (format.Format, packer, error) {
	switch track.Codec {
	case media.H264:
		f := &format.H264{PayloadTyp: payloadType, PacketizationMode: 1}
		if sets != SetsInBand && len(track.ParameterSets) == 2 {
			f.SPS, f.PPS = track.ParameterSets[0], track.ParameterSets[1]
		}
		encoder, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, fmt.Errorf("packetize H.264: %w", err)
		}
		isSet := func(unit []byte) bool {
			kind := h264.NALUType(unit[0] & 31)
			return kind == h264.NALUTypeSPS || kind == h264.NALUTypePPS
		}
		return f, func(data []byte) ([]*rtp.Packet, error) { return encoder.Encode(units(data, sets, isSet)) }, nil
	case media.H265:
		f := &format.H265{PayloadTyp: payloadType}
		if sets != SetsInBand && len(track.ParameterSets) == 3 {
			f.VPS, f.SPS, f.PPS = track.ParameterSets[0], track.ParameterSets[1], track.ParameterSets[2]
		}
		encoder, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, fmt.Errorf("packetize H.265: %w", err)
		}
		isSet := func(unit []byte) bool {
			kind := h265.NALUType(unit[0] >> 1 & 63)
			return kind == h265.NALUType_VPS_NUT || kind == h265.NALUType_SPS_NUT || kind == h265.NALUType_PPS_NUT
		}
		return f, func(data []byte) ([]*rtp.Packet, error) { return encoder.Encode(units(data, sets, isSet)) }, nil
	case media.MJPEG:
		f := &format.MJPEG{}
		encoder, err := f.CreateEncoder()
		if err != nil {
			return nil, nil, fmt.Errorf("packetize MJPEG: %w", err)
		}
		return f, encoder.Encode, nil
	default:
		return nil, nil, fmt.Errorf("codec %q", track.Codec)
	}
}

// units splits an access unit; parameter sets that are in the SDP only are left out.
func units(data []byte, sets Sets, isSet func([]byte) bool) [][]byte {
	var list [][]byte
	for unit := range media.NALUs(data) {
		if sets != SetsSDP || !isSet(unit) {
			list = append(list, unit)
		}
	}
	return list
}
