package rtsp

import (
	"context"
	"errors"
	"log/slog"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"

	"rave/engine/media"
)

// PublishConfig describes a stream that a client publishes to our own server.
type PublishConfig struct {
	Name   string // the stream, for log and errors
	Log    *slog.Logger
	OnDrop func(reason string, n int) // as in PullConfig
}

// Publish is a media.Source fed by an RTSP server, which calls Announce, Record and Leave.
type Publish struct{ cfg PublishConfig }

// NewPublish returns a source that waits for its publisher.
func NewPublish(cfg PublishConfig) *Publish { return &Publish{cfg: cfg} }

// Run waits for a publisher and delivers what it sends. It returns an error that wraps ingest.ErrEnded when the
// publisher has left; when ctx is done it ends the publisher's session.
func (p *Publish) Run(ctx context.Context, out media.Output) error {
	<-ctx.Done()
	return ctx.Err()
}

// Announce accepts a publisher's description or says why not: another publisher is active, or no video that is
// understood.
func (p *Publish) Announce(s *gortsplib.ServerSession, desc *description.Session) error {
	return errors.New("not written yet")
}

// Record starts delivery; the session's medias are set up.
func (p *Publish) Record(s *gortsplib.ServerSession) error { return nil }

// Leave ends the publisher's turn. Sessions that were never accepted are ignored.
func (p *Publish) Leave(s *gortsplib.ServerSession, reason error) {}
