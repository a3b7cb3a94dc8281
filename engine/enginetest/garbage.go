package enginetest

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"rave/engine/media"
)

// Mutate breaks an access unit in one of the ways in which cameras, proxies and attackers do. The result is another
// slice.
func Mutate(r *rand.Rand, codec media.Codec, unit []byte) []byte {
	data := bytes.Clone(unit)
	switch r.IntN(8) {
	case 0:
		return data[:1+r.IntN(len(data))] // anywhere
	case 1: // in the first bytes: start codes, headers, parameter sets
		return data[:1+r.IntN(min(len(data), 64))]
	case 2:
		for range 1 + r.IntN(20) {
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		}
		return data
	case 3: // of the headers
		for range 1 + r.IntN(4) {
			data[r.IntN(min(len(data), 48))] ^= 1 << r.IntN(8)
		}
		return data
	case 4: // a piece of noise
		at := r.IntN(len(data))
		for i := at; i < min(len(data), at+1+r.IntN(200)); i++ {
			data[i] = byte(r.Uint32())
		}
		return data
	case 5: // a piece is missing, or there twice
		a, b := r.IntN(len(data)), r.IntN(len(data))
		return slices.Concat(data[:max(a, 1)], data[b:])
	case 6:
		noise := make([]byte, 1+r.IntN(2000))
		for i := range noise {
			noise[i] = byte(r.Uint32())
		}
		return noise
	default:
		if codec == media.MJPEG {
			return mutateJPEG(r, data)
		}
		return mutateNALs(r, codec, data)
	}
}

// mutateNALs leaves NAL units out, empties them, doubles them or changes their type.
func mutateNALs(r *rand.Rand, codec media.Codec, data []byte) []byte {
	var nals [][]byte
	for u := range media.NALUs(data) {
		u = bytes.Clone(u)
		switch r.IntN(5) {
		case 0:
			continue
		case 1:
			u = u[:r.IntN(min(len(u), 3))]
		case 2:
			nals = append(nals, u)
		case 3:
			u[0] = byte(r.Uint32())
		}
		nals = append(nals, u)
	}
	if len(nals) == 0 {
		nals = append(nals, make([]byte, media.NALHeader(codec)))
	}
	return media.AnnexB(nals...)
}

// mutateJPEG changes tables and sizes: segments get another length, or another content.
func mutateJPEG(r *rand.Rand, data []byte) []byte {
	const sos = 0xda
	for i := 2; i+4 < len(data) && data[i] == 0xff && data[i+1] != sos; {
		length := int(binary.BigEndian.Uint16(data[i+2:]))
		end := min(len(data), i+2+length)
		switch {
		case r.IntN(3) > 0:
		case r.IntN(3) == 0:
			binary.BigEndian.PutUint16(data[i+2:], uint16(r.Uint32()))
		default:
			for range 1 + r.IntN(8) {
				data[min(end-1, i+4+r.IntN(max(1, length)))] = byte(r.Uint32())
			}
		}
		i = end
	}
	return data
}

// garbage: broken access units of all kinds, in between whole groups of pictures, crash nothing, hang nothing and end
// nothing. Every group of pictures after them is whole. Of the broken ones, each that has a part of a picture left is a
// picture or a counted drop; who sends none, such as parameter sets alone, gets none. The numbers are compared, not which is which.
func (s suite) garbage(t *testing.T) {
	for _, name := range []string{H264, Baseline, Slices, BFrames, Interlaced, H265, H265BFrames, MJPEG420, MJPEG422} {
		t.Run(name, func(t *testing.T) { s.outlives(t, name) })
	}
}

