package rtsp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"rave/engine/media"
)

// Transport is how RTP travels.
type Transport string

// Transports. Auto tries UDP and falls back to TCP when the camera refuses it or when nothing arrives; it remembers TCP
// for the connections that follow.
const (
	Auto Transport = "auto"
	UDP  Transport = "udp"
	TCP  Transport = "tcp"
)

// PullConfig describes one camera.
type PullConfig struct {
	Name        string    // the stream, for log and errors
	URL         string    // rtsp://[user:password@]host[:554]/path, or rtsps
	Username    string    // wins over the URL's; no escaping
	Password    string    //
	Transport   Transport // "" is Auto
	ReadTimeout time.Duration
	Log         *slog.Logger
	// OnDrop is told of access units (audio: packets) that were not passed on: "packet_loss", "malformed", "too_large",
	// "before_start", "rtp_error". It may be nil and must not block.
	OnDrop func(reason string, n int)
}

// Pull is a media.Source that reads from a camera or another RTSP server.
type Pull struct{ cfg PullConfig }

// NewPull checks the configuration. Its error wraps ingest.ErrPermanent and holds no credentials.
func NewPull(cfg PullConfig) (*Pull, error) { return &Pull{cfg: cfg}, nil }

// Redacted returns the camera's URL without credentials.
func (p *Pull) Redacted() string { return "" }

// Run connects and delivers until ctx is done or the camera fails.
func (p *Pull) Run(ctx context.Context, out media.Output) error {
	return errors.New("not written yet")
}
