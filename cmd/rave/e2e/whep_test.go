package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"rave/bench/barcode"
	"rave/bench/camera"
	"rave/bench/peer"
	"rave/bench/whep"
	"rave/engine/media"
)

// screen is a viewer that keeps the pictures it gets, with their RTP timestamps.
type screen struct {
	*whep.Viewer
	decoder rtph264.Decoder

	mu      sync.Mutex
	stamps  []uint32
	units   [][]byte // Annex B, from the first keyframe on
	changed chan struct{}
}

// show watches a path until the test ends, as soon as there is something to see.
func (p *program) show(ctx context.Context, t *testing.T, path string) *screen {
	t.Helper()
	s := &screen{decoder: rtph264.Decoder{PacketizationMode: 1}, changed: make(chan struct{})}
	if err := s.decoder.Init(); err != nil {
		t.Fatal(err)
	}
	eventually(ctx, t, "offer to "+path, func() (err error) {
		s.Viewer, err = whep.Connect(ctx, whep.Config{URL: "http://" + p.http + "/" + path + "/whep", OnPacket: s.packet})
		return err
	})
	t.Cleanup(s.Close)
	return s
}

func (s *screen) packet(kind webrtc.RTPCodecType, pkt *rtp.Packet) {
	nals, err := s.decoder.Decode(pkt)
	if kind != webrtc.RTPCodecTypeVideo || err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamps, s.units = append(s.stamps, pkt.Timestamp), append(s.units, media.AnnexB(nals...))
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait waits until the screen has n pictures.
func (s *screen) wait(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	for {
		s.mu.Lock()
		got, changed := len(s.units), s.changed
		s.mu.Unlock()
		if got >= n {
			return
		}
		select {
		case <-changed:
		case <-s.Failed():
			t.Fatalf("the viewer has lost its connection after %d pictures", got)
		case <-ctx.Done():
			t.Fatalf("%d pictures came, %d are awaited", got, n)
		}
	}
}

// numbers decodes what has come, which must be pictures of that size, and reads the number in each: by timestamp.
func (s *screen) numbers(ctx context.Context, t *testing.T, w, h int) map[uint32]uint32 {
	t.Helper()
	s.mu.Lock()
	stamps, units := s.stamps, s.units
	s.mu.Unlock()
	file := filepath.Join(t.TempDir(), "seen.h264")
	var stream []byte
	for _, u := range units {
		stream = append(stream, u...)
	}
	if err := os.WriteFile(file, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields("-hide_banner -nostdin -loglevel error -f h264 -i " + file + " -fps_mode passthrough -f rawvideo -pix_fmt gray pipe:1")
	out, err := exec.CommandContext(ctx, peer.Need(t, peer.FFmpeg), args...).Output()
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if len(out) != len(units)*w*h {
		t.Fatalf("%d pictures of %dx%d are %d bytes, %d came", len(units), w, h, len(units)*w*h, len(out))
	}
	numbers := map[uint32]uint32{}
	for i, stamp := range stamps {
		n, err := barcode.Read(out[i*w*h:(i+1)*w*h], w, w, h)
		if err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
		numbers[stamp] = n
	}
	return numbers
}

// A browser's two connections show the same frames: the original's and the enhanced picture's timestamps are those of one
// frame, and the number drawn into it proves it. The enhanced one is twice the size.
func TestBrowserMatchesFrames(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)})
	_, err := whep.Connect(ctx, whep.Config{URL: "http://" + p.http + "/nowhere/whep"})
	var status *whep.StatusError
	if !errors.As(err, &status) || status.Code != 404 {
		t.Errorf("a stream that is not configured: %v", err)
	}
	original, enhanced := p.show(ctx, t, "cam/original"), p.show(ctx, t, "cam")
	const seconds = 5
	original.wait(ctx, t, 2*loop/3) // part of which is the group of pictures that it starts with
	enhanced.wait(ctx, t, seconds*fps)
	// The right side first: each of its pictures has its original by then, and more come while they are decoded.
	right := enhanced.numbers(ctx, t, 2*width, 2*height)
	left := original.numbers(ctx, t, width, height)
	matched := 0
	for stamp, n := range right {
		if other, ok := left[stamp]; ok && other != n {
			t.Errorf("timestamp %d is frame %d on the left and %d on the right", stamp, other, n)
		} else if ok {
			matched++
		}
	}
	if matched < len(right)*95/100 {
		t.Errorf("%d of %d enhanced pictures have their original", matched, len(right))
	}
	if v := p.metric("rave_viewers", `path="enhanced"`) + p.metric("rave_viewers", `path="original"`); v != 2 {
		t.Errorf("%v viewers are counted", v)
	}
	if err := enhanced.Leave(ctx); err != nil {
		t.Error(err)
	}
	if v := p.metric("rave_viewers"); v != 1 {
		t.Errorf("%v viewers are counted after one has left", v)
	}
}

// Five hundred viewers leave nothing behind: goroutines, descriptors and memory are what they were after the first fifty.
func TestFiveHundredViewersComeAndGo(t *testing.T) {
	t.Parallel()
	const settled, all, atOnce = 50, 500, 4
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL),
		env:     []string{"GOGC=10"}, // so that the heap is what lives
	})
	p.serves(ctx, "cam")
	figures := func() (f [4]float64) {
		for i, name := range []string{"go_goroutines", "process_open_fds", "go_memstats_heap_inuse_bytes", "process_resident_memory_bytes"} {
			f[i] = p.gauge(name)
		}
		return f
	}
	visit := func(from, to int) {
		var wg sync.WaitGroup
		for first := range atOnce {
			wg.Go(func() {
				for i := from + first; i < to; i += atOnce {
					if err := p.glance(ctx, i); err != nil {
						t.Errorf("visit %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		eventually(ctx, t, "they have gone", func() error {
			if n := p.metric("rave_viewers"); n != 0 {
				return fmt.Errorf("%v viewers", n)
			}
			return nil
		})
	}
	visit(0, settled)
	before := figures()
	visit(settled, all)
	eventually(ctx, t, "as much as before", func() error {
		after := figures()
		t.Logf("goroutines, descriptors, heap and resident memory: %.0f after %d, %.0f after %d", before, settled, after, all)
		if after[0] > before[0]+8 || after[1] > before[1]+4 || after[2] > before[2]+4<<20 || after[3] > before[3]+24<<20 {
			return fmt.Errorf("%.0f; %.0f before", after, before)
		}
		return nil
	})
}

// glance watches until a keyframe is there, and goes: with a word or, each second time, without.
func (p *program) glance(ctx context.Context, i int) error {
	path := "cam/original"
	if i%5 == 0 {
		path = "cam"
	}
	c := whep.NewCounter()
	v, err := whep.Connect(ctx, whep.Config{URL: "http://" + p.http + "/" + path + "/whep", OnPacket: c.Packet, TCP: i%4 == 1})
	if err != nil {
		return err
	}
	if err := v.Wait(c.Keyframe(), 20*time.Second); err != nil {
		v.Close()
		return err
	}
	if i%2 == 0 {
		v.Close()
		return nil
	}
	return v.Leave(ctx)
}
