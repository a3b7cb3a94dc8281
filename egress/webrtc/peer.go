package webrtc

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"rave/engine/signalling"
)

// PeerConfig is what a peer is to do; the server adds how it is reached.
type PeerConfig struct {
	Media        *pion.MediaEngine     // its codecs
	Interceptors *interceptor.Registry // what is done with its packets
	// Sends says that the peer sends media, which its tracks pass on; else whatever it sends is thrown away.
	Sends bool
	// Host is what the peer's HTTP request was sent to (http.Request.Host): an address under which we can be reached. Empty:
	// unknown.
	Host string
}

// Bounds of time for what others answer.
const (
	resolveTimeout = 500 * time.Millisecond
	gatherTimeout  = time.Second
	partingTimeout = 500 * time.Millisecond
)

// NewPeer makes a peer on the server's ports. The caller ends it with ClosePeer; Answer answers its offer.
func (s *Server) NewPeer(ctx context.Context, cfg PeerConfig) (*pion.PeerConnection, error) {
	extra := s.addresses(ctx, cfg.Host)
	settings, err := s.settings(extra)
	if err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	var pc *pion.PeerConnection
	settings.BufferFactory = newSources(cfg.Sends, func() {
		s.refusals.Add("sources", "a peer is cut off: it names more sources (SSRC) than any browser", "most", maxBuffers)
		go s.ClosePeer(pc) // which waits for those who ask for buffers
	}).buffer
	api := pion.NewAPI(pion.WithMediaEngine(cfg.Media), pion.WithInterceptorRegistry(cfg.Interceptors), pion.WithSettingEngine(settings))
	pc, err = api.NewPeerConnection(pion.Configuration{ICEServers: s.relays, Certificates: []pion.Certificate{s.certificate}})
	if err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	return pc, nil
}

// ClosePeer ends a peer of NewPeer.
func (s *Server) ClosePeer(pc *pion.PeerConnection) {
	// A peer over TCP that takes nothing would take its time to be told. Asked now, it could not even tell its name: its ICE
	// agent waits for the same connection.
	if ufrag, answered := s.ufrags.LoadAndDelete(pc); answered {
		cut := time.AfterFunc(partingTimeout, func() { s.tcp.RemoveConnByUfrag(ufrag.(string)) })
		defer cut.Stop()
	}
	_ = pc.GracefulClose() // nothing is to be done about an error
}

// settings are those of one peer, which is reached at extra, too.
func (s *Server) settings(extra []netip.Addr) (pion.SettingEngine, error) {
	var e pion.SettingEngine
	e.LoggerFactory = signalling.Logger{Log: s.log}
	e.SetNet(s.network)
	e.SetICEUDPMux(s.udp.UDPMuxDefault) // pion looks at this type for how to treat loopback
	e.SetICETCPMux(s.tcp)
	e.SetNetworkTypes([]pion.NetworkType{pion.NetworkTypeUDP4, pion.NetworkTypeUDP6, pion.NetworkTypeTCP4, pion.NetworkTypeTCP6})
	e.DisableActiveTCP(true)
	e.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled) // browsers hide their addresses; they find ours
	e.SetICETimeouts(s.cfg.Silence/3, s.cfg.Silence*2/3, min(2*time.Second, s.cfg.Silence/6))
	local := s.local()
	loopback := slices.ContainsFunc(extra, netip.Addr.IsLoopback) || !slices.ContainsFunc(local, func(a netip.Addr) bool { return !a.IsLoopback() })
	e.SetIncludeLoopbackCandidate(loopback)
	extra = slices.DeleteFunc(extra, func(a netip.Addr) bool { return slices.Contains(local, a) })
	base, found := baseOf(local, loopback)
	if len(extra) == 0 || !found {
		return e, nil
	}
	rule := pion.ICEAddressRewriteRule{
		Local: base.String(), AsCandidateType: pion.ICECandidateTypeHost, Mode: pion.ICEAddressRewriteAppend,
	}
	for _, a := range extra {
		rule.External = append(rule.External, a.String())
	}
	return e, e.SetICEAddressRewriteRules(rule)
}

// baseOf chooses the address beside which others are offered: a link-local one only if there is no other, and without its
// zone, which pion takes for a mistake there.
func baseOf(local []netip.Addr, loopback bool) (netip.Addr, bool) {
	var base netip.Addr
	for _, a := range local {
		if a.IsLoopback() && !loopback {
			continue
		}
		if !a.IsLinkLocalUnicast() {
			return a, true
		}
		if !base.IsValid() {
			base = a.WithZone("")
		}
	}
	return base, base.IsValid()
}

// local returns the addresses that the UDP port has on this machine, now.
func (s *Server) local() []netip.Addr {
	var all []netip.Addr
	for _, a := range s.udp.GetListenAddresses() {
		if udp, ok := a.(*net.UDPAddr); ok {
			all = append(all, udp.AddrPort().Addr().Unmap())
		}
	}
	return all
}

// addresses returns where else a peer may reach us: where it has reached us already, whatever routers and containers lie
// between, and the configured addresses.
func (s *Server) addresses(ctx context.Context, host string) []netip.Addr {
	var all []netip.Addr
	for _, text := range s.cfg.PublicAddresses {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, a.Unmap())
		}
	}
	for _, a := range resolve(ctx, host) {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	return all
}

// resolve returns the addresses of the host in an HTTP request, a few at most.
func resolve(ctx context.Context, host string) []netip.Addr {
	const most = 4
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap().WithZone("")}
	}
	if isLocalhost(host) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil // it is one address more, not the only one
	}
	var all []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); !slices.Contains(all, a) && !a.IsUnspecified() && len(all) < most {
			all = append(all, a)
		}
	}
	return all
}

// isLocalhost reports whether a name is this machine by definition (RFC 6761 section 6.3), whatever its resolver knows: a
// bare container may have no /etc/hosts.
func isLocalhost(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
