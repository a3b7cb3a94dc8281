package webrtc

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4/pkg/format/rtph264"
	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"rave/bench/whep"
	"rave/engine/media"
)

// patience is how long tests wait for what must happen.
const patience = 30 * time.Second

// served is a server with its HTTP in front.
type served struct {
	*Server
	url    string
	revoke context.CancelCauseFunc // of all viewers
}

func serve(t *testing.T, cfg Config) *served {
	t.Helper()
	cfg.Listen, cfg.TCPListen = "127.0.0.1:0", "127.0.0.1:0"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	granted, revoke := context.WithCancelCause(context.Background())
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, resource, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/whep")
		if p := s.Lookup(name); p != nil {
			p.ServeHTTP(granted, w, r, strings.TrimPrefix(resource, "/"))
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		web.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &served{s, web.URL, revoke}
}

// watch connects a viewer, which is closed with the test.
func (s *served) watch(t *testing.T, path string, cfg whep.Config) *whep.Viewer {
	t.Helper()
	cfg.URL = s.url + "/" + path + "/whep"
	v, err := whep.Connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// h264 is a track with parameter sets of the High profile, with the id 0.
func h264() media.Track {
	return media.Track{Kind: media.Video, Codec: media.H264, ClockRate: media.VideoClockRate,
		ParameterSets: [][]byte{{0x67, 0x64, 0, 0x1f, 1}, {0x68, 1, 2}}}
}

// opus is a track with the id 1.
func opus() media.Track {
	return media.Track{ID: 1, Kind: media.Audio, Codec: "opus", ClockRate: 48000, RTP: media.RTPFormat{RTPMap: "opus/48000/2"}}
}

// frameTime is the distance of pictures.
const frameTime = 10 * time.Millisecond

// picture is an access unit of about size bytes that tells its number, n.
func picture(n int, key bool, size int) media.Packet {
	head := byte(0x41)
	var nals [][]byte
	if key {
		head = 0x65
		nals = append(nals, h264().ParameterSets...)
	}
	slice := make([]byte, max(size, 8))
	for i := range slice {
		slice[i] = byte(i)%250 + 1 // no start codes
	}
	slice[0], slice[1], slice[2], slice[3] = head, byte(n>>14)|0x80, byte(n>>7)|0x80, byte(n)|0x80
	return media.Packet{PTS: time.Duration(n) * frameTime, Data: media.AnnexB(append(nals, slice)...), Keyframe: key, Arrival: time.Now()}
}

// number reads the number of a picture's slice; -1 for other NAL units.
func number(nal []byte) int {
	if len(nal) < 8 || nal[0] != 0x41 && nal[0] != 0x65 {
		return -1
	}
	return int(nal[1]&0x7f)<<14 | int(nal[2]&0x7f)<<7 | int(nal[3]&0x7f)
}

// play writes pictures in real time until the test ends, a keyframe each keys of them and whenever one is asked for.
type play struct {
	sink   media.Sink
	size   int
	keys   int // 0: only the first
	ask    chan struct{}
	change func(n int, pkt *media.Packet) // may be nil
}

// keyframe is for PathConfig.OnKeyframe.
func (f *play) keyframe() {
	select {
	case f.ask <- struct{}{}:
	default:
	}
}

// start returns what stops it.
func (f *play) start(t *testing.T) (halt func()) {
	t.Helper()
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(frameTime)
		defer tick.Stop()
		for n := 0; ; n++ {
			key := n == 0 || f.keys > 0 && n%f.keys == 0
			select {
			case <-f.ask:
				key = true
			default:
			}
			pkt := picture(n, key, f.size)
			if f.change != nil {
				f.change(n, &pkt)
			}
			if err := f.sink.Write(pkt); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	halt = sync.OnceFunc(func() { close(stop); done.Wait() })
	t.Cleanup(halt)
	return halt
}

// seen is one picture that a viewer has got whole.
type seen struct {
	n     int
	stamp uint32
	at    time.Time
}

// eyes collects what a viewer is sent.
type eyes struct {
	mu      sync.Mutex
	packets []*rtp.Packet // of video
	sound   []*rtp.Packet
	whole   []seen
	decoder rtph264.Decoder
	changed chan struct{} // closed and replaced with each packet
}

func newEyes(t *testing.T) *eyes {
	t.Helper()
	e := &eyes{changed: make(chan struct{}), decoder: rtph264.Decoder{PacketizationMode: 1}}
	if err := e.decoder.Init(); err != nil {
		t.Fatal(err)
	}
	return e
}

// packet is for whep.Config.OnPacket.
func (e *eyes) packet(kind pion.RTPCodecType, pkt *rtp.Packet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if kind == pion.RTPCodecTypeAudio {
		e.sound = append(e.sound, pkt)
	} else {
		e.packets = append(e.packets, pkt)
		if nals, err := e.decoder.Decode(pkt); err == nil {
			for _, nal := range nals {
				if n := number(nal); n >= 0 {
					e.whole = append(e.whole, seen{n, pkt.Timestamp, time.Now()})
				}
			}
		}
	}
	close(e.changed)
	e.changed = make(chan struct{})
}

// until waits until what has come is enough; the lock is held meanwhile.
func (e *eyes) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		e.mu.Lock()
		done, changed := enough(), e.changed
		e.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-over.C:
			e.mu.Lock()
			defer e.mu.Unlock()
			t.Fatalf("%s: %d packets, %d pictures came", what, len(e.packets), len(e.whole))
		}
	}
}

// pictures waits for so many whole pictures and returns all.
func (e *eyes) pictures(t *testing.T, count int) []seen {
	t.Helper()
	e.until(t, "waiting for pictures", func() bool { return len(e.whole) >= count })
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]seen(nil), e.whole...)
}

// eventually waits until ask is true. What it asks about has no event of its own.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ask(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func mustOpen(t *testing.T, sink media.Sink, tracks ...media.Track) {
	t.Helper()
	if err := sink.Open(tracks); err != nil {
		t.Fatal(err)
	}
}

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// mustGo waits until a viewer has noticed that it is not served any more.
func mustGo(t *testing.T, v *whep.Viewer) {
	t.Helper()
	select {
	case <-v.Failed():
	case <-time.After(patience):
		t.Fatal("the viewer has not gone")
	}
}
