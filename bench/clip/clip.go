// Package clip makes the clips that the barcode camera plays: real content, repeated to any length, with the frame's
// number drawn into each picture, encoded beforehand so that the camera costs nothing while it is measured. FFmpeg 9
// decodes and encodes, each in a process of its own. Clips are cached in a folder under a name that says what they are.
package clip

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"rave/bench/barcode"
)

// Codec is how a clip is encoded.
type Codec string

// The codecs.
const (
	H264  Codec = "h264"
	H265  Codec = "h265"
	MJPEG Codec = "mjpeg"
)

// Params says what clip to make.
type Params struct {
	Source        string // a file FFmpeg reads; its pictures are taken one by one, whatever their rate
	Width, Height int    // even numbers
	FPS           int
	Frames        int
	Codec         Codec  // "" is H264
	BFrames       int    // between two others, up to 16
	Interlaced    bool   // coded as fields, top first; H264 only
	Pixel         string // FFmpeg's name; "" is yuv420p
	FullRange     bool   // always so for MJPEG
}

func (p Params) check() error {
	switch {
	case p.Width < 80 || p.Height < 32 || p.Width%2 != 0 || p.Height%2 != 0:
		return fmt.Errorf("size %dx%d: even numbers from 80x32 are needed", p.Width, p.Height)
	case p.FPS < 1 || p.FPS > 240:
		return fmt.Errorf("%d frames per second: 1 to 240 are possible", p.FPS)
	case p.Frames < 1 || p.Frames > barcode.Max:
		return fmt.Errorf("%d frames: 1 to %d are possible", p.Frames, barcode.Max)
	case p.BFrames < 0 || p.BFrames > 16:
		return fmt.Errorf("%d B-frames: 0 to 16 are possible", p.BFrames)
	}
	switch p.Codec {
	case MJPEG:
		if p.Width%8 != 0 || p.Height%8 != 0 { // RFC 2435 section 3.1.5
			return fmt.Errorf("size %dx%d: JPEG over RTP needs multiples of 8", p.Width, p.Height)
		}
		return nil
	case H264, H265:
		return nil
	default:
		return fmt.Errorf("codec %q: there is h264, h265 and mjpeg", p.Codec)
	}
}

// name is the clip's file name; it tells everything that changes the clip, the source by its content.
func (p Params) name(source []byte) string {
	var extra string
	if p.BFrames > 0 {
		extra += fmt.Sprintf("-b%d", p.BFrames)
	}
	if p.Interlaced {
		extra += "-interlaced"
	}
	if p.FullRange {
		extra += "-full"
	}
	base := strings.TrimSuffix(filepath.Base(p.Source), filepath.Ext(p.Source))
	return fmt.Sprintf("%s-%.8x-%dx%d-%dfps-%d-%s-%s%s.mp4", base, sha256.Sum256(source), p.Width, p.Height, p.FPS,
		p.Frames, p.Codec, p.Pixel, extra)
}

// Make returns the path of the clip in the folder, made now if it isn't there.
func Make(ctx context.Context, ffmpeg, folder string, p Params) (string, error) {
	if p.Codec == "" {
		p.Codec = H264
	}
	if p.Pixel == "" {
		p.Pixel = "yuv420p"
	}
	p.FullRange = p.FullRange || p.Codec == MJPEG
	if err := p.check(); err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	source, err := os.ReadFile(p.Source)
	if err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	path := filepath.Join(folder, p.name(source))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	unfinished, err := os.MkdirTemp(folder, "unfinished-")
	if err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	defer func() { _ = os.RemoveAll(unfinished) }()
	made := filepath.Join(unfinished, "clip.mp4")
	if err := p.transcode(ctx, ffmpeg, made); err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	if err := os.Rename(made, path); err != nil {
		return "", fmt.Errorf("make clip: %w", err)
	}
	return path, nil
}

