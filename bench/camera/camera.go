// Package camera is an RTSP camera to test and measure against: it plays a clip made by package clip and writes down
// when it sent which frame. It stands on gortsplib alone, so that a fault of RAVE's own server cannot hide in it, and
// is meant to run in a process of its own: Main is that process.
//
// It prints "camera: rtsp://…" once readers can connect. Each line of its log is "NUMBER,NANOSECONDS": the number that
// is drawn into the frame, counted on over loops of the clip, and CLOCK_REALTIME just before its first packet was sent.
// Frames are sent whether or not somebody reads.
package camera

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"rave/engine/media"
	"rave/ingest/testsrc"
)

// Transport restricts how readers can have their packets.
type Transport string

// Transports.
const (
	Any Transport = "any"
	TCP Transport = "tcp"
	UDP Transport = "udp"
)

// Sets says where a camera keeps its parameter sets.
type Sets string

// Places of parameter sets.
const (
	SetsBoth   Sets = "both"
	SetsInBand Sets = "inband" // before each keyframe only
	SetsSDP    Sets = "sdp"    // in the description only, as cameras made of MP4 files do
)

// Audio chooses an audio track.
type Audio string

// Audio tracks. Both mark time: second k of the stream begins with the picture whose PTS is k.
const (
	NoAudio Audio = ""
	PCMA    Audio = "pcma" // silence, and a tone of 1 kHz over the first 100 ms of each second
	Opus    Audio = "opus" // silence
)

// Config says what camera to be.
type Config struct {
	Clip           string  // an MP4 file
	FPS            float64 // 0: the clip's
	Listen         string  // host:port; port 0 is any
	User, Password string  // empty: everybody may read
	Transport      Transport
	Sets           Sets
	Audio          Audio
	Clock          Steps     // of the video's timestamps; the log has true times
	SilentAfter    int64     // frames; 0: never. The connections stay, and so does the sound.
	DieAfter       int64     // frames; 0: never. Run returns ErrDied at once, without a goodbye to readers.
	Noise          int64     // one of so many frames has noise for data; 0: none
	Log            io.Writer // see above; nil: no log
	Say            io.Writer // the URL, once
}

// ErrDied is what Run returns after DieAfter frames.
var ErrDied = errors.New("the camera died, as it was told to")

// Run is the camera, until ctx is done.
func Run(ctx context.Context, cfg Config) error {
	clip, err := openClip(cfg)
	if err != nil {
		return fmt.Errorf("camera: %w", err)
	}
	s, err := listen(cfg, clip.Tracks()[0])
	if err != nil {
		return fmt.Errorf("camera: %w", err)
	}
	defer func() {
		if errors.Is(err, ErrDied) { // its connections stay open until it ends, with the process
			context.AfterFunc(ctx, s.close)
			return
		}
		s.close()
	}()
	fmt.Fprintf(cfg.Say, "camera: %s\n", s.url)
	err = clip.Run(ctx, &sender{ctx: ctx, cfg: cfg, server: s})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("camera: %w", err)
	}
	return err
}

func openClip(cfg Config) (*testsrc.Clip, error) {
	opt := testsrc.Options{}
	if cfg.Log != nil {
		opt.OnSend = func(n int64, t time.Time) { fmt.Fprintf(cfg.Log, "%d,%d\n", n, t.UnixNano()) }
	}
	if cfg.FPS > 0 {
		clip, err := testsrc.Open(cfg.Clip, testsrc.Options{})
		if err != nil {
			return nil, err
		}
		opt.Speed = cfg.FPS / clip.FPS()
	}
	return testsrc.Open(cfg.Clip, opt)
}

// sender passes the clip's frames to the server and plays the incidents.
type sender struct {
	ctx    context.Context
	cfg    Config
	server *server
	sent   int64
	shown  time.Duration // by the clock, last
}

// Tracks implements media.Output.
func (s *sender) Tracks([]media.Track) error { return nil }

// Packet implements media.Output.
func (s *sender) Packet(p media.Packet) error {
	if s.sent == 0 && s.server.audio != nil {
		from, zero := p.Arrival, p.NTP.Add(-p.PTS)
		s.server.playing.Go(func() { s.server.playAudio(s.ctx, from, zero) })
	}
	p.PTS = s.cfg.Clock.at(s.sent, p.PTS, &s.shown)
	s.sent++
	switch {
	case s.cfg.DieAfter > 0 && s.sent > s.cfg.DieAfter:
		return ErrDied
	case s.cfg.SilentAfter > 0 && s.sent > s.cfg.SilentAfter:
		return nil
	}
	if s.cfg.Noise > 0 && s.sent%s.cfg.Noise == 0 {
		p.Data = noise(s.sent, p.Data)
	}
	return s.server.write(p)
}

// Sent is one line of a camera's log.
type Sent struct {
	N    int64     // counted on over loops of the clip
	Time time.Time //
}

// ReadLog reads a camera's log, in order of N. A last line without its end, which the camera is just writing, is left
// out.
func ReadLog(path string) ([]Sent, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read camera log: %w", err)
	}
	defer file.Close()
	var log []Sent
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read camera log: %w", err)
		}
		number, nanoseconds, _ := strings.Cut(strings.TrimSpace(line), ",")
		n, err := strconv.ParseInt(number, 10, 64)
		ns, err2 := strconv.ParseInt(nanoseconds, 10, 64)
		if err != nil || err2 != nil {
			return nil, fmt.Errorf("read camera log %s: line %d: %q", path, len(log)+1, strings.TrimSpace(line))
		}
		log = append(log, Sent{N: n, Time: time.Unix(0, ns)})
	}
	slices.SortFunc(log, func(a, b Sent) int { return int(a.N - b.N) })
	return log, nil
}
