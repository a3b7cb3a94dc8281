package relay

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortsplib/v4"
	"github.com/bluenviron/gortsplib/v4/pkg/base"
	"github.com/bluenviron/gortsplib/v4/pkg/description"
	"github.com/bluenviron/gortsplib/v4/pkg/format"
	"github.com/pion/rtp"

	"rave/bench/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// decide returns the numbers of the packets that a line lets out, in order.
func decide(f Faults, seed, track uint64, n int) (out []int, c Counts) {
	l := newLine(seed, track)
	for i := range n {
		for _, p := range l.pass(f, binary.BigEndian.AppendUint32(nil, uint32(i))) {
			out = append(out, int(binary.BigEndian.Uint32(p)))
		}
	}
	return out, l.counts
}

func TestTheSeedDecides(t *testing.T) {
	f := Faults{Loss: 0.05, Duplicate: 0.02, Reorder: 0.1, Distance: 5}
	first, counts := decide(f, 7, 0, 5000)
	again, countsAgain := decide(f, 7, 0, 5000)
	if !slices.Equal(first, again) || counts != countsAgain {
		t.Errorf("the same seed decides otherwise: %+v, %+v", counts, countsAgain)
	}
	if other, _ := decide(f, 8, 0, 5000); slices.Equal(first, other) {
		t.Error("another seed decides the same")
	}
	if other, _ := decide(f, 7, 1, 5000); slices.Equal(first, other) {
		t.Error("another track has the same fate")
	}
}

// What is lost does not depend on the other faults.
func TestFaultsDoNotChangeEachOther(t *testing.T) {
	lossOnly, a := decide(Faults{Loss: 0.05}, 3, 0, 1000)
	all, b := decide(Faults{Loss: 0.05, Reorder: 0.2, Distance: 3, Duplicate: 0.1}, 3, 0, 1000)
	slices.Sort(all)
	if all = slices.Compact(all); a.Dropped != b.Dropped || !slices.Equal(lossOnly[:900], all[:900]) {
		t.Errorf("lost %d and %d", a.Dropped, b.Dropped)
	}
}

func TestRates(t *testing.T) {
	const n = 100_000
	for _, c := range []struct {
		name   string
		faults Faults
		count  func(Counts) int64
		want   float64
	}{
		{"loss", Faults{Loss: 0.05}, func(c Counts) int64 { return c.Dropped }, 0.05},
		{"reorder", Faults{Reorder: 0.1, Distance: 4}, func(c Counts) int64 { return c.Reordered }, 0.1},
		{"duplicate", Faults{Duplicate: 0.01}, func(c Counts) int64 { return c.Duplicated }, 0.01},
		{"nothing", Faults{}, func(c Counts) int64 { return c.Dropped + c.Reordered + c.Duplicated }, 0},
		{"all", Faults{Loss: 1}, func(c Counts) int64 { return c.Dropped }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, counts := decide(c.faults, 1, 0, n)
			if waiting := counts.Passed + counts.Duplicated - int64(len(out)); waiting < 0 || waiting > int64(c.faults.Distance) {
				t.Errorf("%d packets came out; %+v", len(out), counts)
			}
			if got := float64(c.count(counts)) / n; math.Abs(got-c.want) > 0.003 {
				t.Errorf("rate %v, want %v", got, c.want)
			}
			if counts.Passed+counts.Dropped != n {
				t.Errorf("%+v do not add up to %d", counts, n)
			}
		})
	}
}

func TestReorderedPacketsComeWithinTheDistance(t *testing.T) {
	out, counts := decide(Faults{Reorder: 0.2, Distance: 3}, 5, 0, 10_000)
	late := map[int]int{} // how many later packets came before
	highest := -1
	for i, n := range out {
		if n > highest {
			highest = n
			continue
		}
		before := 0
		for _, m := range out[max(0, i-20):i] {
			if m > n {
				before++
			}
		}
		late[before]++
	}
	sum := 0
	for d, n := range late {
		sum += n
		if d < 1 || d > 3 {
			t.Errorf("%d packets came after %d later ones", n, d)
		}
	}
	// A packet whose successors are held back as well is in order again.
	if sum == 0 || int64(sum) > counts.Reordered || len(late) != 3 {
		t.Errorf("late %v, counted %+v", late, counts)
	}
}

// camera is a server with one video track.
type camera struct {
	server *gortsplib.Server
	stream *gortsplib.ServerStream
	desc   *description.Session
	addr   string
}

