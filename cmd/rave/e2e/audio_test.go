package e2e

import (
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rave/bench/barcode"
	"rave/bench/camera"
	"rave/bench/peer"
	"rave/bench/process"
)

// Sound and picture say the same time: each second of the camera's tone begins with the picture of a full second.
func TestSoundIsInSyncWithThePicture(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "udp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			cam := startCamera(ctx, t, camera.Config{Audio: camera.PCMA})
			p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: %s, quality: [luma-copy-x2, lanczos]}", cam.URL, transport)})
			for path, scale := range map[string]int{"cam": 2, "cam/original": 1} {
				p.serves(ctx, path)
				r := startTwin(t, p.url(path), scale*width, scale*height)
				var offsets []time.Duration
				eventually(ctx, t, path+" has tones and pictures", func() error {
					if offsets = r.offsets(t); len(offsets) < 4 {
						return fmt.Errorf("%d tones with their picture", len(offsets))
					}
					return nil
				})
				// The first may be placed before FFmpeg knows how the tracks relate.
				for _, offset := range offsets[1:] {
					if offset < -100*time.Millisecond || offset > 100*time.Millisecond {
						t.Errorf("%s: a tone comes %v after its picture: %v", path, offset, offsets)
					}
				}
				t.Logf("%s: tones after their pictures: %v", path, offsets)
			}
		})
	}
}

func TestOpusPassesThrough(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{Audio: camera.Opus})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)})
	for path, scale := range map[string]int{"cam": 2, "cam/original": 1} {
		p.serves(ctx, path)
		r := startTwin(t, p.url(path), scale*width, scale*height)
		var sound []level
		eventually(ctx, t, path+" has sound", func() error {
			if sound = r.levels(); len(sound) < 100 {
				return fmt.Errorf("%d frames of sound", len(sound))
			}
			return nil
		})
		for i := range sound[1:] {
			if step := sound[i+1].at - sound[i].at; i > 0 && (step < 15*time.Millisecond || step > 25*time.Millisecond) {
				t.Errorf("%s: frames of sound %v apart", path, step)
			}
		}
		if !strings.Contains(r.Output(), "Audio: opus") {
			t.Errorf("%s: %s", path, ends(r.Output(), 30, 0))
		}
		if code, answer, err := describe(p.rtsp, path); err != nil || code != 200 || !strings.Contains(strings.ToLower(answer), "opus/48000/2") {
			t.Errorf("DESCRIBE %s: %d, %v, %s", path, code, err, answer)
		}
	}
}

// twin is an FFmpeg that decodes picture and sound of one stream with their common timestamps.
type twin struct {
	*process.Process
	numbers func() []int // read in the pictures so far; -1: unreadable
}

// startTwin reads a stream of pictures of that size.
func startTwin(t *testing.T, url string, w, h int) *twin {
	t.Helper()
	pictures, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	rows := 2 * ((h + 15) / 16)
	args := strings.Fields(fmt.Sprintf("-hide_banner -nostdin -nostats -rtsp_transport tcp -i %s -map 0:v:0 "+
		"-vf showinfo=checksum=0,crop=iw:%d:0:0:exact=1,extractplanes=y -fps_mode passthrough -f rawvideo -flush_packets 1 pipe:1 "+
		"-map 0:a:0 -af astats=metadata=1:reset=1,ametadata=mode=print:key=lavfi.astats.Overall.RMS_level -f null -", url, rows))
	p, err := process.Start(process.Config{Name: "reader", Path: peer.Need(t, peer.FFmpeg), Args: args, Stdout: out})
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	list, done := make(chan int, 10000), make(chan struct{})
	go func() {
		defer close(done)
		strip := make([]byte, w*rows)
		for {
			if _, err := io.ReadFull(pictures, strip); err != nil {
				return
			}
			n, err := barcode.Read(strip, w, w, 8*rows)
			if err != nil {
				list <- -1
				continue
			}
			list <- int(n)
		}
	}()
	t.Cleanup(func() {
		p.Kill()
		<-done
		pictures.Close()
		if t.Failed() {
			t.Logf("reader of %s:\n%s", url, ends(p.Output(), 30, 20))
		}
	})
	var seen []int
	return &twin{Process: p, numbers: func() []int {
		for len(list) > 0 {
			seen = append(seen, <-list)
		}
		return seen
	}}
}

// level is the loudness of one frame of sound, in dB.
type level struct {
	at time.Duration
	db float64
}

var (
	soundLine   = regexp.MustCompile(`frame:\d+ +pts:\S+ +pts_time:(\S+)`)
	levelLine   = regexp.MustCompile(`lavfi\.astats\.Overall\.RMS_level=(\S+)`)
	pictureLine = regexp.MustCompile(`\] n: *\d+ pts: *\S+ pts_time:(\S+)`)
)

func (r *twin) levels() (list []level) {
	var at time.Duration
	for line := range strings.Lines(r.Output()) {
		if m := soundLine.FindStringSubmatch(line); m != nil {
			at = seconds(m[1])
		} else if m := levelLine.FindStringSubmatch(line); m != nil {
			db, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				db = math.Inf(-1)
			}
			list = append(list, level{at, db})
		}
	}
	return list
}

// offsets returns, for each beginning of a tone, how long after the nearest picture of a full second it comes.
func (r *twin) offsets(t *testing.T) (list []time.Duration) {
	t.Helper()
	numbers := r.numbers()
	var full []time.Duration // times of pictures of full seconds
	for i, m := range pictureLine.FindAllStringSubmatch(r.Output(), -1) {
		if i < len(numbers) && numbers[i] >= 0 && numbers[i]%fps == 0 {
			full = append(full, seconds(m[1]))
		}
	}
	before := level{db: 0}
	for _, l := range r.levels() {
		if l.db > -30 && before.db < -30 {
			nearest := time.Hour
			for _, at := range full {
				if d := l.at - at; d.Abs() < nearest.Abs() {
					nearest = d
				}
			}
			if nearest.Abs() < 700*time.Millisecond { // otherwise its picture has not come yet
				list = append(list, nearest)
			}
		}
		before = l
	}
	return list
}

func seconds(text string) time.Duration {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return -1
	}
	return time.Duration(v * float64(time.Second))
}
