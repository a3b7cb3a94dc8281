package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/rawrtsp"
)

// files is how many file descriptors the program has open.
func (p *program) files() int {
	p.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if err != nil {
		p.t.Fatal(err)
	}
	return len(entries)
}

func dialRaw(t *testing.T, address, from string) *rawrtsp.Client {
	t.Helper()
	c, err := rawrtsp.Dial(address, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// A thousand connections of one host that come to nothing: beyond the limits they are refused in words, readers and
// visitors from elsewhere get in at once, who was there sees every picture, and the descriptors come back.
func TestThousandHalfOpenConnections(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)})
	p.serves(ctx, "cam")
	good := watch(t, p.url("cam/original"), "tcp")
	wait(ctx, t, good, fps)
	before := p.files()

	for range 350 { // silent ones
		dialRaw(t, p.rtsp, "127.0.0.1")
	}
	held, refused := 0, 0
	var last *rawrtsp.Client
	for range 350 {
		c := dialRaw(t, p.rtsp, "127.0.0.1")
		switch a, err := c.Do("SETUP", "cam/original/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"); {
		case err == nil && a.Code == http.StatusOK:
			held, last = held+1, c
		case err == nil && a.Code == http.StatusServiceUnavailable && strings.Contains(a.Status, "too many of one host"):
			refused++
		default:
			t.Fatalf("neither served nor refused in words: %q, %v", a.Status, err)
		}
	}
	if held > 512-350 || refused < 700-512 {
		t.Errorf("%d of the second half were let in and %d refused", held, refused)
	}
	for range 300 {
		dialRaw(t, p.http, "127.0.0.1")
	}
	visitFrom(ctx, t, p, "127.0.0.2")
	began := time.Now()
	reader := dialRaw(t, p.rtsp, "127.0.0.2")
	if err := reader.PlayTCP("cam/original"); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Frame(); err != nil {
		t.Fatal(err)
	}
	t.Logf("a reader from another address has its first packet after %v", time.Since(began))
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("a reader from another address waits %v", d)
	}
	reader.Close()
	if last != nil {
		if err := last.HungUp(limit / 2); err != nil {
			t.Errorf("half open: %v", err)
		}
	}
	eventually(ctx, t, "the descriptors come back", func() error {
		if n := p.files(); n > before+4 {
			return fmt.Errorf("%d are open; %d before", n, before)
		}
		return nil
	})
	if n := p.metric("rave_refused_total", `reason="connections_of_host"`, `server="rtsp"`); n < float64(refused) {
		t.Errorf("%v refused connections are counted, %d were", n, refused)
	}
	wait(ctx, t, good, len(good.Seen())+fps)
	if c := count(good.Seen(), loop); c != (counts{}) {
		t.Errorf("the reader that was there: %+v", c)
	}
	ascending(t, good)
}

// visitFrom asks for the health check from an address.
func visitFrom(ctx context.Context, t *testing.T, p *program, from string) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client := http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("a visitor from %s: %v", from, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a visitor from %s: %s", from, resp.Status)
	}
}

// come is one of a thousand that come and go: RTSP over TCP and UDP, HTTP, orderly or not.
func come(p *program, i int) error {
	const path = "cam/original"
	if i%8 >= 6 {
		return comeByHTTP(p.http, i%8 == 6)
	}
	c, err := rawrtsp.Dial(p.rtsp, "")
	if err != nil {
		return err
	}
	defer c.Close()
	switch i % 8 {
	case 0:
		return c.Send("SETUP rtsp://x/" + path + "/trac")
	case 1:
		_, err := c.Do("SETUP", path+"/trackID=0", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
		return err
	case 2:
		err, next := c.PlayUDP(path), c.Packet
		for n := 0; n < 3 && err == nil; n++ {
			_, err = next()
		}
		if err == nil { // who does not say so is missed half a minute later
			_, err = c.Do("TEARDOWN", path)
		}
		return err
	}
	err = c.PlayTCP(path)
	for n := 0; n < 3 && err == nil; n++ {
		_, err = c.Frame()
	}
	switch {
	case err != nil:
		return err
	case i%8 == 3:
		_, err = c.Do("TEARDOWN", path)
	case i%8 == 4:
		c.Reset()
	}
	return err
}

func comeByHTTP(address string, whole bool) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !whole {
		_, err = io.WriteString(conn, "GET /metrics HT")
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(limit / 2))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	page, err := io.ReadAll(conn)
	if err == nil && !strings.HasPrefix(string(page), "HTTP/1.1 200 ") {
		err = fmt.Errorf("got %.100q", page)
	}
	return err
}

// A thousand readers and visitors leave nothing behind: goroutines, descriptors and memory are what they were after the
// first hundred.
func TestThousandReadersComeAndGo(t *testing.T) {
	t.Parallel()
	const settled, all, atOnce = 100, 1000, 4
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL),
		env:     []string{"GOGC=10"}, // so that the heap is what lives
	})
	p.serves(ctx, "cam")
	figures := func() (f [4]float64) {
		for i, name := range []string{"go_goroutines", "process_open_fds", "go_memstats_heap_inuse_bytes", "process_resident_memory_bytes"} {
			f[i] = p.gauge(name)
		}
		return f
	}
	visit := func(from, to int) {
		var wg sync.WaitGroup
		for first := range atOnce {
			wg.Go(func() {
				for i := from + first; i < to; i += atOnce {
					if err := come(p, i); err != nil {
						t.Errorf("visit %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		p.until(ctx, "cam", "they have gone", func(s streamStatus) bool { return s.Readers.Enhanced+s.Readers.Original == 0 })
	}
	visit(0, settled)
	before := figures()
	visit(settled, all)
	eventually(ctx, t, "as much as before", func() error {
		after := figures()
		t.Logf("goroutines, descriptors, heap and resident memory: %.0f after %d, %.0f after %d", before, settled, after, all)
		if after[0] > before[0]+4 || after[1] > before[1]+4 || after[2] > before[2]+4<<20 || after[3] > before[3]+24<<20 {
			return fmt.Errorf("%.0f; %.0f before", after, before)
		}
		return nil
	})
}
