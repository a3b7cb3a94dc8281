package rtsp

import (
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/bench/leak"
	"rave/bench/rawrtsp"
)

// visit is a reader that comes, sees some pictures, and leaves in its own way.
type visit func(c *rawrtsp.Client) error

func (v visit) of(s *Server) error {
	c, err := rawrtsp.Dial(s.Addr(), "")
	if err != nil {
		return err
	}
	defer c.Close()
	return v(c)
}

func overTCP(leave func(c *rawrtsp.Client) error) visit {
	return func(c *rawrtsp.Client) error {
		err := c.PlayTCP("cam1")
		for n := 0; n < 3 && err == nil; n++ {
			_, err = c.Frame()
		}
		if err != nil {
			return err
		}
		return leave(c)
	}
}

func overUDP(leave func(c *rawrtsp.Client) error) visit {
	return func(c *rawrtsp.Client) error {
		err := c.PlayUDP("cam1")
		for n := 0; n < 3 && err == nil; n++ {
			_, err = c.Packet()
		}
		if err != nil {
			return err
		}
		return leave(c)
	}
}

func visits() []visit {
	orderly := func(c *rawrtsp.Client) error { _, err := c.Do("TEARDOWN", "cam1"); return err }
	closing := func(*rawrtsp.Client) error { return nil } // as all do in the end
	reset := func(c *rawrtsp.Client) error { c.Reset(); return nil }
	pausing := func(c *rawrtsp.Client) error { _, err := c.Do("PAUSE", "cam1"); return err }
	return []visit{
		overTCP(orderly), overTCP(closing), overTCP(reset), overTCP(pausing),
		overUDP(orderly), overUDP(closing), overUDP(reset), overUDP(pausing),
		func(c *rawrtsp.Client) error { return c.Request("SETUP", "cam1/trackID=0", setupTCP) },
		func(c *rawrtsp.Client) error { return c.Send("SETUP rtsp://x/cam1/trac") },
		func(c *rawrtsp.Client) error { _, err := c.Do("SETUP", "cam1/trackID=0", setupTCP); return err },
	}
}

// standing is what a process holds once all is quiet.
type standing struct {
	goroutines, files int
	heap              int64
}

func measure() standing { return standing{runtime.NumGoroutine(), leak.Descriptors(), liveHeap()} }

// A thousand readers, whatever way they go, leave nothing behind: no goroutine, no file descriptor, no memory.
func TestThousandReadersLeaveNothing(t *testing.T) {
	const settled, all, atOnce = 100, 1000, 8
	s := startServer(t, Config{SessionTimeout: time.Second, IdleTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler)})
	p := s.Path("cam1", PathConfig{KeepGOP: true})
	mustOpen(t, p, videoTrack())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // a camera
		defer close(stopped)
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			_ = p.Write(picture(n, 2000, n%5 == 0)) // the path is open
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	ways := visits()
	come := func(from, to int) standing {
		var wg sync.WaitGroup
		for first := range atOnce {
			wg.Go(func() {
				for i := from + first; i < to; i += atOnce {
					err := ways[i%len(ways)].of(s)
					for tries := 0; err != nil && strings.Contains(err.Error(), "400") && tries < 3; tries++ {
						err = ways[i%len(ways)].of(s) // its UDP ports were those of one that is still to be missed
					}
					if err != nil {
						t.Errorf("reader %d, way %d: %v", i, i%len(ways), err)
						return
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all have left", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.readers)+len(s.watched)+len(s.grants) == 0
		})
		return measure()
	}
	before := come(0, settled)
	eventually(t, "as many goroutines and files as after the first", func() bool {
		before = measure()
		return before.goroutines < 2*atOnce
	})
	after := come(settled, all)
	eventually(t, "as many goroutines and files as before", func() bool {
		after = measure()
		return after.goroutines <= before.goroutines && after.files <= before.files
	})
	t.Logf("after %d readers %+v, after %d %+v", settled, before, all, after)
	if grown := after.heap - before.heap; grown > 1<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
}
