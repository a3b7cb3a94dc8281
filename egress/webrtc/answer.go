package webrtc

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	pion "github.com/pion/webrtc/v4"
)

// ufragOf is the name that the candidates of a description go by on the ports.
func ufragOf(sdp string) string {
	_, rest, _ := strings.Cut(sdp, "a=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\r\n")
	return ufrag
}

// Answer answers an offer that has been set: with all candidates that are found in time.
func (s *Server) Answer(ctx context.Context, pc *pion.PeerConnection) (string, error) {
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	seen := make(chan []netip.AddrPort, 1)
	go func() { seen <- s.reflexive.addresses() }()
	own := collect(pc)
	if err := pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	wait := time.NewTimer(gatherTimeout)
	defer wait.Stop()
	var outside []netip.AddrPort
	late := false // a STUN or TURN server does not answer
	for gathered := own.done; !late && (gathered != nil || seen != nil); {
		select {
		case <-gathered:
			gathered = nil
		case outside = <-seen:
			seen = nil
		case <-wait.C:
			late = true
		case <-ctx.Done():
			return "", fmt.Errorf("answer: %w", ctx.Err())
		}
	}
	candidates, err := own.with(outside)
	if err != nil {
		return "", fmt.Errorf("answer: %w", err)
	}
	s.judge(late, len(outside) > 0, candidates)
	s.ufrags.Store(pc, ufragOf(answer.SDP))
	return withCandidates(answer.SDP, candidates), nil
}

// collected are the candidates that pion has found for a peer.
type collected struct {
	done chan struct{} // closed when there will be no more

	mu   sync.Mutex
	list []*pion.ICECandidate
}

// collect is called before the peer has its local description.
func collect(pc *pion.PeerConnection) *collected {
	c := &collected{done: make(chan struct{})}
	end := sync.OnceFunc(func() { close(c.done) })
	pc.OnICECandidate(func(found *pion.ICECandidate) {
		if found == nil {
			end()
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.list = append(c.list, found)
	})
	return c
}

// with returns the candidates as they stand in an SDP, and those for where the port is seen from outside, but for one that is
// an address of this machine (RFC 8445 section 5.1.3).
func (c *collected) with(outside []netip.AddrPort) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for _, found := range c.list {
		lines = append(lines, found.ToJSON().Candidate)
	}
	for _, a := range outside {
		if slices.ContainsFunc(c.list, func(own *pion.ICECandidate) bool {
			return own.Protocol == pion.ICEProtocolUDP && own.Address == a.Addr().String() && own.Port == a.Port()
		}) {
			continue
		}
		line, err := reflexiveCandidate(a)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// withCandidates puts candidates into a description, in its first medium that is not refused: that one has the connection.
// pion would put them in the first, and nobody looks for them there if it is refused.
func withCandidates(sdp string, candidates []string) string {
	head, rest, _ := strings.Cut(sdp, "a=ice-pwd:")
	password, rest, _ := strings.Cut(rest, "\r\n")
	lines := "a=ice-pwd:" + password + "\r\n"
	for _, c := range candidates {
		lines += "a=" + c + "\r\n"
	}
	return head + lines + "a=end-of-candidates\r\n" + rest
}

// judge says when the ICE servers have come to be of no use, and when they are again.
func (s *Server) judge(late, seen bool, candidates []string) {
	var lacks []string
	if len(s.reflexive.servers) > 0 && !seen {
		lacks = append(lacks, "an address from STUN")
	}
	if len(s.relays) > 0 && !slices.ContainsFunc(candidates, func(c string) bool { return strings.Contains(c, " typ relay") }) {
		lacks = append(lacks, "a relay from TURN")
	}
	useless := late || lacks != nil
	switch was := s.useless.Swap(useless); {
	case useless && !was:
		s.log.Warn("an ICE server does not answer in time, or refuses: check webrtc.ice_servers, with user name and credential, "+
			"and that they can be reached from webrtc.listen", "lacks", lacks, "within", gatherTimeout)
	case was && !useless:
		s.log.Info("the ICE servers answer again")
	}
}
