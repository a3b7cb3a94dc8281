package engine

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"rave/engine/media"
)

// camera makes packets of a camera with 25 frames/s and a keyframe every GOP.
type camera struct {
	start time.Time
	gop   int
	n     int
}

const frameTime = 40 * time.Millisecond

// next returns the next packet as it would arrive at this moment.
func (c *camera) next() media.Packet {
	p := media.Packet{
		PTS: time.Duration(c.n) * frameTime, Arrival: time.Now(), Keyframe: c.n%c.gop == 0, Data: make([]byte, 1000),
		Discontinuity: c.n == 0,
	}
	c.n++
	return p
}

func countDrops() (func(string, int), map[string]int) {
	drops := map[string]int{}
	return func(reason string, n int) {
		if n > 0 {
			drops[reason] += n
		}
	}, drops
}

// TestDropDelayNeverGrows plays 60 s through a decoder that is slower than the camera, and a decoder that stands still
// for 30 s. In both cases what comes out must be decodable (start at a keyframe, no gap within a group of pictures) and
// the age of what is decoded must stay bounded.
func TestDropDelayNeverGrows(t *testing.T) {
	for name, decodeTime := range map[string]func(elapsed time.Duration) time.Duration{
		"decoder takes 1.5 frame times": func(time.Duration) time.Duration { return 60 * time.Millisecond },
		"decoder stands still for 30 s": func(e time.Duration) time.Duration {
			if e > 10*time.Second && e < 11*time.Second {
				return 30 * time.Second
			}
			return 2 * time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				count, drops := countDrops()
				q := newPacketQueue(true, count)
				cam := &camera{gop: 25, start: time.Now()}
				start := time.Now()
				go func() {
					for range 60 * 25 {
						q.Put(t.Context(), cam.next())
						time.Sleep(frameTime)
					}
					q.Close()
				}()
				decoded, oldest := 0, time.Duration(0)
				last := media.Packet{PTS: -frameTime}
				err := q.Each(t.Context(), func(p media.Packet, _ bool) error {
					if !p.Keyframe && p.PTS != last.PTS+frameTime {
						t.Fatalf("after %v came %v, which is no keyframe", last.PTS, p.PTS)
					}
					last = p
					decoded++
					time.Sleep(decodeTime(time.Since(start)))
					// after the pause itself nothing may be older than a GOP and the threshold
					if e := time.Since(start); e < 10*time.Second || e > 43*time.Second {
						oldest = max(oldest, time.Since(p.Arrival))
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if limit := time.Second + jumpAfter + 100*time.Millisecond; oldest > limit {
					t.Errorf("a picture was %v old; at most %v is allowed", oldest, limit)
				}
				total := 0
				for n := range maps.Values(drops) {
					total += n
				}
				if decoded+total != 60*25 {
					t.Errorf("%d decoded and %d counted as dropped of %d", decoded, total, 60*25)
				}
				if drops[DropBehind] == 0 {
					t.Errorf("drops %v: none for being behind", drops)
				}
			})
		})
	}
}

// TestDropTCPBacklogIsRecognised delivers 20 s of packets at once, all of which look fresh by their arrival.
func TestDropTCPBacklogIsRecognised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, drops := countDrops()
		q := newPacketQueue(true, count)
		cam := &camera{gop: 50}
		for range 50 { // live
			q.Put(t.Context(), cam.next())
			q.take()
			time.Sleep(frameTime)
		}
		time.Sleep(20 * time.Second) // the network, or this process, stood still
		for range 20 * 25 {
			q.Put(t.Context(), cam.next())
		}
		p, behind, ok, _ := q.take()
		if !ok || !p.Keyframe || !behind {
			t.Fatalf("first packet after the backlog: keyframe %v, behind %v", p.Keyframe, behind)
		}
		if lag := time.Duration(cam.n)*frameTime - p.PTS; lag > 50*frameTime {
			t.Errorf("it is %v old, more than one group of pictures", lag)
		}
		if drops[DropBehind] < 400 {
			t.Errorf("drops %v", drops)
		}
		if !q.Late(p.PTS, time.Now(), time.Now()) {
			t.Error("a picture of the backlog counts as on time")
		}
		if q.Late(p.PTS, time.Now().Add(-maxFreeze-1), time.Now()) {
			t.Error("the picture may not freeze for longer than maxFreeze")
		}
	})
}

