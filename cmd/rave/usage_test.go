package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"rave/bench/leak"
	"rave/engine/media"
	"rave/ingest/testsrc"
)

// usage is what the process holds once the garbage is collected.
type usage struct {
	goroutines, files int
	heap              uint64 // bytes of Go
	resident          int    // bytes of everything, FFmpeg's as well
}

func used(t *testing.T) (u usage) {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	var size, resident int
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident)
	}
	if err != nil {
		t.Fatal(err)
	}
	return usage{runtime.NumGoroutine(), leak.Descriptors(), m.HeapAlloc, resident * os.Getpagesize()}
}

// onePicture returns what a publisher announces, and the packets of one picture.
func onePicture(t *testing.T) (*description.Session, []*rtp.Packet) {
	t.Helper()
	clip, err := testsrc.Demo("security", testsrc.Options{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	var first keep
	if err := clip.Run(t.Context(), &first); err != nil {
		t.Fatal(err)
	}
	f := &format.H264{PayloadTyp: 96, PacketizationMode: 1}
	encoder, err := f.CreateEncoder()
	if err != nil {
		t.Fatal(err)
	}
	var units [][]byte
	for unit := range media.NALUs(first.packet.Data) {
		units = append(units, unit)
	}
	packets, err := encoder.Encode(units)
	if err != nil {
		t.Fatal(err)
	}
	return &description.Session{Medias: []*description.Media{{Type: description.MediaTypeVideo, Formats: []format.Format{f}}}}, packets
}

// keep is a media.Output that keeps the packet that came last.
type keep struct{ packet media.Packet }

func (*keep) Tracks([]media.Track) error { return nil }

func (k *keep) Packet(p media.Packet) error { k.packet = p; return nil }

// passes publishes a picture to a stream and waits until it comes out enhanced.
func passes(t *testing.T, a *app, name string, tracks *description.Session, picture []*rtp.Packet) {
	t.Helper()
	tcp := gortsplib.TransportTCP
	c := &gortsplib.Client{Transport: &tcp}
	if err := c.StartRecording("rtsp://"+a.rtsp.Addr()+"/"+name, tracks); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, p := range picture {
		if err := c.WritePacketRTP(tracks.Medias[0], p); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for look := time.Tick(time.Millisecond); a.rtsp.Stats()[name].Frames == 0; {
		select {
		case <-look:
		case <-ctx.Done():
			t.Fatalf("the picture that was published does not come out: %+v", a.rtsp.Stats())
		}
	}
}