func startCamera(t *testing.T) *camera {
	t.Helper()
	for range 50 {
		port := 2 * (16000 + rand.IntN(1900))
		c := &camera{addr: fmt.Sprintf("127.0.0.1:%d", port)}
		c.desc = &description.Session{Medias: []*description.Media{{
			Type: description.MediaTypeVideo, Formats: []format.Format{&format.H264{PayloadTyp: 96, PacketizationMode: 1}},
		}}}
		c.server = &gortsplib.Server{
			WriteQueueSize: 4096,
			Handler:        c, RTSPAddress: c.addr, UDPRTPAddress: fmt.Sprintf("127.0.0.1:%d", port+2), UDPRTCPAddress: fmt.Sprintf("127.0.0.1:%d", port+3),
		}
		if c.server.Start() != nil {
			continue
		}
		t.Cleanup(c.server.Close)
		c.stream = &gortsplib.ServerStream{Server: c.server, Desc: c.desc}
		if err := c.stream.Initialize(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.stream.Close)
		return c
	}
	t.Fatal("no free ports")
	return nil
}

func (c *camera) OnDescribe(*gortsplib.ServerHandlerOnDescribeCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnSetup(*gortsplib.ServerHandlerOnSetupCtx) (*base.Response, *gortsplib.ServerStream, error) {
	return &base.Response{StatusCode: base.StatusOK}, c.stream, nil
}

func (c *camera) OnPlay(*gortsplib.ServerHandlerOnPlayCtx) (*base.Response, error) {
	return &base.Response{StatusCode: base.StatusOK}, nil
}

// Packets go through the relay over UDP but for those that the seed takes away, and gortsplib puts the rest in order;
// over TCP nothing is missing.
func TestRelay(t *testing.T) {
	const packets = 2000
	faults := Faults{Loss: 0.05, Reorder: 0.1, Distance: 4, Duplicate: 0.02}
	udp, tcp := gortsplib.TransportUDP, gortsplib.TransportTCP
	for name, transport := range map[string]*gortsplib.Transport{"udp": &udp, "tcp": &tcp} {
		t.Run(name, func(t *testing.T) {
			cam := startCamera(t)
			r, err := Start(Config{Camera: cam.addr, Seed: 11, Faults: faults})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			got := play(t, cam, r, transport, packets)
			if counts := r.Counts(); transport == &tcp && (counts != Counts{} || len(got) != packets) {
				t.Errorf("%d packets of %d over TCP, %+v", len(got), packets, counts)
			} else if transport == &udp && (counts.Dropped == 0 || counts.Reordered == 0 || counts.Duplicated == 0) {
				t.Errorf("over UDP %+v", counts)
			}
			if !slices.IsSorted(got) {
				t.Error("not in order")
			}
			if transport == &udp {
				// gortsplib itself loses more: reordered ones, when it gives up waiting for a lost one. How many depends on its pace.
				want, _ := decide(faults, 11, 0, packets)
				for _, n := range got {
					if !slices.Contains(want, n) {
						t.Errorf("the reader got packet %d, which the seed takes away", n)
					}
				}
				if len(got) < packets/2 {
					t.Errorf("the reader got %d packets of %d", len(got), packets)
				}
			}
		})
	}
}

// play returns the numbers of the packets that a reader got. The last ones may wait in its buffer for what is missing.
func play(t *testing.T, cam *camera, r *Relay, transport *gortsplib.Transport, packets int) (got []int) {
	t.Helper()
	var mu sync.Mutex
	client := gortsplib.Client{Transport: transport, Scheme: "rtsp", Host: r.Address(), OnPacketsLost: func(uint64) {}}
	if err := client.Start2(); err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	u, err := base.ParseURL("rtsp://" + r.Address() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	desc, _, err := client.Describe(u)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SetupAll(desc.BaseURL, desc.Medias); err != nil {
		t.Fatal(err)
	}
	client.OnPacketRTP(desc.Medias[0], desc.Medias[0].Formats[0], func(p *rtp.Packet) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, int(p.Timestamp))
	})
	if _, err := client.Play(nil); err != nil {
		t.Fatal(err)
	}
	limit := time.Now().Add(30 * time.Second)
	for i := range packets {
		err := cam.stream.WritePacketRTP(cam.desc.Medias[0], &rtp.Packet{
			Header: rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: uint16(i), Timestamp: uint32(i), SSRC: 1}, Payload: []byte{1},
		})
		if err != nil {
			t.Fatal(err)
		}
		// Sockets overflow if nobody waits; the camera's queue takes all of them over TCP.
		for *transport == gortsplib.TransportUDP && i%20 == 19 && r.Counts().Passed+r.Counts().Dropped <= int64(i) {
			if time.Now().After(limit) {
				t.Fatalf("the relay has seen %+v after %d packets", r.Counts(), i+1)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	for ; time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		last := len(got) > 0 && got[len(got)-1] >= packets-70
		if *transport == gortsplib.TransportTCP {
			last = len(got) == packets
		}
		mu.Unlock()
		if c := r.Counts(); last && (*transport == gortsplib.TransportTCP || c.Passed+c.Dropped == int64(packets)) {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(got)
}
