package rtsp

import (
	"fmt"
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"rave/ingest/publish"
)

// Publish lets those in who publish by RTSP. An RTSP server calls Announce, Record and Leave.
type Publish struct {
	source *publish.Source

	mu    sync.Mutex
	turns map[*gortsplib.ServerSession]*announced
}

// announced is a publisher's turn and what it has described.
type announced struct {
	*publish.Turn
	inputs []*input
}

// NewPublish lets publishers feed a source.
func NewPublish(source *publish.Source) *Publish {
	return &Publish{source: source, turns: map[*gortsplib.ServerSession]*announced{}}
}

// Announce accepts a publisher's description or says why not: another publisher is active, or no video that is
// understood.
func (p *Publish) Announce(s *gortsplib.ServerSession, desc *description.Session) error {
	inputs, ignored, err := choose(desc, p.source.Drop)
	if err != nil {
		return fmt.Errorf("stream %s: %w", p.source.Name(), err)
	}
	turn, err := p.source.Take(s.Close, tracksOf(inputs)...)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns[s] = &announced{turn, inputs}
	if len(ignored) > 0 {
		p.source.Log().Info("ignored what the publisher offers besides", "media", strings.Join(ignored, ", "))
	}
	return nil
}

// Record starts delivery; the session's medias are set up. It waits until somebody listens, a second at most.
func (p *Publish) Record(s *gortsplib.ServerSession) error {
	p.mu.Lock()
	a := p.turns[s]
	p.mu.Unlock()
	if a == nil {
		return fmt.Errorf("stream %s: announce first", p.source.Name())
	}
	for _, in := range a.inputs {
		s.OnPacketRTP(in.media, in.Format, func(pkt *rtp.Packet) { a.Packet(in.Input, pkt) })
		s.OnPacketRTCP(in.media, func(pkt rtcp.Packet) { a.Report(in.Input, pkt) })
	}
	if *s.SetuppedTransport() == gortsplib.TransportUDP {
		a.Apart()
	}
	a.Begin()
	return nil
}

// Leave ends the publisher's turn. Sessions that were not accepted are ignored.
func (p *Publish) Leave(s *gortsplib.ServerSession, reason error) {
	p.mu.Lock()
	a := p.turns[s]
	delete(p.turns, s)
	p.mu.Unlock()
	if a != nil {
		a.Turn.Leave(reason)
	}
}
