package rtsp

import (
	"bytes"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"rave/engine/media"
)

// nalKind is what a NAL unit means to the assembly of access units, whichever codec it belongs to.
type nalKind uint8

const (
	nalOther     nalKind = iota // SEI and the like, which precede pictures
	nalDelimiter                // access unit delimiter: carries nothing, dropped
	nalVPS
	nalSPS
	nalPPS
	nalSEI     // may hold a recovery point
	nalIDR     // H.265: any IRAP picture
	nalPicture // any other coded slice
	nalSuffix  // follows the pictures of its access unit
)

// kindOf classifies by ITU-T H.264 table 7-1 and H.265 table 7-1. Empty NAL units count as delimiters.
func kindOf(codec media.Codec, nal []byte) nalKind {
	if codec == media.H265 {
		return kindOfH265(nal)
	}
	if len(nal) == 0 {
		return nalDelimiter
	}
	switch typ := nal[0] & 0x1f; {
	case typ == 5:
		return nalIDR
	case typ >= 1 && typ <= 4:
		return nalPicture
	case typ == 6:
		return nalSEI
	case typ == 7:
		return nalSPS
	case typ == 8:
		return nalPPS
	case typ == 9:
		return nalDelimiter
	case typ == 10, typ == 11, typ == 12: // ends and filler
		return nalSuffix
	default:
		return nalOther
	}
}

func kindOfH265(nal []byte) nalKind {
	if len(nal) < 2 {
		return nalDelimiter
	}
	switch typ := nal[0] >> 1 & 0x3f; {
	case typ >= 16 && typ <= 23: // BLA, IDR, CRA
		return nalIDR
	case typ < 32:
		return nalPicture
	case typ == 32:
		return nalVPS
	case typ == 33:
		return nalSPS
	case typ == 34:
		return nalPPS
	case typ == 35:
		return nalDelimiter
	case typ >= 36 && typ <= 38, typ == 40: // ends, filler, suffix SEI
		return nalSuffix
	case typ == 39:
		return nalSEI
	default:
		return nalOther
	}
}

// firstSlice reports that a coded slice is the first of its picture: first_mb_in_slice is 0 (H.264 section 7.3.3) or
// first_slice_segment_in_pic_flag is set (H.265 section 7.3.6.1); both are one leading 1 bit.
func firstSlice(codec media.Codec, nal []byte) bool {
	header := 1
	if codec == media.H265 {
		header = 2
	}
	return len(nal) > header && nal[header]&0x80 != 0
}

// recoveryPoint returns how many pictures after this one the picture is right (recovery_frame_cnt of H.264 section
// D.1.8, recovery_poc_cnt of H.265 section D.2.8) if the SEI holds a recovery point.
func recoveryPoint(codec media.Codec, sei []byte) (count int, ok bool) {
	header := 1
	if codec == media.H265 {
		header = 2
	}
	// Recovery points are short and come early: no need to unescape a long SEI.
	p := h264.EmulationPreventionRemove(sei[:min(len(sei), 256)])
	if len(p) <= header {
		return 0, false
	}
	p = p[header:]
	for len(p) > 2 { // two bytes of header and at least the trailing bits
		typ, n := seiNumber(p)
		size, m := seiNumber(p[n:])
		p = p[n+m:]
		if typ == 6 {
			count, _, ok = expGolomb(p, 0)
			return count, ok
		}
		if size > len(p) {
			break
		}
		p = p[size:]
	}
	return 0, false
}

// seiNumber reads a payload type or size: bytes are summed up to the first that is not 0xff.
func seiNumber(p []byte) (v, n int) {
	for n < len(p) {
		v += int(p[n])
		n++
		if p[n-1] != 0xff {
			break
		}
	}
	return v, n
}

// expGolomb reads ue(v) at a bit offset (H.264 section 9.1).
func expGolomb(p []byte, bit int) (v, next int, ok bool) {
	at := func(i int) int { return int(p[i/8] >> (7 - i%8) & 1) }
	zeros := 0
	for bit+zeros < 8*len(p) && at(bit+zeros) == 0 {
		zeros++
	}
	end := bit + 2*zeros + 1
	if zeros > 31 || end > 8*len(p) {
		return 0, 0, false
	}
	for i := bit + zeros; i < end; i++ {
		v = v<<1 | at(i)
	}
	return v - 1, end, true
}

// pictureSize returns the size in luma pixels that a sequence parameter set declares, 0×0 if it cannot be read.
func pictureSize(codec media.Codec, sps []byte) (width, height int) {
	switch codec {
	case media.H264:
		var s h264.SPS
		if len(sps) < 4 || s.Unmarshal(sps) != nil {
			return 0, 0
		}
		width, height = s.Width(), s.Height()
	case media.H265:
		var s h265.SPS
		if len(sps) < 4 || s.Unmarshal(sps) != nil {
			return 0, 0
		}
		width, height = s.Width(), s.Height()
	}
	const most = 1 << 15
	if width <= 0 || height <= 0 || width > most || height > most {
		return 0, 0
	}
	return width, height
}

// parameterSets are the latest of a stream. A PPS is kept per id, since streams use several.
type parameterSets struct {
	codec    media.Codec
	vps, sps []byte
	pps      [][]byte
}

// maxParameterSet bounds what one parameter set may take to remember; real ones have less than 200 bytes.
const maxParameterSet = 8 << 10

// add remembers a parameter set. A new SPS makes the PPSs before it void.
func (s *parameterSets) add(kind nalKind, nal []byte) {
	if len(nal) > maxParameterSet {
		return
	}
	switch kind {
	case nalVPS:
		s.vps = bytes.Clone(nal)
	case nalSPS:
		if !bytes.Equal(s.sps, nal) {
			s.sps, s.pps = bytes.Clone(nal), nil
		}
	case nalPPS:
		s.addPPS(bytes.Clone(nal))
	}
}

func (s *parameterSets) addPPS(nal []byte) {
	id := s.ppsID(nal)
	for i, old := range s.pps {
		if s.ppsID(old) == id {
			s.pps[i] = nal
			return
		}
	}
	if len(s.pps) < 64 {
		s.pps = append(s.pps, nal)
	}
}

func (s *parameterSets) ppsID(nal []byte) int {
	header := 1
	if s.codec == media.H265 {
		header = 2
	}
	id, _, ok := expGolomb(nal[min(len(nal), header):min(len(nal), header+4)], 0)
	if !ok {
		return -1
	}
	return id
}

// list returns what is known, in the order in which a stream carries it.
func (s *parameterSets) list() [][]byte {
	var l [][]byte
	if s.vps != nil {
		l = append(l, s.vps)
	}
	if s.sps != nil {
		l = append(l, s.sps)
	}
	return append(l, s.pps...)
}
