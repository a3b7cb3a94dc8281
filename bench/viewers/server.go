package viewers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"rave/bench/measure"
	"rave/bench/process"
	"rave/bench/whep"
)

// server is a running one that is watched.
type server struct {
	*process.Process
	name string
	web  string // address
}

// url is the WHEP endpoint of a path.
func (s *server) url(path string) string { return "http://" + s.web + "/" + path + "/whep" }

// addresses finds free ones.
func addresses(n int) ([]string, error) {
	var all []string
	for range n {
		a, err := measure.FreeAddress()
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// raveConfig writes a configuration with one stream, which is enhanced by the resampler: it costs little beside viewers.
func raveConfig(camera, folder string) (file, web string, err error) {
	a, err := addresses(3)
	if err != nil {
		return "", "", err
	}
	yaml := fmt.Sprintf("rtsp: {listen: %q, udp: false}\nhttp: {listen: %q}\nwebrtc: {listen: %q, tcp_listen: %q}\nstreams:\n  cam:\n"+
		"    source: %q\n    transport: tcp\n    quality: [lanczos]\n    output: {scale: 2}\n    encode: {bitrate: 2M}\n", a[0], a[1], a[2], a[2], camera)
	file = filepath.Join(folder, "rave.yaml")
	return file, a[1], os.WriteFile(file, []byte(yaml), 0o600)
}

func startRAVE(binary, file, web string) (*server, error) {
	p, err := process.Start(process.Config{Name: "rave", Path: binary, Args: []string{"serve", "-c", file}})
	if err != nil {
		return nil, err
	}
	return &server{p, "rave", web}, nil
}

func startMediaMTX(ctx context.Context, binary, camera, folder string) (*server, error) {
	a, err := addresses(3)
	if err != nil {
		return nil, err
	}
	yaml := fmt.Sprintf("logLevel: info\nrtspAddress: %s\nrtspTransports: [tcp]\nrtmp: no\nhls: no\nsrt: no\nwebrtc: yes\nwebrtcAddress: %s\n"+
		"webrtcLocalUDPAddress: %s\nwebrtcIPsFromInterfaces: no\nwebrtcAdditionalHosts: [127.0.0.1]\n"+
		"paths:\n  cam: {source: %q, rtspTransport: tcp}\n", a[0], a[1], a[2], camera)
	file := filepath.Join(folder, "mediamtx.yml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		return nil, err
	}
	p, err := process.Start(process.Config{Name: "mediamtx", Path: binary, Args: []string{file}})
	if err != nil {
		return nil, err
	}
	if _, err := p.Line(ctx, `\[WebRTC\] listener opened`); err != nil {
		p.Kill()
		return nil, err
	}
	return &server{p, "mediamtx", a[1]}, nil
}

// first connects a viewer until it is answered, which a server that has just started takes some attempts for, and returns
// when it sent the offer that was answered, and when it had decoded its first keyframe.
func first(ctx context.Context, url string) (offered, decoded time.Time, err error) {
	const again, patience = 20 * time.Millisecond, 30 * time.Second
	s, err := newScreen(ctx)
	if err != nil {
		return offered, decoded, err
	}
	defer s.close()
	for end := time.Now().Add(patience); ; {
		v, err := whep.Connect(ctx, whep.Config{URL: url, OnPacket: s.packet, OnOffer: func() { offered = time.Now() }})
		var status *whep.StatusError
		switch {
		case err == nil:
			err = v.Wait(s.done, patience)
			v.Close()
			if err != nil {
				return offered, decoded, fmt.Errorf("no keyframe of %s was decoded: %w", url, err)
			}
			decoded, err = s.seen()
			return offered, decoded, err
		case ctx.Err() != nil, time.Now().After(end):
			return offered, decoded, err
		case errors.As(err, &status) && status.Code != http.StatusConflict && status.Code != http.StatusNotFound:
			return offered, decoded, err
		}
		time.Sleep(again)
	}
}
