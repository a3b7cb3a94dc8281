package media

import (
	"bytes"
	"iter"
)

// AnnexB joins NAL units with 4-byte start codes (ITU-T H.264 annex B).
func AnnexB(nalus ...[]byte) []byte {
	n := 0
	for _, u := range nalus {
		n += 4 + len(u)
	}
	if n == 0 {
		return nil
	}
	out := make([]byte, 0, n)
	for _, u := range nalus {
		out = append(append(out, 0, 0, 0, 1), u...)
	}
	return out
}

// NALUs yields the NAL units of an Annex B byte stream, with 3- or 4-byte start codes, without them and without
// trailing zeros; empty ones are left out. The slices share data's memory.
func NALUs(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start := bytes.Index(data, []byte{0, 0, 1})
		for start >= 0 {
			data = data[start+3:]
			start = bytes.Index(data, []byte{0, 0, 1})
			unit := data
			if start >= 0 {
				unit = data[:start]
			}
			unit = bytes.TrimRight(unit, "\x00")
			if len(unit) > 0 && !yield(unit) {
				return
			}
		}
	}
}

// SequenceSets returns the sequence parameter sets of an access unit, joined; nil if it has none (ITU-T H.264 table
// 7-1, H.265 table 7-1).
func SequenceSets(codec Codec, data []byte) []byte {
	var sets []byte
	for u := range NALUs(data) {
		switch {
		case codec == H264 && u[0]&0x1f == 7, codec == H265 && u[0]>>1&0x3f == 33:
			sets = append(append(sets, 0, 0, 1), u...)
		case codec == H264 && u[0]&0x1f >= 1 && u[0]&0x1f <= 5, codec == H265 && u[0]>>1&0x3f < 32: // slices: no sets follow
			return sets
		}
	}
	return sets
}

// Disposable reports whether no other picture refers to that of an access unit: nal_ref_idc 0 (ITU-T H.264 clause
// 7.4.1), or a sub-layer non-reference picture (ITU-T H.265 table 7-1).
func Disposable(codec Codec, data []byte) bool {
	for u := range NALUs(data) {
		switch t := u[0]; {
		case codec == H264 && t&0x1f >= 1 && t&0x1f <= 5:
			return t&0x60 == 0
		case codec == H265 && t>>1&0x3f < 32:
			n := t >> 1 & 0x3f
			return n < 16 && n%2 == 0
		}
	}
	return false
}
