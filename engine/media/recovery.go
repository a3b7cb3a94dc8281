package media

import "bytes"

// maxRecovery is far above any real count: MaxFrameNum and MaxPicOrderCntLsb are 65536 at most.
const maxRecovery = 1 << 16

// RecoveryPoint returns how many pictures after this one the picture is right (recovery_frame_cnt of ITU-T H.264 section
// D.1.8, recovery_poc_cnt of H.265 section D.2.8) if the SEI NAL unit holds a recovery point.
func RecoveryPoint(codec Codec, sei []byte) (count int, ok bool) {
	const payloadType = 6
	header := NALHeader(codec)
	// Recovery points are short and come early: no need to unescape a long SEI.
	p := Unescape(sei[:min(len(sei), 256)])
	if len(p) <= header {
		return 0, false
	}
	p = p[header:]
	for len(p) > 2 { // two bytes of header and at least the trailing bits
		typ, n := seiNumber(p)
		size, m := seiNumber(p[n:])
		p = p[n+m:]
		if typ == payloadType {
			return recoveryCount(codec, p)
		}
		if size > len(p) {
			break
		}
		p = p[size:]
	}
	return 0, false
}

// recoveryCount reads ue(v) for H.264 and se(v) for H.265, where a point may lie before its own picture.
func recoveryCount(codec Codec, p []byte) (count int, ok bool) {
	count, _, ok = ExpGolomb(p, 0)
	if codec == H265 {
		count = signed(count)
	}
	return min(max(count, 0), maxRecovery), ok
}

// signed maps ue(v) to se(v) (ITU-T H.264 section 9.1.1).
func signed(v int) int {
	if v%2 == 0 {
		return -v / 2
	}
	return (v + 1) / 2
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

// Unescape removes the emulation prevention bytes of a NAL unit (ITU-T H.264 section 7.4.1).
func Unescape(nal []byte) []byte {
	return bytes.ReplaceAll(nal, []byte{0, 0, 3}, []byte{0, 0})
}
