package soak

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/measure"
	"rave/bench/process"
)

// stream is a camera and what RAVE makes of its picture.
type stream struct {
	name      string
	clip      clip.Params
	published bool   // else RAVE connects to the camera
	transport string // how RAVE, or the publisher, takes the picture
	options   string // more of its configuration, YAML
}

const loopSeconds = 60

// streams are the four of the soak. The last one's camera misbehaves. Together with cameras and readers they are to
// take about 60 % of two cores.
func streams() []stream {
	const lanczos, network = "quality: [lanczos]", "quality: [live-x2, lanczos]"
	return []stream{
		{name: "gate", clip: numbered("cockatoo-640x360.mp4", 640, 360, 15), transport: "udp", options: lanczos},
		{name: "yard", clip: numbered("cockatoo-640x360.mp4", 640, 360, 12), transport: "tcp", options: network},
		{name: "studio", clip: numbered("security-384x288.mp4", 384, 288, 12), transport: "tcp", published: true, options: lanczos},
		{name: unruly, clip: numbered("cockatoo-640x360.mp4", 320, 184, 12), transport: "udp", options: lanczos},
	}
}

// unruly is the name of the stream whose camera misbehaves.
const unruly = "unruly"

func numbered(source string, w, h, fps int) clip.Params {
	return clip.Params{Source: source, Width: w, Height: h, FPS: fps, Frames: loopSeconds * fps}
}

// program is a running RAVE.
type program struct {
	*process.Process
	rtsp, http string // addresses
	client     *http.Client
}

// startProgram starts RAVE and waits until it answers. The file is made in the folder.
func startProgram(ctx context.Context, binary, folder, yaml string) (*program, error) {
	rtsp, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	web, err := measure.FreeAddress()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "rave.yaml")
	text := fmt.Sprintf("rtsp: {listen: %q}\nhttp: {listen: %q}\nwebrtc: {listen: \"127.0.0.1:0\", tcp_listen: \"127.0.0.1:0\"}\n%s", rtsp, web, yaml)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("start rave: %w", err)
	}
	started, err := process.Start(process.Config{Name: "rave", Path: binary, Args: []string{"serve", "-c", path}})
	if err != nil {
		return nil, err
	}
	p := &program{Process: started, rtsp: rtsp, http: web, client: &http.Client{Timeout: 10 * time.Second}}
	for {
		if _, err = p.get(ctx, "/healthz"); err == nil {
			return p, nil
		}
		select {
		case <-p.Done():
			return nil, p.Wait()
		case <-ctx.Done():
			p.Kill()
			return nil, fmt.Errorf("start rave: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *program) url(path string) string { return "rtsp://" + p.rtsp + "/" + path }

// yaml is the configuration of streams whose cameras are at these URLs.
func yaml(list []stream, cameras map[string]string) string {
	var b strings.Builder
	// A picture that is shown again would be taken for one that comes late.
	b.WriteString("stream_defaults: {hold_last_frame: 0s}\nstreams:\n")
	for _, s := range list {
		source, transport := cameras[s.name], ", transport: "+s.transport
		if s.published {
			source, transport = "publish", ""
		}
		fmt.Fprintf(&b, "  %s: {source: %q%s, %s}\n", s.name, source, transport, s.options)
	}
	return b.String()
}

// makeClip makes a stream's clip, or finds it.
func (c Config) makeClip(ctx context.Context, p clip.Params) (string, error) {
	p.Source = filepath.Join(c.Root, "ingest", "testsrc", "clips", p.Source)
	return clip.Make(ctx, c.FFmpeg, filepath.Join(c.Root, ".build", "clips"), p)
}

// startCamera starts a camera as a program of its own.
func (c Config) startCamera(ctx context.Context, cfg camera.Config, log string) (*camera.Process, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return camera.Start(ctx, c.Self, []string{"camera"}, cfg, log)
}

// publisher sends a camera's picture to RAVE: FFmpeg, unchanged.
func (c Config) startPublisher(from, to string) (*process.Process, error) {
	args := strings.Fields("-hide_banner -nostdin -v warning -rtsp_transport tcp -fflags nobuffer -flags low_delay -i " + from +
		" -map 0:v:0 -c copy -f rtsp -rtsp_transport tcp " + to)
	return process.Start(process.Config{Name: "publisher", Path: c.FFmpeg, Args: args})
}
