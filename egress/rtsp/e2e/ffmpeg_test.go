package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer returns a program of the test peers. Without it the test is skipped, or fails if RAVE_REQUIRE_PEERS is 1.
func peer(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("RAVE_PEERS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", ".build", "peers")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		reason := fmt.Sprintf("no %s in %s: run scripts/peers.sh, or set RAVE_PEERS", name, dir)
		if os.Getenv("RAVE_REQUIRE_PEERS") == "1" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	return path
}

// clip is what a camera sends: encoded beforehand, so that what arrives can be compared with it.
type clip struct {
	video []string // encoder options
	audio []string // none: no sound
}

// What is sent is longer than what is compared, since encoders, muxers and sockets hold something back at the end.
const (
	fps    = 25
	frames = 75
	tail   = 35
)

// make encodes the clip. Matroska takes every codec here.
func (c clip) make(t *testing.T, ffmpeg string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clip.mkv")
	args := []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=320x240:rate=%d", fps)}
	if c.audio != nil {
		args = append(args, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000")
	}
	args = append(append(args, c.video...), c.audio...)
	args = append(args, "-g", "1000", "-t", fmt.Sprint(float64(frames+tail)/fps), "-y", file)
	run(t, ffmpeg, args...)
	return file
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// frame is one line of FFmpeg's framemd5.
type frame struct {
	stream int
	pts    time.Duration
	size   int
	md5    string
}

// parse reads framemd5: "#tb 0: 1/90000", then "stream, dts, pts, duration, size, hash".
type parser struct{ base map[int]time.Duration }

func (p *parser) line(s string) (f frame, ok bool, err error) {
	if p.base == nil {
		p.base = map[int]time.Duration{}
	}
	var stream, num, den int
	if n, _ := fmt.Sscanf(s, "#tb %d: %d/%d", &stream, &num, &den); n == 3 {
		p.base[stream] = time.Second * time.Duration(num) / time.Duration(den)
		p.base[stream|1<<16] = time.Duration(num)
		p.base[stream|2<<16] = time.Duration(den)
	}
	if strings.HasPrefix(s, "#") || s == "" {
		return f, false, nil
	}
	fields := strings.Split(strings.ReplaceAll(s, " ", ""), ",")
	if len(fields) < 6 {
		return f, false, fmt.Errorf("framemd5 line %q", s)
	}
	var v [5]int64
	for i := range v {
		if v[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return f, false, err
		}
	}
	f.stream, f.size, f.md5 = int(v[0]), int(v[4]), fields[5]
	f.pts = time.Duration(v[2]) * time.Second * p.base[f.stream|1<<16] / p.base[f.stream|2<<16]
	return f, true, nil
}

func parseAll(t *testing.T, text string) (frames []frame) {
	t.Helper()
	var p parser
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		f, ok, err := p.line(s.Text())
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			frames = append(frames, f)
		}
	}
	return frames
}

// decoded lists the decoded pictures of an input, copied its packets.
func decoded(t *testing.T, ffmpeg, input string) []frame {
	t.Helper()
	return parseAll(t, run(t, ffmpeg, "-i", input, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framemd5", "-"))
}

func copied(t *testing.T, ffmpeg, input string) []frame {
	t.Helper()
	return parseAll(t, run(t, ffmpeg, "-i", input, "-map", "0:v", "-map", "0:a?", "-c", "copy", "-f", "framemd5", "-"))
}

// reader is an FFmpeg that reads a URL: packets come line by line, decoded pictures in the end.
type reader struct {
	cmd     *exec.Cmd
	packets chan frame
	file    string
	log     *output
	ended   chan error
}

// output collects what a program says.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func startReader(t *testing.T, ffmpeg, url, transport string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	r := &reader{packets: make(chan frame, 4096), file: filepath.Join(t.TempDir(), "decoded.md5"), log: &output{}, ended: make(chan error, 1)}
	r.cmd = exec.CommandContext(ctx, ffmpeg, "-nostdin", "-hide_banner", "-loglevel", "warning", "-rtsp_transport", transport, "-i", url,
		"-map", "0:v", "-map", "0:a?", "-c", "copy", "-copyts", "-flush_packets", "1", "-f", "framemd5", "pipe:1",
		"-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framemd5", r.file)
	r.cmd.Stderr = r.log
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanned := make(chan struct{})
	go func() {
		defer close(scanned)
		var p parser
		for s := bufio.NewScanner(out); s.Scan(); {
			if f, ok, err := p.line(s.Text()); ok && err == nil {
				r.packets <- f
			}
		}
	}()
	go func() {
		<-scanned
		r.ended <- r.cmd.Wait()
	}()
	t.Cleanup(func() {
		cancel()
		<-scanned
	})
	return r
}

// finish interrupts the reader, which then flushes its decoder, and returns all decoded pictures. It may take a second
// signal to end a read.
func (r *reader) finish(t *testing.T) []frame {
	t.Helper()
	for ended, deadline := false, time.Now().Add(20*time.Second); !ended; {
		if err := r.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		select {
		case <-r.ended: // interrupted: its status says nothing
			ended = true
		case <-time.After(8 * time.Second):
		}
		if time.Now().After(deadline) {
			t.Fatal("the reader does not end")
		}
	}
	text, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	return parseAll(t, string(text))
}
