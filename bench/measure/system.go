package measure

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rave/bench/process"
)

// System is one way to serve a camera's picture.
type System interface {
	Name() string
	// Start starts it; folder is for its files. The caller stops what it returns, also after an error.
	Start(ctx context.Context, camera, folder string) (*Running, error)
}

// Running is a started System.
type Running struct {
	URL     string           // where readers read
	Main    *process.Process // whose CPU counts; nil if there is none
	Servers *process.Process // a server beside it that RAVE does not need; nil if there is none
	Status  string           // URL of RAVE's status; empty if it has none
}

// Stop ends all of it. Only RAVE must end in good order.
func (r *Running) Stop() error {
	if r.Servers != nil {
		defer r.Servers.Kill()
	}
	if r.Main != nil && r.Status != "" {
		return r.Main.Stop(5 * time.Second)
	}
	if r.Main != nil {
		r.Main.Kill()
	}
	return nil
}

// Direct is the reader at the camera.
type Direct struct{}

// Name implements System.
func (Direct) Name() string { return "direct" }

// Start implements System.
func (Direct) Start(_ context.Context, camera, _ string) (*Running, error) {
	return &Running{URL: camera}, nil
}

// RAVE is `rave serve` with one stream.
type RAVE struct {
	Label   string
	Binary  string
	Quality []string
	Models  map[string]string // path by name
	Encode  Encode
	Extra   string // lines of YAML, at the top level
}

// Encode is what all systems are told to make.
type Encode struct {
	Preset  string
	Bitrate int // bits per second
	GOP     time.Duration
}

// Name implements System.
func (r RAVE) Name() string { return r.Label }

// Start implements System.
func (r RAVE) Start(_ context.Context, camera, folder string) (*Running, error) {
	rtsp, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	http, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, "rave.yaml")
	if err := os.WriteFile(path, []byte(r.config(camera, rtsp, http)), 0o600); err != nil {
		return nil, fmt.Errorf("start %s: %w", r.Label, err)
	}
	p, err := process.Start(process.Config{Name: r.Label, Path: r.Binary, Args: []string{"serve", "-c", path}})
	if err != nil {
		return nil, err
	}
	return &Running{URL: "rtsp://" + rtsp + "/cam", Main: p, Status: "http://" + http + "/api/v1/status"}, nil
}

func (r RAVE) config(camera, rtsp, http string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "rtsp: {listen: %q, udp: false}\nhttp: {listen: %q}\nwebrtc: {max_viewers: 0}\n%s\n", rtsp, http, r.Extra)
	if len(r.Models) > 0 {
		b.WriteString("models:\n")
		for name, path := range r.Models {
			fmt.Fprintf(&b, "  %s: %q\n", name, path)
		}
	}
	fmt.Fprintf(&b, "streams:\n  cam:\n    source: %q\n    transport: tcp\n    quality: [%s]\n", camera, strings.Join(r.Quality, ", "))
	fmt.Fprintf(&b, "    output: {scale: 2}\n    encode: {preset: %s, bitrate: %d, gop: %v}\n", r.Encode.Preset, r.Encode.Bitrate, r.Encode.GOP)
	return b.String()
}

// Pipeline is FFmpeg from the camera to a MediaMTX.
type Pipeline struct {
	FFmpeg, MediaMTX string // paths
	FPS              float64
	Encode           Encode
}

// Name implements System.
func (Pipeline) Name() string { return "ffmpeg" }

// Start implements System.
func (l Pipeline) Start(ctx context.Context, camera, folder string) (*Running, error) {
	server, address, err := StartMediaMTX(ctx, l.MediaMTX, folder, "")
	if err != nil {
		return nil, err
	}
	r := &Running{URL: "rtsp://" + address + "/cam", Servers: server}
	r.Main, err = process.Start(process.Config{Name: "ffmpeg", Path: l.FFmpeg, Args: l.args(camera, r.URL)})
	return r, err
}

func (l Pipeline) args(from, to string) []string {
	return strings.Fields(fmt.Sprintf("-hide_banner -nostdin -nostats -rtsp_transport tcp -fflags nobuffer -flags low_delay -i %s -an "+
		"-vf scale=2*iw:2*ih:flags=lanczos -c:v libx264 -preset %s -tune zerolatency -b:v %d -maxrate %d -bufsize %d -g %d "+
		"-f rtsp -rtsp_transport tcp %s", from, l.Encode.Preset, l.Encode.Bitrate, l.Encode.Bitrate, l.Encode.Bitrate,
		int(l.FPS*l.Encode.GOP.Seconds()), to))
}

// StartMediaMTX starts a MediaMTX that takes any publisher; paths are lines of YAML under `paths:`. It returns the
// address of its RTSP server, once that listens.
func StartMediaMTX(ctx context.Context, binary, folder, paths string) (*process.Process, string, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, "", err
	}
	if paths == "" {
		paths = "  all_others:"
	}
	path := filepath.Join(folder, "mediamtx.yml")
	yaml := fmt.Sprintf("logLevel: info\nrtspAddress: %s\nrtspTransports: [tcp]\nrtmp: no\nhls: no\nwebrtc: no\nsrt: no\npaths:\n%s\n", address, paths)
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		return nil, "", fmt.Errorf("start mediamtx: %w", err)
	}
	p, err := process.Start(process.Config{Name: "mediamtx", Path: binary, Args: []string{path}})
	if err != nil {
		return nil, "", err
	}
	if _, err := p.Line(ctx, `\[RTSP\] listener opened`); err != nil {
		p.Kill()
		return nil, "", err
	}
	return p, address, nil
}

// FreeAddress returns an address on loopback that nobody listens at.
func FreeAddress() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
