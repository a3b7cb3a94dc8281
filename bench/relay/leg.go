package relay

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// pair is two UDP sockets on neighbouring ports: RTP on the even one, RTCP on the other.
type pair [2]*net.UDPConn

func newPair() (p pair, err error) {
	for range 100 {
		port := 2 * (10000 + rand.IntN(5000)) // below the ports that the system hands out by itself
		if p[0], err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil {
			continue
		}
		if p[1], err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port + 1}); err != nil {
			_ = p[0].Close()
			continue
		}
		for _, c := range p {
			if err := c.SetReadBuffer(4 << 20); err != nil { // nothing is lost but what the seed decides
				p.close()
				return p, fmt.Errorf("relay: %w", err)
			}
		}
		return p, nil
	}
	return p, errors.New("relay: no free pair of UDP ports")
}

func (p pair) ports() [2]int {
	return [2]int{p[0].LocalAddr().(*net.UDPAddr).Port, p[1].LocalAddr().(*net.UDPAddr).Port}
}

func (p pair) close() {
	for _, c := range p {
		_ = c.Close()
	}
}

// leg is the way of one track's packets.
type leg struct {
	relay       *Relay
	line        *line
	camera      pair // the camera sends to it
	reader      pair // the reader gets from it
	readerIP    net.IP
	readerPorts [2]int
	running     sync.WaitGroup
}

func newLeg(r *Relay, readerIP net.IP, readerPorts [2]int) (*leg, error) {
	l := &leg{relay: r, line: r.newLine(), readerIP: readerIP, readerPorts: readerPorts}
	var err error
	if l.camera, err = newPair(); err != nil {
		return nil, err
	}
	if l.reader, err = newPair(); err != nil {
		l.camera.close()
		return nil, err
	}
	return l, nil
}

// start begins once the camera has named its ports.
func (l *leg) start(cameraIP net.IP, cameraPorts [2]int) {
	for i := range 2 {
		reader := &net.UDPAddr{IP: l.readerIP, Port: l.readerPorts[i]}
		camera := &net.UDPAddr{IP: cameraIP, Port: cameraPorts[i]}
		through := func(packet []byte) [][]byte { return [][]byte{packet} }
		if i == 0 {
			through = func(packet []byte) [][]byte { return l.relay.pass(l.line, bytes.Clone(packet)) }
		}
		l.running.Go(func() { forward(l.camera[i], l.reader[i], reader, through) })
		l.running.Go(func() {
			forward(l.reader[i], l.camera[i], camera, func(packet []byte) [][]byte { return [][]byte{packet} })
		})
	}
}

// forward runs until its sockets are closed.
func forward(in, out *net.UDPConn, to *net.UDPAddr, through func([]byte) [][]byte) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := in.Read(buffer)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // somebody refused what was sent before
		}
		for _, packet := range through(buffer[:n]) {
			_, _ = out.WriteToUDP(packet, to) // one who has gone gets nothing
		}
	}
}

func (l *leg) close() {
	l.camera.close()
	l.reader.close()
	l.running.Wait()
}