// transcode runs the source through two FFmpegs, with the drawing in between.
func (p Params) transcode(ctx context.Context, ffmpeg, to string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var said strings.Builder
	decode := exec.CommandContext(ctx, ffmpeg, p.decodeArgs()...)
	pictures, err := decode.StdoutPipe()
	if err != nil {
		return err
	}
	var encoderSaid strings.Builder
	encode := exec.CommandContext(ctx, ffmpeg, p.encodeArgs(to)...)
	decode.Stderr, encode.Stderr = &said, &encoderSaid
	numbered, err := encode.StdinPipe()
	if err != nil {
		return err
	}
	if err := decode.Start(); err != nil {
		return err
	}
	if err := encode.Start(); err != nil {
		cancel()
		return errors.Join(err, decode.Wait())
	}
	drawn := p.draw(numbered, pictures)
	numbered.Close()
	if drawn != nil {
		cancel() // one of them may wait for the other for ever
	}
	err = errors.Join(drawn, encode.Wait(), decode.Wait())
	if err != nil {
		return fmt.Errorf("%w\ndecoder: %s\nencoder: %s", err, said.String(), encoderSaid.String())
	}
	return nil
}

// draw copies pictures in yuv420p and numbers them.
func (p Params) draw(to io.Writer, from io.Reader) error {
	picture := make([]byte, p.Width*p.Height*3/2)
	for n := range p.Frames {
		if _, err := io.ReadFull(from, picture); err != nil {
			return fmt.Errorf("read picture %d: %w", n, err)
		}
		if err := barcode.Draw(picture, p.Width, p.Width, p.Height, uint32(n)); err != nil {
			return err
		}
		// The code is grey, whatever colour was there: chroma that goes with neither level would change luma in RGB.
		rows := (barcode.Height(p.Height) + 1) / 2
		for _, plane := range [][]byte{picture[p.Width*p.Height:], picture[p.Width*p.Height*5/4:]} {
			for i := range plane[:rows*p.Width/2] {
				plane[i] = 128
			}
		}
		if _, err := to.Write(picture); err != nil {
			return fmt.Errorf("write picture %d: %w", n, err)
		}
	}
	return nil
}

func (p Params) decodeArgs() []string {
	size := fmt.Sprintf("scale=%d:%d:flags=lanczos", p.Width, p.Height)
	return []string{
		"-v", "error", "-nostdin", "-stream_loop", "-1", "-i", p.Source, "-an", "-vf", "setpts=N/TB," + size,
		"-fps_mode", "passthrough", "-frames:v", fmt.Sprint(p.Frames), "-pix_fmt", "yuv420p", "-f", "rawvideo", "pipe:1",
	}
}

// encodeArgs encodes like a camera: a keyframe each second, constant quality with a bounded rate.
func (p Params) encodeArgs(to string) []string {
	arg := func(format string, a ...any) []string { return strings.Fields(fmt.Sprintf(format, a...)) }
	args := arg("-v error -nostdin -f rawvideo -pix_fmt yuv420p -s %dx%d -r %d -i pipe:0", p.Width, p.Height, p.FPS)
	colorRange := "tv"
	if p.FullRange {
		colorRange = "pc"
	}
	args = append(args, arg("-vf scale=in_range=tv:out_range=%s,format=%s -color_range %s", colorRange, p.Pixel, colorRange)...)
	switch p.Codec {
	case H264:
		args = append(args, arg("-c:v libx264 -preset veryfast -crf 22 -g %d -keyint_min %d -bf %d", p.FPS, p.FPS, p.BFrames)...)
		if p.Interlaced {
			args = append(args, arg("-flags +ilme+ildct -x264-params tff=1:scenecut=0")...)
		} else {
			args = append(args, arg("-x264-params scenecut=0")...)
		}
	case H265:
		args = append(args, arg("-c:v libx265 -preset superfast -crf 24 -x265-params "+
			"log-level=error:scenecut=0:open-gop=0:keyint=%d:min-keyint=%d:bframes=%d", p.FPS, p.FPS, p.BFrames)...)
	case MJPEG: // the Huffman tables that RTP's receivers know (RFC 2435 appendix B)
		args = append(args, arg("-c:v mjpeg -huffman default -q:v 6")...)
	}
	return append(args, "-f", "mp4", to)
}
