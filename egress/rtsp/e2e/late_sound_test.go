package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	outside "rave/bench/reader"
	egress "rave/egress/rtsp"
	"rave/engine/media"
	"rave/ingest/testsrc"
)

// collector takes the first pictures of a clip.
type collector struct {
	tracks   []media.Track
	pictures []media.Packet
	enough   int
}

var errEnough = errors.New("enough")

func (c *collector) Tracks(tracks []media.Track) error { c.tracks = tracks; return nil }

func (c *collector) Packet(p media.Packet) error {
	c.pictures = append(c.pictures, p)
	if len(c.pictures) == c.enough {
		return errEnough
	}
	return nil
}

// Sound that begins after the second picture, and comes before it, since enhancing takes its time, takes no reader's
// pictures back in time.
func TestSoundThatBeginsLateMovesNoPicture(t *testing.T) {
	ffmpeg := peer(t, "ffmpeg")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	clip, err := testsrc.Open("../../../ingest/testsrc/clips/cockatoo-640x360.mp4", testsrc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const period = 100 * time.Millisecond
	c := &collector{enough: 6}
	if err := clip.Run(ctx, c); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	h := newHouse(t)
	joined := make(chan struct{}, 1)
	path := h.server.Path("cam", egress.PathConfig{OnReaders: func() { joined <- struct{}{} }})
	sound := media.Track{
		ID: 1, Kind: media.Audio, Codec: "PCMA", ClockRate: 8000,
		RTP: media.RTPFormat{PayloadType: 8, RTPMap: "PCMA/8000"},
	}
	if err := path.Open(append(c.tracks, sound)); err != nil {
		t.Fatal(err)
	}
	r, err := outside.Start(outside.Config{FFmpeg: ffmpeg, URL: "rtsp://" + h.server.Addr() + "/cam"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	select {
	case <-joined:
	case <-ctx.Done():
		t.Fatal("no reader")
	}
	began := time.Now()
	write := func(p media.Packet) {
		p.Arrival = began.Add(p.PTS)
		if err := path.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	for i, p := range c.pictures {
		p.PTS, p.NTP = time.Duration(i)*period, time.Time{}
		write(p)
		if i == 0 {
			write(media.Packet{Track: sound.ID, PTS: period + period/10, Keyframe: true, Data: make([]byte, 160)})
		}
	}
	// FFmpeg's parser keeps the last one.
	if err := r.Wait(ctx, func(seen []outside.Seen) bool { return len(seen) >= len(c.pictures)-1 }); err != nil {
		t.Fatal(err)
	}
	pictures := r.Pictures()
	for i := range pictures[1:] {
		if step := pictures[i+1].PTS - pictures[i].PTS; (step - period).Abs() > time.Millisecond {
			t.Errorf("picture %d is %v after the one before, at %v; sent %v after it", i+1, step, pictures[i].PTS, period)
		}
	}
	if t.Failed() {
		t.Log(r.Output())
	}
}
