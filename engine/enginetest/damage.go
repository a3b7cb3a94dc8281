package enginetest

import (
	"maps"
	"slices"
	"testing"
	"time"

	"rave/engine/media"
)

// fault breaks a stream at its access unit at.
type fault struct {
	name  string
	apply func(packets []media.Packet, at int) []media.Packet
}

func faults() []fault {
	return []fault{
		{"lost, and known to be", func(p []media.Packet, at int) []media.Packet {
			p = slices.Delete(p, at, at+1)
			p[at].Lost = true
			return p
		}},
		{"lost upstream, so that nobody knows", func(p []media.Packet, at int) []media.Packet { return slices.Delete(p, at, at+1) }},
		{"two lost upstream", func(p []media.Packet, at int) []media.Packet { return slices.Delete(p, at, at+2) }},
		{"cut to a half", func(p []media.Packet, at int) []media.Packet {
			p[at].Data = p[at].Data[:len(p[at].Data)/2]
			return p
		}},
		{"cut behind its header", func(p []media.Packet, at int) []media.Packet {
			p[at].Data = p[at].Data[:12]
			return p
		}},
	}
}

// damage: whatever is lost of a picture, none is shown, for a second, but those that are exactly what the whole stream
// decodes to. They come back with the next whole picture.
func (s suite) damage(t *testing.T) {
	for _, name := range []string{H264, Baseline, Slices, BFrames, Refresh, H265, H265BFrames} {
		for _, f := range faults() {
			t.Run(name+"/"+f.name, func(t *testing.T) { s.hides(t, name, f) })
		}
	}
}

func (s suite) hides(t *testing.T, name string, f fault) {
	track, packets := Stream(t, name)
	at := 13 // in the second of three groups of pictures
	if name == Refresh {
		at = 3 // a refresh takes as long again as what is lost of the one that is broken
	}
	for media.Disposable(track.Codec, packets[at].Data) {
		at++
	}
	good := sums(decode(t, s.decoder(t, track, false), packets))
	broken := f.apply(slices.Clone(packets), at)
	d := s.decoder(t, track, false)
	var got []picture
	for _, p := range broken {
		_ = d.Send(p, collect(&got)) // it may fail
	}
	if err := d.Flush(collect(&got)); err != nil {
		t.Fatal(err)
	}
	decoded := sums(got)
	r := NewRecorder(nil)
	Replay(t, Config(t, s.device, track, r), r, broken)
	_, made, drops, _ := r.Result()
	wrong := 0
	for pts, sum := range decoded {
		if sum != good[pts] {
			wrong++
		}
	}
	shown := map[time.Duration]bool{}
	for _, p := range made {
		shown[p.PTS] = true
		if decoded[p.PTS] != good[p.PTS] {
			t.Errorf("the picture at %v is shown, and is not what it should be", p.PTS)
		}
	}
	held := drops["decode/damaged"]
	t.Logf("%d of %d decoded pictures are wrong; %d shown; drops %v", wrong, len(decoded), len(shown), drops)
	if len(shown)+held != len(decoded) || len(decoded)+drops["decode/corrupt"] < len(broken)-1 {
		t.Errorf("%d of %d access units are shown, drops %v", len(shown), len(broken), drops)
	}
	if held != wrong {
		t.Errorf("%d pictures are held back, and %d are wrong", held, wrong)
	}
	first, last := packets[0].PTS, slices.Max(slices.Collect(maps.Keys(good)))
	if !shown[first] || !shown[last] {
		t.Errorf("before the damage a picture is shown: %v, after it: %v", shown[first], shown[last])
	}
}

func sums(pictures []picture) map[time.Duration]uint32 {
	m := map[time.Duration]uint32{}
	for _, p := range pictures {
		m[p.PTS] = p.sum
	}
	return m
}