// TestDropJitterIsNotABacklog: packets that come in bursts of half a second are all decoded.
func TestDropJitterIsNotABacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, drops := countDrops()
		q := newPacketQueue(true, count)
		cam := &camera{gop: 25}
		decoded := 0
		for range 20 {
			for range 10 {
				q.Put(t.Context(), cam.next())
			}
			for {
				if _, _, ok, _ := q.take(); !ok {
					break
				}
				decoded++
			}
			time.Sleep(10 * frameTime)
		}
		if decoded != 200 || len(drops) != 0 {
			t.Errorf("decoded %d, drops %v", decoded, drops)
		}
	})
}

func TestDropWaitsForKeyframe(t *testing.T) {
	count, drops := countDrops()
	q := newPacketQueue(true, count)
	cam := &camera{gop: 10, n: 5}
	for range 10 {
		q.Put(t.Context(), cam.next())
	}
	if p, _, ok, _ := q.take(); !ok || !p.Keyframe || drops[DropKeyframe] != 5 {
		t.Errorf("first packet %+v, drops %v", p, drops)
	}
	// a reconnect in the middle of a group of pictures
	p := cam.next()
	p.Discontinuity = true
	q.Put(t.Context(), p)
	if drops[DropKeyframe] != 6 {
		t.Errorf("drops %v: the packet after a discontinuity must wait for a keyframe", drops)
	}
	q.WaitKeyframe()
	if q.Len() != 0 {
		t.Errorf("%d packets wait although none is a keyframe", q.Len())
	}
}

func TestDropMemoryIsBounded(t *testing.T) {
	count, drops := countDrops()
	q := newPacketQueue(true, count)
	cam := &camera{gop: 1 << 30}
	for range 3 * maxWaitingPackets {
		q.Put(t.Context(), cam.next())
	}
	if q.Len() > maxWaitingPackets || drops[DropOverflow] == 0 {
		t.Errorf("%d packets wait, drops %v", q.Len(), drops)
	}
	big := cam.next()
	big.Keyframe, big.Data = true, make([]byte, maxWaitingBytes)
	q.Put(t.Context(), big)
	q.Put(t.Context(), big)
	if q.bytes > maxWaitingBytes {
		t.Errorf("%d bytes wait", q.bytes)
	}
}

func TestReplayDropsNothingAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count, drops := countDrops()
		q := newPacketQueue(false, count)
		cam := &camera{gop: 25, n: 3} // not even before the first keyframe
		go func() {
			for range 2 * maxWaitingPackets {
				if !q.Put(t.Context(), cam.next()) {
					t.Error("refused")
				}
			}
			q.Close()
		}()
		n := 0
		err := q.Each(t.Context(), func(media.Packet, bool) error {
			n++
			time.Sleep(time.Second)
			return nil
		})
		if err != nil || n != 2*maxWaitingPackets || len(drops) != 0 {
			t.Errorf("%d of %d came out, drops %v, %v", n, 2*maxWaitingPackets, drops, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		q = newPacketQueue(false, count)
		for q.Put(ctx, media.Packet{}) && q.Len() < maxWaitingPackets {
		}
		if q.Put(ctx, media.Packet{}) {
			t.Error("a full replay queue took a packet after its context had ended")
		}
	})
}

// TestLagFollowsClockDrift: a camera whose clock is 500 ppm slow must not look behind after an hour.
func TestLagFollowsClockDrift(t *testing.T) {
	var m lagMeter
	start := time.Unix(1e9, 0)
	var now time.Time
	var pts time.Duration
	for n := range 3600 * 25 {
		pts = time.Duration(n) * frameTime
		now = start.Add(pts + time.Duration(float64(pts)*500e-6))
		m.observe(media.Packet{PTS: pts, Arrival: now, Discontinuity: n == 0})
	}
	if lag := m.lag(pts, now); lag > 50*time.Millisecond {
		t.Errorf("lag %v after an hour", lag)
	}
	if lag := m.lag(pts, now.Add(time.Second)); lag < 900*time.Millisecond {
		t.Errorf("lag %v a second later", lag)
	}
}
