// Package reader looks at an RTSP stream from outside: FFmpeg 9, a process of its own, receives and decodes it, and
// from each picture the number that the barcode camera drew into it is read, with the time at which it was there.
// Together with the camera's log that gives latency, loss and order without a word from the program under test.
//
// FFmpeg's H.264 parser holds a picture until the next one begins, so a reader sees every picture one frame interval
// late. Subtract what the same reader sees directly at the camera.
package reader

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"rave/bench/barcode"
	"rave/bench/process"
)

// Config says what to read.
type Config struct {
	FFmpeg    string   // path of the program
	URL       string   //
	Transport string   // "tcp" (the default) or "udp"
	Input     []string // further options before FFmpeg's -i
	Scale     string   // "WxH": what pictures are scaled to before they are read, for streams that change their size
}

// Seen is one picture.
type Seen struct {
	N   uint32    // the number in it; 0 if unreadable
	Err error     // why it is unreadable
	At  time.Time // when it was there, decoded
}

// Reader is a running reader.
type Reader struct {
	process *process.Process
	done    chan struct{} // closed when all is read

	mu      sync.Mutex
	seen    []Seen
	err     error
	changed chan struct{} // closed and replaced when seen grows
}

// Start starts reading. Stop must be called.
func Start(cfg Config) (*Reader, error) {
	if cfg.Transport == "" {
		cfg.Transport = "tcp"
	}
	pictures, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start reader: %w", err)
	}
	// The file itself, not a copying goroutine, is FFmpeg's output.
	p, err := process.Start(process.Config{Name: "reader", Path: cfg.FFmpeg, Args: args(cfg), Stdout: out})
	out.Close()
	if err != nil {
		pictures.Close()
		return nil, err
	}
	r := &Reader{process: p, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(r.done)
		err := r.read(bufio.NewReaderSize(pictures, 1<<20))
		pictures.Close()
		<-p.Done() // so that what FFmpeg said last is there
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}()
	return r, nil
}

// args makes FFmpeg deliver each picture at once. Only the rows with the code leave it. It is to say the times that it was
// sent (copyts): else it counts them from the first packet that it could place, and as it does not keep the time of a first
// picture that it has hardly looked at (probesize), that is one of the sound's. A first picture, for which it then makes up
// zero, would be later than the second one whenever the sound begins in between.
func args(cfg Config) []string {
	args := strings.Fields("-hide_banner -nostdin -nostats -rtsp_transport " + cfg.Transport +
		" -fflags nobuffer -flags low_delay -probesize 32 -analyzeduration 0 -threads 1 -copyts")
	args = append(append(args, cfg.Input...), "-i", cfg.URL)
	scale := ""
	if cfg.Scale != "" {
		scale = "scale=" + cfg.Scale + ","
	}
	filters := "showinfo=checksum=0," + scale + "format=pix_fmts=yuv420p|yuvj420p|yuv422p|yuvj422p," +
		"crop=iw:2*ceil(ih/16):0:0:exact=1,extractplanes=y"
	return append(append(args, "-map", "0:v:0", "-vf", filters),
		strings.Fields("-fps_mode passthrough -f yuv4mpegpipe -flush_packets 1 pipe:1")...)
}

// read takes pictures until the stream ends.
func (r *Reader) read(from *bufio.Reader) error {
	var w, rows int
	header, err := from.ReadString('\n')
	if err != nil {
		return errors.New("no picture came")
	}
	for _, field := range strings.Fields(header) {
		switch field[0] {
		case 'W':
			w, err = strconv.Atoi(field[1:])
		case 'H':
			rows, err = strconv.Atoi(field[1:])
		}
		if err != nil {
			return fmt.Errorf("picture header %q: %w", header, err)
		}
	}
	if w < 1 || rows < 1 || w*rows > 1<<26 {
		return fmt.Errorf("picture header %q", header)
	}
	strip := make([]byte, w*rows)
	for {
		if _, err := from.ReadString('\n'); err != nil {
			return nil // the end
		}
		if _, err := io.ReadFull(from, strip); err != nil {
			return nil
		}
		at := time.Now()
		n, err := barcode.Read(strip, w, w, 8*rows)
		r.mu.Lock()
		r.seen = append(r.seen, Seen{N: n, Err: err, At: at})
		close(r.changed)
		r.changed = make(chan struct{})
		r.mu.Unlock()
	}
}

