package software_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/asticode/go-astiav"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtpmpeg4audio"

	"rave/engine"
	"rave/engine/media"
	"rave/engine/software"
)

// aac encodes a tone of 1 kHz at half of full scale, as the RTP payloads of a camera.
func aac(t *testing.T, rate int, layout astiav.ChannelLayout, n, maxPayload int) (media.Track, []media.Packet) {
	t.Helper()
	codec := astiav.FindEncoderByName("aac")
	c, pkt, frame := astiav.AllocCodecContext(codec), astiav.AllocPacket(), astiav.AllocFrame()
	defer c.Free()
	defer pkt.Free()
	defer frame.Free()
	c.SetSampleRate(rate)
	c.SetSampleFormat(astiav.SampleFormatFltp)
	c.SetChannelLayout(layout)
	c.SetTimeBase(astiav.NewRational(1, rate))
	c.SetBitRate(64_000)
	c.SetFlags(astiav.NewCodecContextFlags(astiav.CodecContextFlagGlobalHeader))
	if err := c.Open(codec, nil); err != nil {
		t.Fatal(err)
	}
	payload := rtpmpeg4audio.Encoder{PayloadType: 96, SizeLength: 13, IndexLength: 3, IndexDeltaLength: 3, PayloadMaxSize: maxPayload}
	if err := payload.Init(); err != nil {
		t.Fatal(err)
	}
	track := media.Track{ID: 4, Kind: media.Audio, Codec: engine.AAC, ClockRate: rate, RTP: media.RTPFormat{
		PayloadType: 96, RTPMap: fmt.Sprintf("mpeg4-generic/%d/%d", rate, layout.Channels()),
		FMTP: map[string]string{"sizelength": "13", "indexlength": "3", "indexdeltalength": "3", "config": fmt.Sprintf("%x", c.ExtraData())},
	}}
	var packets []media.Packet
	const samples = 1024
	for i := range n {
		frame.SetSampleFormat(astiav.SampleFormatFltp)
		frame.SetChannelLayout(layout)
		frame.SetSampleRate(rate)
		frame.SetNbSamples(samples)
		if err := frame.AllocBuffer(1); err != nil {
			t.Fatal(err)
		}
		var data []byte
		for range layout.Channels() {
			for j := range samples {
				v := math.Float32bits(float32(0.5 * math.Sin(2*math.Pi*1000*float64(i*samples+j)/float64(rate))))
				data = append(data, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
			}
		}
		if err := frame.Data().SetBytes(data, 1); err != nil {
			t.Fatal(err)
		}
		frame.SetPts(int64(i * samples))
		if err := c.SendFrame(frame); err != nil {
			t.Fatal(err)
		}
		frame.Unref()
		for c.ReceivePacket(pkt) == nil {
			list, err := payload.Encode([][]byte{pkt.Data()})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range list {
				packets = append(packets, media.Packet{
					Track: 4, PTS: time.Duration(len(units(packets))) * samples * time.Second / time.Duration(rate), Data: p.Payload, Marker: p.Marker,
					Keyframe: true, Arrival: time.Now(),
				})
			}
			pkt.Unref()
		}
	}
	return track, packets
}

// units returns the packets that end an access unit.
func units(packets []media.Packet) []media.Packet {
	var whole []media.Packet
	for _, p := range packets {
		if p.Marker {
			whole = append(whole, p)
		}
	}
	return whole
}

// listen decodes Opus packets and returns the samples of the left channel.
func listen(t *testing.T, packets []media.Packet) []float64 {
	t.Helper()
	codec := astiav.FindDecoderByName("libopus")
	c, pkt, frame := astiav.AllocCodecContext(codec), astiav.AllocPacket(), astiav.AllocFrame()
	defer c.Free()
	defer pkt.Free()
	defer frame.Free()
	c.SetSampleRate(engine.OpusRate)
	c.SetChannelLayout(astiav.ChannelLayoutStereo)
	if err := c.Open(codec, nil); err != nil {
		t.Fatal(err)
	}
	var left []float64
	for _, p := range packets {
		if err := pkt.FromData(p.Data); err != nil {
			t.Fatal(err)
		}
		if err := c.SendPacket(pkt); err != nil {
			t.Fatal(err)
		}
		pkt.Unref()
		if err := c.ReceiveFrame(frame); err != nil {
			t.Fatal(err)
		}
		data, err := frame.Data().Bytes(1)
		if err != nil {
			t.Fatal(err)
		}
		if f := frame.SampleFormat(); f != astiav.SampleFormatS16 {
			t.Fatalf("samples of %v", f)
		}
		if n := frame.NbSamples(); n != engine.OpusRate/50 {
			t.Fatalf("a packet of %d samples", n)
		}
		for i := 0; i+4 <= len(data); i += 4 {
			left = append(left, float64(int16(uint16(data[i])|uint16(data[i+1])<<8))/(1<<15))
		}
		frame.Unref()
	}
	return left
}

// TestOpusOfAAC: whatever the rate and the channels, in fragments or not, the tone stays a tone of its pitch and level, 20 ms
// a packet, and times that follow the camera's, over a gap as well.
func TestOpusOfAAC(t *testing.T) {
	for name, in := range map[string]struct {
		rate       int
		layout     astiav.ChannelLayout
		maxPayload int
		level      float64 // of the left channel
	}{
		"mono 8 kHz":             {8000, astiav.ChannelLayoutMono, 1400, 0.5},
		"mono 16 kHz fragmented": {16000, astiav.ChannelLayoutMono, 100, 0.5},
		"stereo 44.1 kHz":        {44100, astiav.ChannelLayoutStereo, 1400, 0.5},
		"5.1 48 kHz":             {48000, astiav.ChannelLayout5Point1, 1400, 1}, // the sum of some
	} {
		t.Run(name, func(t *testing.T) {
			const n = 80
			track, packets := aac(t, in.rate, in.layout, n, in.maxPayload)
			const gap = 5 * time.Second
			for i := range packets[len(packets)/2:] {
				packets[len(packets)/2+i].PTS += gap
			}
			stage, err := software.New(software.Config{}).NewOpus(track)
			if err != nil {
				t.Fatal(err)
			}
			defer stage.Close()
			var made []media.Packet
			for i, p := range packets {
				before := len(made)
				if err := stage.Send(p, func(o media.Packet) error { made = append(made, o); return nil }); err != nil {
					t.Fatalf("packet %d: %v", i, err)
				}
				for _, o := range made[before:] {
					if off := o.PTS - p.PTS; off < -40*time.Millisecond || off > time.Second*2048/time.Duration(in.rate) || o.Track != 4 || !o.Keyframe || !o.Arrival.Equal(p.Arrival) {
						t.Errorf("packet at %v made of %v: %+v", o.PTS, p.PTS, o)
					}
				}
			}
			jumps := 0
			for i := range made[1:] {
				switch step := made[i+1].PTS - made[i].PTS; {
				case step > gap-100*time.Millisecond:
					jumps++
				case step < 19*time.Millisecond || step > 21*time.Millisecond:
					t.Errorf("packet %d comes %v after the one before", i+1, step)
				}
			}
			want := len(units(packets)) * 1024 * 50 / in.rate
			if jumps != 1 || len(made) < want-2 || len(made) > want {
				t.Errorf("%d packets with %d jumps, want %d and 1", len(made), jumps, want)
			}
			// The middle of the tone: pitch by its zero crossings, level by its mean square.
			left := listen(t, made)
			left = left[len(left)/8 : len(left)*3/8]
			crossings, square := 0, 0.0
			for i, v := range left[1:] {
				if (v < 0) != (left[i] < 0) {
					crossings++
				}
				square += v * v
			}
			pitch := float64(crossings) / 2 * engine.OpusRate / float64(len(left))
			if level := math.Sqrt(2 * square / float64(len(left))); math.Abs(pitch-1000) > 10 || level < 0.7*in.level || level > 1.3*in.level {
				t.Errorf("a tone of %.0f Hz at %.2f", pitch, level)
			}
		})
	}
}

// TestOpusRefuses: what is no AAC is refused with what to do; a payload of junk costs itself, and nothing else.
func TestOpusRefuses(t *testing.T) {
	d := software.New(software.Config{})
	track, packets := aac(t, 16000, astiav.ChannelLayoutMono, 20, 1400)
	for name, change := range map[string]func(*media.Track){
		"another codec": func(t *media.Track) { t.Codec = "mp4a-latm" },
		"no config":     func(t *media.Track) { t.RTP.FMTP = map[string]string{"sizelength": "13"} },
		"empty config":  func(t *media.Track) { t.RTP.FMTP["config"] = "" },
		"size 0":        func(t *media.Track) { t.RTP.FMTP["sizelength"] = "0" },
		"size 33":       func(t *media.Track) { t.RTP.FMTP["sizelength"] = "33" },
		"index -1":      func(t *media.Track) { t.RTP.FMTP["indexlength"] = "-1" },
		"delta x":       func(t *media.Track) { t.RTP.FMTP["indexdeltalength"] = "x" },
	} {
		bad, _ := aac(t, 16000, astiav.ChannelLayoutMono, 3, 1400)
		change(&bad)
		if stage, err := d.NewOpus(bad); err == nil {
			stage.Close()
			t.Errorf("%s: taken", name)
		}
	}
	stage, err := d.NewOpus(track)
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Close()
	n := 0
	count := func(media.Packet) error { n++; return nil }
	for i, junk := range [][]byte{nil, {0}, {0, 0}, {0, 16, 0xff, 0xff}, {0, 16, 0, 0}, {0, 16, 0, 0x18, 1, 2, 3}} {
		_ = stage.Send(media.Packet{Data: junk, Marker: true}, count) // an error is allowed, a crash is not
		if err := stage.Send(packets[i], count); err != nil {
			t.Errorf("after junk %d: %v", i, err)
		}
	}
	full := errors.New("full")
	for _, p := range packets[6:] {
		if err := stage.Send(p, func(media.Packet) error { return full }); err != nil && !errors.Is(err, full) {
			t.Errorf("an output that fails: %v", err)
		}
	}
	if n == 0 {
		t.Error("nothing came out")
	}
}
