package webrtc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	pion "github.com/pion/webrtc/v4"
)

// reflexive finds out how the one UDP port is seen from outside: STUN servers are asked from it (RFC 8489), so that what
// they see is where viewers reach it. pion would open a socket for each peer and server, and keep it.
type reflexive struct {
	mux     *ice.UniversalUDPMuxDefault
	servers []*stunServer
}

// stunServer is one server, with its last answers. They are everybody's for mappingAge, and so is their absence: of a server
// that says nothing, one viewer in that time waits for it.
type stunServer struct {
	host string
	port uint16

	mu    sync.Mutex // held while it is asked
	until time.Time
	seen  []netip.AddrPort
}

// mappingAge is how long routers keep a mapping at least that is not used (RFC 4787 section 4.3 wants two minutes; many do
// half of one).
const mappingAge = 25 * time.Second

// iceServers sorts the configured servers: those that we ask ourselves, and those that pion asks for a relay.
func iceServers(configured []pion.ICEServer) (asked []*stunServer, relays []pion.ICEServer, err error) {
	for _, server := range configured {
		relay := server
		relay.URLs = nil
		for _, url := range server.URLs {
			u, err := stun.ParseURI(url)
			if err != nil {
				return nil, nil, fmt.Errorf("ICE server %q: %w", url, err)
			}
			if u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS {
				relay.URLs = append(relay.URLs, url)
			}
			// A TURN server is a STUN server, too (RFC 8656 section 4).
			if u.Proto == stun.ProtoTypeUDP && (u.Scheme == stun.SchemeTypeSTUN || u.Scheme == stun.SchemeTypeTURN) {
				asked = append(asked, &stunServer{host: u.Host, port: uint16(u.Port)})
			}
		}
		if relay.URLs != nil {
			relays = append(relays, relay)
		}
	}
	return asked, relays, nil
}

// addresses returns where the port is seen, by whom of the servers that have answered. It takes gatherTimeout at most.
func (r *reflexive) addresses() []netip.AddrPort {
	found := make([][]netip.AddrPort, len(r.servers))
	var asking sync.WaitGroup
	for i, s := range r.servers {
		asking.Go(func() { found[i] = s.ask(r.mux) })
	}
	asking.Wait()
	all := slices.Concat(found...)
	slices.SortFunc(all, netip.AddrPort.Compare)
	return slices.Compact(all)
}

// ask asks the server in IPv4 and in IPv6, where it has that. Who comes meanwhile waits for the same answer.
func (s *stunServer) ask(mux *ice.UniversalUDPMuxDefault) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return s.seen
	}
	ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
	defer cancel()
	addresses, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", s.host) // a name without one is silent, too
	var seen [2]netip.AddrPort
	var asking sync.WaitGroup
	for i, family := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
		at := slices.IndexFunc(addresses, func(a netip.Addr) bool { return family(a.Unmap()) })
		if at < 0 {
			continue
		}
		to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(addresses[at].Unmap(), s.port))
		asking.Go(func() {
			// At a deadline of its own it would send what is left of its attempts all at once: ctx ends before.
			if answer, err := mux.GetXORMappedAddrContext(ctx, to, 2*gatherTimeout); err == nil {
				a, _ := netip.AddrFromSlice(answer.IP)
				seen[i] = netip.AddrPortFrom(a.Unmap(), uint16(answer.Port))
			}
		})
	}
	asking.Wait()
	s.seen = slices.DeleteFunc(seen[:], func(a netip.AddrPort) bool { return !a.IsValid() })
	s.until = time.Now().Add(mappingAge)
	return s.seen
}

// reflexiveCandidate is what stands in an SDP for the port as it is seen from outside. Its base is not told: it is one of the
// host candidates.
func reflexiveCandidate(a netip.AddrPort) (string, error) {
	base := "0.0.0.0"
	if a.Addr().Is6() {
		base = "::"
	}
	c, err := ice.NewCandidateServerReflexive(&ice.CandidateServerReflexiveConfig{
		Network: "udp", Address: a.Addr().String(), Port: int(a.Port()), Component: ice.ComponentRTP, RelAddr: base, RelPort: 9, // RFC 8839 section 5.1
	})
	if err != nil {
		return "", fmt.Errorf("candidate for %v: %w", a, err)
	}
	return "candidate:" + c.Marshal(), nil
}
