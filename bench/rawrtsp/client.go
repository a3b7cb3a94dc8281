// Package rawrtsp is an RTSP client that says exactly what it is told and nothing by itself: no keep-alives, no reports,
// no TEARDOWN. With it tests misbehave as real clients do, and as attackers do. A Client belongs to one goroutine; who
// makes it closes it.
package rawrtsp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Client is one connection.
type Client struct {
	Conn    *net.TCPConn
	Session string // of the last answer that had one, with its parameters
	Base    string // rtsp://ADDRESS/
	in      *bufio.Reader
	cseq    int
	udp     []*net.UDPConn // RTP, RTCP
	rtcp    string         // where reports go
}

// Answer is a response.
type Answer struct {
	Code   int
	Status string // the status line
	Header map[string]string
	Body   string
}

// patience bounds each exchange.
const patience = 30 * time.Second

// Dial connects to address; from is the local IP address, such as 127.0.0.2, or empty.
func Dial(address, from string) (*Client, error) {
	d := net.Dialer{Timeout: patience}
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	return &Client{Conn: c.(*net.TCPConn), Base: "rtsp://" + address + "/", in: bufio.NewReader(c)}, nil
}

// Close ends the connection without a word.
func (c *Client) Close() {
	_ = c.Conn.Close()
	c.closeUDP()
}

func (c *Client) closeUDP() {
	for _, u := range c.udp {
		_ = u.Close()
	}
}

// Reset ends the connection with RST, as a crashed machine's firewall does.
func (c *Client) Reset() {
	_ = c.Conn.SetLinger(0)
	c.Close()
}

// Send writes text as it is.
func (c *Client) Send(text string) error {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c.Conn, text)
	return err
}

// Request writes a request for a path with the next CSeq and the session, if there is one.
func (c *Client) Request(method, path string, headers ...string) error {
	c.cseq++
	text := fmt.Sprintf("%s %s%s RTSP/1.0\r\nCSeq: %d\r\n", method, c.Base, path, c.cseq)
	if c.Session != "" {
		id, _, _ := strings.Cut(c.Session, ";")
		text += "Session: " + id + "\r\n"
	}
	for _, h := range headers {
		text += h + "\r\n"
	}
	return c.Send(text + "\r\n")
}

// Do sends a request and returns its answer; frames before it are passed over.
func (c *Client) Do(method, path string, headers ...string) (Answer, error) {
	if err := c.Request(method, path, headers...); err != nil {
		return Answer{}, err
	}
	return c.Answer()
}

// Answer reads the next answer; frames before it are passed over.
func (c *Client) Answer() (Answer, error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(patience))
	for {
		first, err := c.in.Peek(1)
		if err != nil {
			return Answer{}, err
		}
		if first[0] != '$' {
			return c.answer()
		}
		if _, err := c.Frame(); err != nil {
			return Answer{}, err
		}
	}
}

func (c *Client) answer() (Answer, error) {
	a := Answer{Header: map[string]string{}}
	var err error
	if a.Status, err = c.line(); err != nil {
		return a, err
	}
	if _, err := fmt.Sscanf(a.Status, "RTSP/1.0 %d", &a.Code); err != nil {
		return a, fmt.Errorf("no RTSP answer: %q", a.Status)
	}
	for {
		line, err := c.line()
		if err != nil || line == "" {
			break // what an answer lacks shows in its fields
		}
		name, value, _ := strings.Cut(line, ":")
		a.Header[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	if s := a.Header["session"]; s != "" {
		c.Session = s
	}
	n, _ := strconv.Atoi(a.Header["content-length"])
	body := make([]byte, n)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return a, fmt.Errorf("read body of %q: %w", a.Status, err)
	}
	a.Body = string(body)
	return a, nil
}

func (c *Client) line() (string, error) {
	line, err := c.in.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}

// Frame reads one interleaved frame (RFC 2326 section 10.12).
func (c *Client) Frame() ([]byte, error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.in, head); err != nil {
		return nil, err
	}
	if head[0] != '$' {
		return nil, fmt.Errorf("no frame: %q", head)
	}
	data := make([]byte, int(head[2])<<8|int(head[3]))
	_, err := io.ReadFull(c.in, data)
	return data, err
}

// HungUp waits until the server has closed the connection; an error says that it has not.
func (c *Client) HungUp(within time.Duration) error {
	_ = c.Conn.SetReadDeadline(time.Now().Add(within))
	n, err := io.Copy(io.Discard, c.in)
	if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
		return fmt.Errorf("still open after %v; %d bytes came", within, n)
	}
	return nil
}

// PlayTCP sets up the first track of a path and plays it over this connection.
func (c *Client) PlayTCP(path string) error {
	return c.play(path, "RTP/AVP/TCP;unicast;interleaved=0-1")
}

// PlayUDP does so over UDP. What comes is read with Packet. The system may give out ports that a client had which went
// without a word; a server that does not know yet refuses them.
func (c *Client) PlayUDP(path string) error {
	if err := c.openUDP(); err != nil {
		return err
	}
	port := c.udp[0].LocalAddr().(*net.UDPAddr).Port
	return c.play(path, fmt.Sprintf("RTP/AVP;unicast;client_port=%d-%d", port, port+1))
}

// openUDP opens two ports in a row.
func (c *Client) openUDP() error {
	ip := c.Conn.LocalAddr().(*net.TCPAddr).IP
	for range 100 {
		rtp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip})
		if err != nil {
			return err
		}
		port := rtp.LocalAddr().(*net.UDPAddr).Port
		rtcp, err := net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port + 1})
		if err == nil && port%2 == 0 {
			c.udp = []*net.UDPConn{rtp, rtcp}
			return nil
		}
		_ = rtp.Close()
		if err == nil {
			_ = rtcp.Close()
		}
	}
	return errors.New("no free pair of UDP ports")
}

func (c *Client) play(path, transport string) error {
	for _, r := range [][]string{{"SETUP", path + "/trackID=0", "Transport: " + transport}, {"PLAY", path}} {
		a, err := c.Do(r[0], r[1], r[2:]...)
		if err != nil {
			return fmt.Errorf("%s %s: %w", r[0], path, err)
		}
		if a.Code != 200 {
			return fmt.Errorf("%s %s: %s", r[0], path, a.Status)
		}
		if r[0] != "SETUP" || c.udp == nil {
			continue
		}
		_, ports, _ := strings.Cut(a.Header["transport"], "server_port=")
		ports, _, _ = strings.Cut(ports, ";")
		_, rtcp, _ := strings.Cut(ports, "-")
		if _, err := strconv.Atoi(rtcp); err != nil {
			return fmt.Errorf("SETUP %s: no server_port in %q", path, a.Header["transport"])
		}
		c.rtcp = net.JoinHostPort(c.Conn.RemoteAddr().(*net.TCPAddr).IP.String(), rtcp)
	}
	return nil
}

// Packet waits for the next RTP packet over UDP.
func (c *Client) Packet() ([]byte, error) {
	_ = c.udp[0].SetReadDeadline(time.Now().Add(patience))
	data := make([]byte, 2048)
	n, err := c.udp[0].Read(data)
	return data[:n], err
}

// Report sends an empty receiver report (RFC 3550 section 6.4.2) over UDP.
func (c *Client) Report() error {
	to, err := net.ResolveUDPAddr("udp", c.rtcp)
	if err != nil {
		return err
	}
	_, err = c.udp[1].WriteTo([]byte{0x80, 201, 0, 1, 1, 2, 3, 4}, to)
	return err
}
