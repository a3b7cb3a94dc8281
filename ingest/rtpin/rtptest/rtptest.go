// Package rtptest has what the tests of sources share: pictures as RTP packets, and an output that collects.
package rtptest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"

	"rave/engine/media"
)

// WaitLimit is how long a test waits for anything.
const WaitLimit = 10 * time.Second

// SPS and PPS are the parameter sets of a 1920×1080 stream, from gortsplib's tests.
func SPS() []byte {
	return []byte{
		0x67, 0x42, 0xc0, 0x28, 0xd9, 0x00, 0x78, 0x02, 0x27, 0xe5, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03,
		0x00, 0xf0, 0x3c, 0x60, 0xc9, 0x20,
	}
}

// PPS belongs to SPS.
func PPS() []byte { return []byte{0x68, 0xcb, 0x83, 0xcb, 0x20} }

// H264 describes the video of the tests.
func H264() *format.H264 {
	return &format.H264{PayloadTyp: 96, SPS: SPS(), PPS: PPS(), PacketizationMode: 1}
}

// Opus describes the sound of the tests.
func Opus() *format.Opus { return &format.Opus{PayloadTyp: 97, ChannelCount: 2} }

// Encoder packetises H.264.
func Encoder(t testing.TB) *rtph264.Encoder {
	t.Helper()
	e := &rtph264.Encoder{PayloadType: 96, PacketizationMode: 1}
	if err := e.Init(); err != nil {
		t.Fatal(err)
	}
	return e
}

// IDR is a keyframe's slice with a number and so many bytes more.
func IDR(n, size int) []byte {
	return append([]byte{0x65, 0x88, byte(n), 0x80}, bytes.Repeat([]byte{0xab}, size)...)
}

// Inter is another picture's.
func Inter(n, size int) []byte {
	return append([]byte{0x41, 0x9a, byte(n), 0x80}, bytes.Repeat([]byte{0xcd}, size)...)
}

// NALs splits Annex B with 4-byte start codes.
func NALs(t *testing.T, data []byte) [][]byte {
	t.Helper()
	if !bytes.HasPrefix(data, []byte{0, 0, 0, 1}) {
		t.Fatalf("no start code: % x", data[:min(len(data), 8)])
	}
	return bytes.Split(data[4:], []byte{0, 0, 0, 1})
}

// Types are those of the NAL units of an access unit: "7 8 5".
func Types(t *testing.T, data []byte) string {
	t.Helper()
	var s []string
	for _, n := range NALs(t, data) {
		s = append(s, fmt.Sprint(n[0]&0x1f))
	}
	return strings.Join(s, " ")
}

// Collector is an Output that passes everything on.
type Collector struct {
	Opened  chan []media.Track
	Packets chan media.Packet
	Err     error // returned by Packet, if set
}

// NewCollector returns one with room for a test's packets.
func NewCollector() *Collector {
	return &Collector{Opened: make(chan []media.Track, 64), Packets: make(chan media.Packet, 4096)}
}

// Tracks implements media.Output.
func (c *Collector) Tracks(tracks []media.Track) error { c.Opened <- tracks; return nil }

// Packet implements media.Output.
func (c *Collector) Packet(p media.Packet) error {
	if c.Err != nil {
		return c.Err
	}
	c.Packets <- p
	return nil
}

// Start runs a source; stop cancels it and returns what Run returned.
func Start(t *testing.T, src media.Source, out media.Output) (stop func() error, ended <-chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	result := make(chan error, 1)
	go func() {
		err := src.Run(ctx, out)
		result <- err
		done <- err
	}()
	var once sync.Once
	var got error
	stop = func() error {
		once.Do(func() {
			begin := time.Now()
			cancel()
			select {
			case got = <-done:
			case <-time.After(WaitLimit):
				t.Error("Run did not return")
			}
			if d := time.Since(begin); d > 2*time.Second {
				t.Errorf("Run took %v to return", d)
			}
		})
		return got
	}
	t.Cleanup(func() { _ = stop() })
	return stop, result
}

// Receive waits for a value.
func Receive[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(WaitLimit):
		t.Fatalf("no %s within %v", what, WaitLimit)
		panic("unreachable")
	}
}

// Drops counts what a source reports.
type Drops struct {
	mu sync.Mutex
	n  map[string]int
}

// Add is an OnDrop.
func (d *Drops) Add(reason string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == nil {
		d.n = map[string]int{}
	}
	d.n[reason] += n
}

// Get returns what was counted for a reason.
func (d *Drops) Get(reason string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n[reason]
}

// String shows all.
func (d *Drops) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.n)
}
