// Package relay stands between an RTSP camera and its reader on this machine and loses, reorders and doubles RTP
// packets on the way to the reader, as a seed decides: a run repeats.
//
// It is a proxy that knows RTSP. The control connection passes; where a SETUP negotiates UDP ports (RFC 2326 section
// 12.39), each side is told ports of the relay, and RTP and RTCP go through these, in both directions. RTCP and
// interleaved packets are left alone. The sockets of a connection live as long as it does.
package relay

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/conn"
)

// Config says what to relay.
type Config struct {
	Camera string // host:port of its RTSP server
	Seed   uint64
	Faults Faults
	// Describe changes the camera's description (SDP); nil leaves it.
	Describe func(sdp string) string
}

// Relay is a running relay. Close must be called.
type Relay struct {
	cfg      Config
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	faults Faults
	tracks uint64 // that were set up
	lines  []*line
	open   map[net.Conn]bool
	closed bool
}

// Start starts a relay.
func Start(cfg Config) (*Relay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start relay: %w", err)
	}
	r := &Relay{cfg: cfg, listener: listener, faults: cfg.Faults, open: map[net.Conn]bool{}}
	r.running.Go(r.accept)
	return r, nil
}

// Address is where readers find the camera: host:port.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// SetFaults changes what happens from the next packet on.
func (r *Relay) SetFaults(f Faults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = f
}

// Counts returns what happened to the packets of all tracks.
func (r *Relay) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	var sum Counts
	for _, l := range r.lines {
		sum.Passed += l.counts.Passed
		sum.Reordered += l.counts.Reordered
		sum.Duplicated += l.counts.Duplicated
		sum.Dropped += l.counts.Dropped
	}
	return sum
}

// Close ends all connections and waits for that.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	_ = r.listener.Close()
	for c := range r.open {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

func (r *Relay) accept() {
	for {
		reader, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.relay(reader) })
	}
}

// relay serves one reader's connection.
func (r *Relay) relay(reader net.Conn) {
	defer reader.Close()
	camera, err := net.Dial("tcp", r.cfg.Camera) //nolint:noctx // on this machine
	if err != nil {
		return
	}
	defer camera.Close()
	if !r.keep(reader, camera) {
		return
	}
	defer r.forget(reader, camera)
	c := &connection{relay: r, reader: reader, camera: camera, pending: map[string]*leg{}}
	defer c.close()
	var both sync.WaitGroup
	both.Go(func() { c.pump(reader, camera, c.toCamera) })
	both.Go(func() { c.pump(camera, reader, c.toReader) })
	both.Wait()
}

// keep notes what Close has to end; it returns false after Close.
func (r *Relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		r.open[c] = true
	}
	return !r.closed
}

func (r *Relay) forget(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		delete(r.open, c)
	}
}

// newLine numbers the tracks in the order in which they are set up.
func (r *Relay) newLine() *line {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := newLine(r.cfg.Seed, r.tracks)
	r.tracks++
	r.lines = append(r.lines, l)
	return l
}

func (r *Relay) pass(l *line, packet []byte) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return l.pass(r.faults, packet)
}

// connection is one reader and its connection to the camera.
type connection struct {
	relay          *Relay
	reader, camera net.Conn

	mu      sync.Mutex
	pending map[string]*leg // by the CSeq of the SETUP that waits for its answer
	legs    []*leg
}

func (c *connection) close() {
	for _, l := range c.legs {
		l.close()
	}
}

// pump passes messages on until one side ends; then both do.
func (c *connection) pump(from, to net.Conn, rewrite func(message any) error) {
	defer from.Close()
	defer to.Close()
	in, out := conn.NewConn(from), conn.NewConn(to)
	buffer := make([]byte, 1<<16+4)
	for {
		message, err := in.Read()
		if err == nil {
			err = rewrite(message)
		}
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *base.Request:
			err = out.WriteRequest(m)
		case *base.Response:
			err = out.WriteResponse(m)
		case *base.InterleavedFrame:
			err = out.WriteInterleavedFrame(m, buffer)
		}
		if err != nil {
			return
		}
	}
}

var (
	clientPorts = regexp.MustCompile(`client_port=(\d+)-(\d+)`)
	serverPorts = regexp.MustCompile(`server_port=(\d+)-(\d+)`)
)

// toCamera gives the camera our ports instead of the reader's.
func (c *connection) toCamera(message any) error {
	request, ok := message.(*base.Request)
	if !ok || request.Method != base.Setup {
		return nil
	}
	wanted := ports(clientPorts, request.Header)
	if wanted == nil {
		return nil // interleaved
	}
	l, err := newLeg(c.relay, c.reader.RemoteAddr().(*net.TCPAddr).IP, *wanted)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.legs = append(c.legs, l)
	c.pending[cseq(request.Header)] = l
	replace(clientPorts, request.Header, "client_port", l.camera.ports())
	return nil
}

// toReader gives the reader our ports instead of the camera's.
func (c *connection) toReader(message any) error {
	response, ok := message.(*base.Response)
	if !ok {
		return nil
	}
	if describe := c.relay.cfg.Describe; describe != nil && strings.Join(response.Header["Content-Type"], "") == "application/sdp" {
		response.Body = []byte(describe(string(response.Body)))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.pending[cseq(response.Header)]
	delete(c.pending, cseq(response.Header))
	if l == nil || response.StatusCode != base.StatusOK {
		return nil
	}
	has := ports(serverPorts, response.Header)
	if has == nil {
		return errors.New("the camera names no server_port")
	}
	replace(serverPorts, response.Header, "server_port", l.reader.ports())
	replace(clientPorts, response.Header, "client_port", l.readerPorts)
	l.start(c.camera.RemoteAddr().(*net.TCPAddr).IP, *has)
	return nil
}

func cseq(h base.Header) string { return strings.Join(h["CSeq"], "") }

// ports returns nil where the header names none.
func ports(pattern *regexp.Regexp, h base.Header) *[2]int {
	m := pattern.FindStringSubmatch(strings.Join(h["Transport"], ","))
	if m == nil {
		return nil
	}
	first, _ := strconv.Atoi(m[1])
	second, _ := strconv.Atoi(m[2])
	return &[2]int{first, second}
}

func replace(pattern *regexp.Regexp, h base.Header, name string, p [2]int) {
	for i, v := range h["Transport"] {
		h["Transport"][i] = pattern.ReplaceAllString(v, fmt.Sprintf("%s=%d-%d", name, p[0], p[1]))
	}
}
