package rtsp

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"rave/ingest"
	"rave/ingest/publish"
	"rave/ingest/rtpin/rtptest"
)

// recorder is a gortsplib server that hands publishers to a Publish.
type recorder struct {
	p    *Publish
	addr string
	t    *testing.T
}

func startRecorder(t *testing.T, source *publish.Source) *recorder {
	t.Helper()
	r := &recorder{p: NewPublish(source), t: t}
	s := &gortsplib.Server{Handler: r, RTSPAddress: "127.0.0.1:0", Listen: func(network, address string) (net.Listener, error) {
		ln, err := net.Listen(network, address)
		if err == nil {
			r.addr = ln.Addr().String()
		}
		return ln, err
	}}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return r
}

func (r *recorder) OnAnnounce(ctx *gortsplib.ServerHandlerOnAnnounceCtx) (*base.Response, error) {
	if err := r.p.Announce(ctx.Session, ctx.Description); err != nil {
		return &base.Response{StatusCode: base.StatusBadRequest, StatusMessage: err.Error()}, nil
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *recorder) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil, nil
}

func (r *recorder) OnRecord(ctx *gortsplib.ServerHandlerOnRecordCtx) (*base.Response, error) {
	if err := r.p.Record(ctx.Session); err != nil {
		r.t.Error(err)
	}
	return &base.Response{StatusCode: base.StatusOK}, nil
}

func (r *recorder) OnSessionClose(ctx *gortsplib.ServerHandlerOnSessionCloseCtx) {
	r.p.Leave(ctx.Session, ctx.Error)
}

func (r *recorder) publish(t *testing.T, desc *description.Session) (*gortsplib.Client, error) {
	t.Helper()
	tr := gortsplib.TransportTCP
	c := &gortsplib.Client{Transport: &tr}
	err := c.StartRecording("rtsp://"+r.addr+"/cam1", desc)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

func sendPicture(t *testing.T, c *gortsplib.Client, desc *description.Session, seq uint16) {
	t.Helper()
	err := c.WritePacketRTP(desc.Medias[0], &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: seq, Timestamp: uint32(seq) * 3600, Marker: true},
		Payload: rtptest.IDR(int(seq), 10),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublish(t *testing.T) {
	p := publish.New(publish.Config{Name: "cam1"})
	r := startRecorder(t, p)
	out := rtptest.NewCollector()
	_, ended := rtptest.Start(t, p, out)
	desc := session(rtptest.H264(), rtptest.Opus())
	first, err := r.publish(t, desc)
	if err != nil {
		t.Fatal(err)
	}
	if tracks := rtptest.Receive(t, out.Opened, "tracks"); len(tracks) != 2 || tracks[0].Width != 1920 {
		t.Errorf("tracks %+v", tracks)
	}
	sendPicture(t, first, desc, 0)
	if pkt := rtptest.Receive(t, out.Packets, "picture"); rtptest.Types(t, pkt.Data) != "7 8 5" || !pkt.Keyframe || !pkt.Discontinuity || pkt.PTS != 0 {
		t.Errorf("picture %+v", pkt)
	}
	if _, err := r.publish(t, session(rtptest.H264())); err == nil || !strings.Contains(err.Error(), "cam1 has a publisher already") {
		t.Errorf("second publisher: %v", err)
	}
	first.Close()
	if err := rtptest.Receive(t, ended, "end"); !errors.Is(err, ingest.ErrEnded) || !strings.Contains(err.Error(), "publisher left") {
		t.Errorf("Run returned %v", err)
	}

	_, ended = rtptest.Start(t, p, out)
	second, err := r.publish(t, desc)
	if err != nil {
		t.Fatal(err)
	}
	rtptest.Receive(t, out.Opened, "tracks of the second publisher")
	sendPicture(t, second, desc, 500)
	if pkt := rtptest.Receive(t, out.Packets, "picture"); !pkt.Discontinuity || pkt.PTS <= 0 || pkt.PTS > waitLimit {
		t.Errorf("the second publisher's time must go on from the first's: %+v", pkt)
	}
	second.Close()
	rtptest.Receive(t, ended, "end")
}

func TestPublisherThatCameBeforeRun(t *testing.T) {
	p := publish.New(publish.Config{Name: "cam1"})
	r := startRecorder(t, p)
	desc := session(rtptest.H264())
	gone, err := r.publish(t, desc)
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	var c *gortsplib.Client
	for c == nil { // until the first has left
		if c, err = r.publish(t, desc); err != nil {
			c = nil
		}
	}
	out := rtptest.NewCollector()
	stop, _ := rtptest.Start(t, p, out)
	rtptest.Receive(t, out.Opened, "tracks")
	sendPicture(t, c, desc, 0)
	rtptest.Receive(t, out.Packets, "picture")
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := c.Wait(); err == nil {
		t.Error("the publisher must be disconnected when nobody listens any more")
	}
}

func TestPublishRefusesWhatItCannotTake(t *testing.T) {
	p := publish.New(publish.Config{Name: "cam1"})
	r := startRecorder(t, p)
	_, err := r.publish(t, session(&format.VP8{PayloadTyp: 96}))
	if err == nil || !strings.Contains(err.Error(), "video VP8 only: set the codec") {
		t.Errorf("got %v", err)
	}
}
