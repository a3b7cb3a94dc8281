package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	egress "rave/egress/rtsp"
	"rave/engine/media"
)

// FFmpeg logs in with digest and with basic, and shows why it is refused.
func TestFFmpegLogsIn(t *testing.T) {
	ffmpeg := peer(t, "ffmpeg")
	hash, err := bcrypt.GenerateFromPassword([]byte("p@ss:w#rd"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for name, user := range map[string]egress.User{
		"digest": {Name: "viewer", Password: "p@ss:w#rd", Read: true},
		"basic":  {Name: "viewer", PasswordHash: string(hash), Read: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := egress.New(egress.Config{Listen: "127.0.0.1:0", Users: []egress.User{user}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			path := s.Path("cam1", egress.PathConfig{KeepGOP: true})
			s.Path("away", egress.PathConfig{}).SetUnavailable("camera away: connection refused")
			if err := path.Open([]media.Track{{Kind: media.Video, Codec: media.MJPEG, ClockRate: 90000}}); err != nil {
				t.Fatal(err)
			}
			broadcast(t, path, jpeg(t, ffmpeg))
			for _, c := range []struct{ login, path, want string }{
				{"viewer:p%40ss%3Aw%23rd@", "cam1", ""},
				{"viewer:wrong@", "cam1", "401 Unauthorized"},
				{"", "cam1", "401 Unauthorized"},
				{"viewer:p%40ss%3Aw%23rd@", "away", "404 (camera away: connection refused)"},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				cmd := exec.CommandContext(ctx, ffmpeg, "-nostdin", "-hide_banner", "-rtsp_transport", "tcp",
					"-i", fmt.Sprintf("rtsp://%s%s/%s", c.login, s.Addr(), c.path), "-frames:v", "1", "-c", "copy", "-f", "null", "-")
				out, err := cmd.CombinedOutput()
				if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(string(out), c.want)) {
					t.Errorf("%s %s: %v, want %q\n%s", c.login, c.path, err, c.want, out)
				}
			}
		})
	}
}

// broadcast writes an image 25 times a second until the test ends.
func broadcast(t *testing.T, path *egress.Path, image []byte) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / fps)
		defer tick.Stop()
		for n := 0; ; n++ {
			pkt := media.Packet{Data: image, Keyframe: true, PTS: time.Duration(n) * time.Second / fps, Arrival: time.Now()}
			if err := path.Write(pkt); err != nil {
				t.Error(err)
			}
			select {
			case <-tick.C:
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() { <-done })
}

// jpeg returns one image.
func jpeg(t *testing.T, ffmpeg string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.jpg")
	run(t, ffmpeg, "-f", "lavfi", "-i", "testsrc2=size=64x64", "-frames:v", "1", "-c:v", "mjpeg", "-huffman", "default",
		"-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p", "-update", "1", file)
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return image
}
