package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
	"rave/bench/whep"
)

// publishWithSound sends a clip with a tone as AAC.
func publishWithSound(ctx context.Context, t *testing.T, clip, url string) {
	t.Helper()
	args := strings.Fields("-hide_banner -nostdin -v info -re -stream_loop -1 -i " + clip +
		" -f lavfi -i sine=frequency=440:sample_rate=44100 -map 0:v -map 1:a -c:v copy -c:a aac -f rtsp -rtsp_transport tcp")
	p, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg), Args: append(args, url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the publisher's log:\n%s", ends(p.Output(), 10, 10))
		}
	})
	if _, err := p.Line(ctx, `Output #0`); err != nil {
		t.Fatal(err)
	}
}

// A browser gets what it can play of what it cannot: a picture with B-frames, of 10 bit or in another codec comes as plain H.264, its frames
// matched with the enhanced ones, and AAC comes as Opus. Both are made while somebody watches, and said to be.
func TestBrowserGetsWhatItCanPlay(t *testing.T) {
	t.Parallel()
	for name, params := range map[string]clip.Params{"B-frames": {BFrames: 3}, "H265": {Codec: clip.H265}, "10 bit": {Pixel: "yuv420p10le"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			p := serve(ctx, t, settings{streams: "  cam: {source: publish, quality: [lanczos]}"})
			publishWithSound(ctx, t, makeClip(ctx, t, params), p.url("cam"))
			p.serves(ctx, "cam")
			enhanced, original := p.show(ctx, t, "cam"), p.show(ctx, t, "cam/original")
			if r := original.Header.Get("Rave-Rendition"); r != "browser" {
				t.Errorf("the original is said to be rendition %q", r)
			}
			if r := enhanced.Header.Get("Rave-Rendition"); r != "" {
				t.Errorf("the enhanced picture is said to be rendition %q", r)
			}
			original.wait(ctx, t, 4*fps)
			enhanced.wait(ctx, t, 4*fps)
			left, right := original.numbers(ctx, t, width, height), enhanced.numbers(ctx, t, 2*width, 2*height)
			matched := 0
			for stamp, n := range left {
				if other, ok := right[stamp]; ok && other != n {
					t.Errorf("timestamp %d is frame %d on the left and %d on the right", stamp, n, other)
				} else if ok {
					matched++
				}
			}
			if matched < 3*fps {
				t.Errorf("%d of %d original pictures have their enhanced one", matched, len(left))
			}
			p.hears(ctx, t, "cam")
			p.hears(ctx, t, "cam/original")
		})
	}
}

// hears watches a path until two seconds of Opus have come.
func (p *program) hears(ctx context.Context, t *testing.T, path string) {
	t.Helper()
	const packets, ticks = 100, 48000 / 50
	var (
		mu     sync.Mutex
		stamps []uint32
	)
	enough := make(chan struct{})
	v, err := whep.Connect(ctx, whep.Config{URL: "http://" + p.http + "/" + path + "/whep", Sound: true, OnPacket: func(kind webrtc.RTPCodecType, pkt *rtp.Packet) {
		mu.Lock()
		defer mu.Unlock()
		if kind != webrtc.RTPCodecTypeAudio || len(stamps) == packets {
			return
		}
		if stamps = append(stamps, pkt.Timestamp); len(stamps) == packets {
			close(enough)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	select {
	case <-enough:
	case <-ctx.Done():
		t.Fatalf("%s: %d packets of sound came", path, len(stamps))
	}
	for i := range stamps[1:] {
		if step := stamps[i+1] - stamps[i]; step < ticks-48 || step > ticks+48 { // 1 ms
			t.Errorf("%s: packet %d of sound is %v after the one before", path, i+1, time.Duration(step)*time.Second/48000)
		}
	}
	if !strings.Contains(v.Answer, "opus/48000") {
		t.Errorf("%s: %s", path, v.Answer)
	}
}