func (s suite) outlives(t *testing.T, name string) {
	// Each round is a good and a broken group of pictures, and a pause, since B-frames reach beyond; pixels each way.
	const rounds, gop, pause, most = 30, 10, 8, 480
	track, packets := Stream(t, name)
	means := map[time.Duration]float64{}
	for i, p := range decode(t, s.decoder(t, track, true), packets[:gop]) {
		if i+s.held(t, name) < gop { // the others are in the decoder when the garbage comes
			means[p.PTS] = p.mean
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	empty := 0                          // broken ones without a part of a picture
	sent := map[time.Duration]float64{} // of the good ones
	var all []media.Packet
	for round := range rounds {
		at := time.Duration((2*gop+pause)*round) * frameTime
		for i := range 2 * gop {
			p := packets[i]
			p.Discontinuity = round == 0 && i == 0
			if i >= gop {
				p.Data = Mutate(random, track.Codec, p.Data)
				if !hasPicture(track.Codec, p.Data) {
					empty++
				}
			}
			if mean, ok := means[p.PTS]; ok && i < gop {
				sent[at+p.PTS] = mean
			}
			p.PTS += at
			all = append(all, p)
		}
	}
	r := NewRecorder(nil)
	cfg := Config(t, s.device, track, r)
	cfg.Log, cfg.Output.MaxWidth, cfg.Output.MaxHeight, cfg.MaxPixels = quiet(), most, most, most*most
	Replay(t, cfg, r, all)
	_, made, drops, _ := r.Result()
	t.Logf("%d access units, of which %d are broken; %d pictures; drops %v", len(all), rounds*gop, len(made), drops)
	checkGood(t, sent, s.view(t, made))
	lost := 0
	for _, n := range drops {
		lost += n
	}
	if sum := len(made) + lost; sum < len(all)-empty || sum > len(all) {
		t.Errorf("%d pictures and %d drops (%v) of %d access units, of which %d have no picture", len(made), lost, drops, len(all), empty)
	}
}

// hasPicture reports whether a part of a picture is left in an access unit.
func hasPicture(codec media.Codec, unit []byte) bool {
	if codec == media.MJPEG {
		return true // it has no units, and what is no picture is an error
	}
	for nal := range media.NALUs(unit) {
		if k := media.NALKindOf(codec, nal); k == media.NALPicture || k == media.NALIDR {
			return true
		}
	}
	return false
}

// held returns how many pictures a decoder of the stream holds back.
func (s suite) held(t *testing.T, name string) int {
	t.Helper()
	track, packets := Stream(t, name)
	var got []picture
	d := s.decoder(t, track, true)
	for _, p := range packets {
		if err := d.Send(p, collect(&got)); err != nil {
			t.Fatal(err)
		}
	}
	return len(packets) - len(got)
}

// view decodes what a session has made, as a viewer that begins anew with each parameter set.
func (s suite) view(t *testing.T, made []media.Packet) (all []picture) {
	t.Helper()
	var sets []byte
	first := 0
	for i, p := range made {
		next := media.SequenceSets(media.H264, p.Data)
		if next != nil && sets != nil && !bytes.Equal(next, sets) {
			all = append(all, decode(t, s.decoder(t, media.Track{Kind: media.Video, Codec: media.H264}, false), made[first:i])...)
			first = i
		}
		if next != nil {
			sets = next
		}
	}
	return append(all, decode(t, s.decoder(t, media.Track{Kind: media.Video, Codec: media.H264}, false), made[first:])...)
}

// checkGood checks that each good picture came out, and what it looks like.
func checkGood(t *testing.T, sent map[time.Duration]float64, got []picture) {
	t.Helper()
	const tick = time.Second / media.VideoClockRate
	wrong := 0
	for pts, mean := range sent {
		at := slices.IndexFunc(got, func(p picture) bool { return p.PTS >= pts-tick && p.PTS <= pts+tick })
		if at < 0 {
			wrong++
			t.Errorf("the picture at %v is missing", pts)
		} else if math.Abs(got[at].mean-mean) > 2 {
			wrong++
			t.Errorf("the picture at %v has mean luma %.1f, want %.1f", pts, got[at].mean, mean)
		}
		if wrong > 10 {
			t.Fatal("and more")
		}
	}
}