// Seen returns what was seen so far.
func (r *Reader) Seen() []Seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen[:len(r.seen):len(r.seen)]
}

// Wait waits until enough says so, which is asked after every picture with all that were seen.
func (r *Reader) Wait(ctx context.Context, enough func([]Seen) bool) error {
	for {
		r.mu.Lock()
		changed := r.changed
		r.mu.Unlock()
		seen := r.Seen()
		if enough(seen) {
			return nil
		}
		select {
		case <-changed:
		case <-r.done:
			return fmt.Errorf("reader ended after %d pictures: %s", len(r.Seen()), lastLines(r.Output()))
		case <-ctx.Done():
			return fmt.Errorf("reader: %w after %d pictures: %s", ctx.Err(), len(seen), lastLines(r.Output()))
		}
	}
}

// WaitFor waits for n more pictures with a number.
func (r *Reader) WaitFor(ctx context.Context, n int) error {
	from := len(r.Seen())
	return r.Wait(ctx, func(seen []Seen) bool {
		readable := 0
		for _, s := range seen[min(from, len(seen)):] {
			if s.Err == nil {
				readable++
			}
		}
		return readable >= n
	})
}

func lastLines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}

// Done is closed when the stream has ended.
func (r *Reader) Done() <-chan struct{} { return r.done }

// Output returns what FFmpeg has said.
func (r *Reader) Output() string { return r.process.Output() }

// Usage returns what FFmpeg has used of the machine.
func (r *Reader) Usage() (process.Usage, error) { return r.process.Usage() }

// Stop ends the reader and returns all that it saw.
func (r *Reader) Stop() []Seen {
	r.process.Kill()
	<-r.done
	return r.Seen()
}

// Picture is what FFmpeg's decoder says of a picture.
type Picture struct {
	PTS           time.Duration
	Width, Height int
	Format        string // FFmpeg's name of the pixel format
	Key           bool
	Range, Matrix string // FFmpeg's names
}

// Pictures returns what FFmpeg has said of the pictures, in the order of Seen. It may be one or two ahead of it.
func (r *Reader) Pictures() []Picture { return parsePictures(r.Output()) }

func parsePictures(output string) []Picture {
	// [Parsed_showinfo_0 @ 0x…] n:   0 pts:  88199 pts_time:0.979989 … fmt:yuv420p … s:640x360 i:P iskey:1 type:I
	line := regexp.MustCompile(`\] n: *\d+ pts: *\S+ pts_time:(\S+) .*fmt:(\S+) .*s:(\d+)x(\d+) i:\S iskey:(\d)`)
	color := regexp.MustCompile(`\] color_range:(\S+) color_space:(\S+)`)
	var list []Picture
	for text := range strings.Lines(output) {
		if m := line.FindStringSubmatch(text); m != nil {
			seconds, err := strconv.ParseFloat(m[1], 64)
			if err != nil { // NOPTS
				seconds = -1
			}
			p := Picture{PTS: time.Duration(seconds * float64(time.Second)), Format: m[2], Key: m[5] == "1"}
			p.Width, _ = strconv.Atoi(m[3])
			p.Height, _ = strconv.Atoi(m[4])
			list = append(list, p)
		} else if m := color.FindStringSubmatch(text); m != nil && len(list) > 0 {
			last := &list[len(list)-1]
			last.Range, last.Matrix = m[1], m[2]
		}
	}
	return list
}
