package whip

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"rave/ingest/rtpin"
)

// Packets that are missing.
const (
	patience  = 200 * time.Millisecond // they are waited for: more than that, and the picture would be late
	reordered = 30 * time.Millisecond  // likewise of sound, which nobody asks for again: it may only be out of order
	askAgain  = 40 * time.Millisecond
	listen    = 10 * time.Millisecond // for those that come again: see wake
	mostAsked = 48                    // at once: pion holds 50 that come again, and throws the rest away
)

// receive passes the packets of a track on, in order, until the peer is closed.
func (s *session) receive(in *rtpin.Input, t *pion.TrackRemote) {
	wait := reordered
	if in == s.video {
		wait = patience
	}
	var order *rtpin.Reorderer
	requests := requests{}
	buffer := make([]byte, 1<<16)
	for {
		n, _, err := t.Read(buffer)
		now := time.Now()
		var ready []*rtp.Packet
		var late net.Error
		switch {
		case errors.As(err, &late) && late.Timeout():
			ready = order.Expire(now)
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			s.end(fmt.Errorf("its packets cannot be read: %w", err))
			return
		default:
			p := &rtp.Packet{}
			if err := p.Unmarshal(bytes.Clone(buffer[:n])); err != nil {
				s.endpoint.cfg.Source.Drop(rtpin.DropRTP, 1)
				continue
			}
			if order == nil {
				order = rtpin.NewReorderer(p.SequenceNumber, rtpin.Waits{Few: wait, Many: wait})
			}
			ready = order.Push(p, now)
		}
		for _, p := range ready {
			s.turn.Packet(in, p)
		}
		if in == s.video { // sound is not sent again
			s.ask(t, requests.due(order.Missing(mostAsked), now))
		}
		_ = t.SetReadDeadline(wake(order.Deadline(), now))
	}
}

// wake is when receive looks again without a packet: when the wait ends, and before that for what comes on the channel for
// retransmissions, of which pion tells only those who ask.
func wake(deadline, now time.Time) time.Time {
	if soon := now.Add(listen); deadline.After(soon) {
		return soon
	}
	return deadline
}

// ask requests packets again (RFC 4585 section 6.2.1).
func (s *session) ask(t *pion.TrackRemote, missing []uint16) {
	if len(missing) == 0 {
		return
	}
	s.write(&rtcp.TransportLayerNack{MediaSSRC: uint32(t.SSRC()), Nacks: rtcp.NackPairsFromSequenceNumbers(missing)})
}

// requests knows which packets have been asked for, and when last.
type requests map[uint16]time.Time

// due returns which of the missing ones are to be asked for now.
func (r requests) due(missing []uint16, now time.Time) []uint16 {
	if len(missing) == 0 {
		clear(r)
		return nil
	}
	var due []uint16
	last := make(requests, len(missing))
	for _, n := range missing {
		at, asked := r[n]
		if !asked || now.Sub(at) >= askAgain {
			due, at = append(due, n), now
		}
		last[n] = at
	}
	clear(r)
	for n, at := range last {
		r[n] = at
	}
	return due
}
