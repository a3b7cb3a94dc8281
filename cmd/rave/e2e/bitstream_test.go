package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
	"rave/bench/reader"
	"rave/engine/enginetest"
	"rave/engine/media"
)

// elementary returns a clip as a byte stream, as FFmpeg's demuxers for h264 and hevc read it.
func elementary(ctx context.Context, t *testing.T, p clip.Params) []byte {
	t.Helper()
	name, filter := "h264", "h264_mp4toannexb"
	if p.Codec == clip.H265 {
		name, filter = "hevc", "hevc_mp4toannexb"
	}
	to := filepath.Join(t.TempDir(), "stream."+name)
	args := []string{"-v", "error", "-nostdin", "-i", makeClip(ctx, t, p), "-c", "copy", "-bsf:v", filter, "-f", name, to}
	run, err := process.Start(process.Config{Name: "ffmpeg", Path: peer.Need(t, peer.FFmpeg), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// publishRaw sends a byte stream in real time, once.
func publishRaw(ctx context.Context, t *testing.T, codec clip.Codec, data []byte, url string) {
	t.Helper()
	format := "h264"
	if codec == clip.H265 {
		format = "hevc"
	}
	file := filepath.Join(t.TempDir(), "published."+format)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(fmt.Sprintf("-hide_banner -nostdin -v info -re -framerate %d -f %s -i %s -c copy -f rtsp -rtsp_transport tcp %s",
		fps, format, file, url))
	p, err := process.Start(process.Config{Name: "publisher", Path: peer.Need(t, peer.FFmpeg), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("the publisher's log:\n%s", ends(p.Output(), 20, 20))
		}
	})
	if _, err := p.Line(ctx, `Output #0`); err != nil {
		t.Fatal(err)
	}
}

// TestSizeChangesMidway: a camera goes from 640x360 to 1280x720 and back. The same reader decodes across, every picture
// of it is right, and it sees each size.
func TestSizeChangesMidway(t *testing.T) {
	t.Parallel()
	for _, codec := range []clip.Codec{clip.H264, clip.H265} {
		t.Run(string(codec), func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			const part = 8 * fps // the size of what is published follows after 5 s
			small := elementary(ctx, t, clip.Params{Codec: codec, Width: 640, Height: 360, Frames: part})
			large := elementary(ctx, t, clip.Params{Codec: codec, Width: 1280, Height: 720, Frames: part})
			p := serve(ctx, t, settings{streams: "  cam: {source: publish, quality: [lanczos], output: {scale: 1}, encode: {preset: ultrafast}}"})
			publishRaw(ctx, t, codec, slices.Concat(small, large, small, large, small), p.url("cam"))
			p.serves(ctx, "cam")
			r, err := reader.Start(reader.Config{
				FFmpeg: peer.Need(t, peer.FFmpeg), URL: p.url("cam"), Input: []string{"-fflags", "-nobuffer"}, Scale: "640x360",
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.Stop() })
			var sizes []string
			eventually(ctx, t, "three sizes", func() error {
				sizes = nil
				for _, picture := range r.Pictures() {
					sizes = append(sizes, fmt.Sprintf("%dx%d", picture.Width, picture.Height))
				}
				sizes = slices.Compact(sizes)
				if i := slices.Index(sizes, "640x360"); i >= 0 && len(sizes)-i >= 3 {
					return nil
				}
				return fmt.Errorf("seen %v", sizes)
			})
			wait(ctx, t, r, fps)
			for i, s := range sizes {
				if s != []string{"640x360", "1280x720"}[(i+slices.Index([]string{"640x360", "1280x720"}, sizes[0]))%2] {
					t.Errorf("sizes %v", sizes)
				}
			}
			for i, s := range r.Seen() {
				if s.Err != nil {
					t.Errorf("picture %d cannot be read: %v", i, s.Err)
				}
			}
			for _, reason := range []string{"corrupt", "damaged"} { // a busy machine may drop others
				if n := p.metric("rave_frames_dropped_total", `stream="cam"`, `reason="`+reason+`"`); n != 0 {
					t.Errorf("%v frames are %s", n, reason)
				}
			}
		})
	}
}

// TestHostileBitstreams: one camera sends 5 s of garbage between whole pictures, another pictures above the limit, whose
// password is nobody's business. The third loses nothing; the first is back after its garbage, for the same reader.
func TestHostileBitstreams(t *testing.T) {
	t.Parallel()
	for _, codec := range []clip.Codec{clip.H264, clip.H265} {
		t.Run(string(codec), func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			good, large := startCamera(ctx, t, camera.Config{}), startCamera(ctx, t, camera.Config{
				Clip: makeClip(ctx, t, clip.Params{Codec: codec, Width: 640, Height: 360, Frames: 40}), User: "admin", Password: "hush-hush",
			})
			p := serve(ctx, t, settings{streams: fmt.Sprintf(`
  bad: {source: publish, quality: [lanczos]}
  large: {source: %q, username: admin, password: hush-hush, quality: [lanczos], max_pixels: 200000}
  good: {source: %q, transport: tcp, quality: [lanczos]}`, large.URL, good.URL)})
			p.serves(ctx, "good")
			other := watch(t, p.url("good"), "tcp")
			wait(ctx, t, other, 1)
			whole := elementary(ctx, t, clip.Params{Codec: codec, Frames: 5 * fps})
			publishRaw(ctx, t, codec, slices.Concat(whole, spoiled(codec, whole), whole, whole, whole), p.url("bad"))
			p.serves(ctx, "bad")
			r := watch(t, p.url("bad"), "tcp")
			wait(ctx, t, r, 1)
			eventually(ctx, t, "counted damage", func() error {
				if n := p.metric("rave_frames_dropped_total", `stream="bad"`); n < 5 {
					return fmt.Errorf("%v drops", n)
				}
				return nil
			})
			eventually(ctx, t, "a whole pass of good pictures after the garbage", func() error {
				seen := r.Seen()
				next := uint32(0)
				for _, s := range seen[len(seen)/4:] {
					if s.Err == nil && (s.N == next || s.N == 0) {
						next = s.N + 1
					}
				}
				if next < 5*fps || len(seen) < 6*fps {
					return errors.New(numbers(seen))
				}
				return nil
			})
			size := "640x368"
			if codec == clip.H265 {
				size = "640x360"
			}
			p.says(ctx, `(WARN|ERROR).*stream large: the camera sends `+size+` pixels, and max_pixels is 200000; lower the camera's resolution, or raise max_pixels`)
			complete(ctx, t, p, other, fps, loop)
			if strings.Contains(p.Output(), "hush-hush") {
				t.Error("the log tells the password")
			}
			for line := range strings.Lines(p.Output()) {
				if len(line) > 4000 {
					t.Errorf("a line of the log has %d bytes: %.300s", len(line), line)
				}
			}
		})
	}
}

// spoiled breaks every NAL unit of a byte stream in some way.
func spoiled(codec clip.Codec, stream []byte) []byte {
	random := rand.New(rand.NewPCG(11, 11))
	var out [][]byte
	for u := range media.NALUs(stream) {
		out = append(out, enginetest.Mutate(random, media.Codec(codec), bytes.Clone(u)))
	}
	return media.AnnexB(out...)
}
