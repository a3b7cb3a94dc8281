package rtpin

import (
	"rave/engine/media"
)

// idrMemory is for how many access units after an IDR a gradual recovery point is no reason to start decoding: the
// next IDR gives a whole picture. A stream without IDRs (intra-refresh) is entered at its recovery points.
const idrMemory = 256

// maxHeld bounds the NAL units that wait for their picture.
const maxHeld = 64 << 10

// units makes Annex B access units from the NAL units between two RTP markers. The zero value with a codec is ready.
type units struct {
	codec    media.Codec
	params   media.ParameterSets
	held     [][]byte // parameter sets and SEI that came with a marker of their own, before their picture
	heldSize int
	sinceIDR int // access units since the last IDR; meaningless until one has come
	sawIDR   bool
}

func newUnits(codec media.Codec, sets [][]byte) *units {
	u := &units{codec: codec, params: media.ParameterSets{Codec: codec}}
	for _, s := range sets {
		u.params.Add(s)
	}
	return u
}

// build returns the access unit as Annex B with 4-byte start codes, a keyframe led by its parameter sets. data is nil
// when there is no picture in it: its NAL units lead the next one then. recovery is that of media.Packet.
func (u *units) build(nals [][]byte) (data []byte, keyframe bool, recovery int) {
	if u.held != nil {
		nals = append(u.held, nals...)
	}
	var has [media.NALSuffix + 1]bool
	instant := false // a recovery point with a whole picture
	gradual := false
	for _, n := range nals {
		kind := media.NALKindOf(u.codec, n)
		has[kind] = true
		u.params.Add(n)
		if kind == media.NALSEI {
			if count, ok := media.RecoveryPoint(u.codec, n); ok {
				instant, gradual, recovery = count == 0, count != 0, count+1
			}
		}
	}
	if !has[media.NALIDR] && !has[media.NALPicture] {
		u.hold(nals)
		return nil, false, 0
	}
	u.held, u.heldSize = nil, 0
	u.sinceIDR++
	if has[media.NALIDR] {
		u.sawIDR, u.sinceIDR = true, 0
	}
	keyframe = has[media.NALIDR] || instant || gradual && (!u.sawIDR || u.sinceIDR > idrMemory)
	complete := has[media.NALSPS] && has[media.NALPPS] && (has[media.NALVPS] || u.codec != media.H265)
	if has[media.NALIDR] {
		recovery = 0 // the IDR says all
	}
	return u.join(nals, keyframe && !complete), keyframe, recovery
}

// hold keeps NAL units that came before their picture: some cameras set the marker on parameter sets.
func (u *units) hold(nals [][]byte) {
	u.held, u.heldSize = nil, 0
	for _, n := range nals {
		if kind := media.NALKindOf(u.codec, n); kind == media.NALDelimiter || kind == media.NALSuffix {
			continue
		}
		if u.heldSize += len(n); u.heldSize > maxHeld {
			u.held, u.heldSize = nil, 0
			return
		}
		u.held = append(u.held, n)
	}
}

// join concatenates with start codes. With lead the known parameter sets replace those in the unit.
func (u *units) join(nals [][]byte, lead bool) []byte {
	var sets [][]byte
	if lead {
		sets = u.params.List()
	}
	size := 0
	for _, n := range sets {
		size += 4 + len(n)
	}
	for _, n := range nals {
		size += 4 + len(n)
	}
	data := make([]byte, 0, size)
	for _, n := range sets {
		data = append(append(data, 0, 0, 0, 1), n...)
	}
	for _, n := range nals {
		switch media.NALKindOf(u.codec, n) {
		case media.NALDelimiter:
			continue
		case media.NALVPS, media.NALSPS, media.NALPPS:
			if lead {
				continue
			}
		}
		data = append(append(data, 0, 0, 0, 1), n...)
	}
	return data
}
