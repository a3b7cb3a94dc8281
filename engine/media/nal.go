package media

import "bytes"

// NALKind is what a NAL unit means to who takes access units apart, whichever codec it belongs to.
type NALKind uint8

// The kinds of NAL units.
const (
	NALOther     NALKind = iota // what precedes pictures and is none of the following
	NALDelimiter                // access unit delimiter: carries nothing
	NALVPS
	NALSPS
	NALPPS
	NALSEI
	NALIDR     // H.265: any IRAP picture
	NALPicture // any other coded slice
	NALSuffix  // follows the pictures of its access unit
)

// NALKindOf classifies by ITU-T H.264 table 7-1 and H.265 table 7-1. A NAL unit that is shorter than its header counts
// as a delimiter.
func NALKindOf(codec Codec, nal []byte) NALKind {
	if len(nal) < NALHeader(codec) {
		return NALDelimiter
	}
	if codec == H265 {
		return h265Kind(nal[0] >> 1 & 0x3f)
	}
	return h264Kind(nal[0] & 0x1f)
}

func h264Kind(typ byte) NALKind {
	switch typ {
	case 1, 2, 3, 4:
		return NALPicture
	case 5:
		return NALIDR
	case 6:
		return NALSEI
	case 7:
		return NALSPS
	case 8:
		return NALPPS
	case 9:
		return NALDelimiter
	case 10, 11, 12: // ends and filler
		return NALSuffix
	default:
		return NALOther
	}
}

func h265Kind(typ byte) NALKind {
	switch {
	case typ >= 16 && typ <= 23: // BLA, IDR, CRA
		return NALIDR
	case typ < 32:
		return NALPicture
	case typ == 32:
		return NALVPS
	case typ == 33:
		return NALSPS
	case typ == 34:
		return NALPPS
	case typ == 35:
		return NALDelimiter
	case typ >= 36 && typ <= 38, typ == 40: // ends, filler, suffix SEI
		return NALSuffix
	case typ == 39:
		return NALSEI
	default:
		return NALOther
	}
}

// NALHeader is the size of a NAL unit's header in bytes.
func NALHeader(codec Codec) int {
	if codec == H265 {
		return 2
	}
	return 1
}

// ExpGolomb reads ue(v) at a bit offset (H.264 section 9.1). next is the offset behind it; ok is false if p ends before.
func ExpGolomb(p []byte, bit int) (v, next int, ok bool) {
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

// ParameterSets are the latest of a stream, without start codes. A PPS is kept per id, since streams use several. The
// slices in it are its own and must not be changed.
type ParameterSets struct {
	Codec    Codec
	VPS, SPS []byte
	PPS      [][]byte // in the order in which their ids were first seen
}

// Bounds of ParameterSets. Real ones have less than 200 bytes.
const (
	maxParameterSet = 8 << 10
	maxPPS          = 64
)

// Add takes a parameter set over and reports whether it is new; other NAL units are ignored. A new SPS makes the PPSs
// before it void.
func (s *ParameterSets) Add(nal []byte) (changed bool) {
	if len(nal) > maxParameterSet {
		return false
	}
	switch NALKindOf(s.Codec, nal) {
	case NALVPS:
		if changed = !bytes.Equal(s.VPS, nal); changed {
			s.VPS = bytes.Clone(nal)
		}
	case NALSPS:
		if changed = !bytes.Equal(s.SPS, nal); changed {
			s.SPS, s.PPS = bytes.Clone(nal), nil
		}
	case NALPPS:
		changed = s.addPPS(nal)
	}
	return changed
}

func (s *ParameterSets) addPPS(nal []byte) (changed bool) {
	id := s.idOfPPS(nal)
	for i, old := range s.PPS {
		if s.idOfPPS(old) != id {
			continue
		}
		if changed = !bytes.Equal(old, nal); changed {
			s.PPS[i] = bytes.Clone(nal)
		}
		return changed
	}
	if len(s.PPS) == maxPPS {
		return false
	}
	s.PPS = append(s.PPS, bytes.Clone(nal))
	return true
}

// idOfPPS is pps_pic_parameter_set_id (H.264 section 7.3.2.2, H.265 section 7.3.2.3); -1 if it cannot be read.
func (s *ParameterSets) idOfPPS(nal []byte) int {
	header := NALHeader(s.Codec)
	id, _, ok := ExpGolomb(nal[min(len(nal), header):min(len(nal), header+4)], 0)
	if !ok {
		return -1
	}
	return id
}

// List returns what is known, in the order in which a stream carries it.
func (s *ParameterSets) List() [][]byte {
	var l [][]byte
	if s.VPS != nil {
		l = append(l, s.VPS)
	}
	if s.SPS != nil {
		l = append(l, s.SPS)
	}
	return append(l, s.PPS...)
}
