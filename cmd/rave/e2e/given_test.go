package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"rave/bench/browser"
	"rave/bench/camera"
	"rave/bench/clip"
)

// audience is what the API tells of a stream's viewers.
type audience struct {
	Enhanced, Original struct {
		Count      int
		Renditions map[string]int
	}
}

// viewers waits until the viewers of the stream cam are as wanted.
func (p *program) viewers(ctx context.Context, what string, right func(audience) bool) {
	p.t.Helper()
	eventually(ctx, p.t, what, func() error {
		code, body, err := p.get("/api/v1/streams/cam")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("status %d: %w", code, err)
		}
		var in struct{ Viewers audience } // afresh: maps are filled, not replaced
		if err := json.Unmarshal([]byte(body), &in); err != nil {
			return err
		}
		if !right(in.Viewers) {
			return fmt.Errorf("viewers are %+v", in.Viewers)
		}
		return nil
	})
}

// What a browser cannot play is converted while somebody watches, and the page says so, on a desktop and on a phone; and so
// it says who watches what.
func TestPageSaysWhatIsConverted(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: publish, quality: [lanczos], %s}", quick)})
	publishWithSound(ctx, t, makeClip(ctx, t, clip.Params{BFrames: 3}), p.url("cam"))
	p.until(ctx, "cam", "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	p.viewers(ctx, "nobody watches", func(a audience) bool { return a.Enhanced.Count+a.Original.Count == 0 && a.Original.Renditions != nil })
	b := startBrowser(t)
	for i, look := range []struct {
		name string
		browser.Look
	}{{"desktop-dark", desktop}, {"phone-light", browser.Look{Width: phone.Width, Height: phone.Height, Scale: phone.Scale, Touch: true, Light: true}}} {
		w := open(ctx, t, b, p, "/cam", look.Look)
		w.until("the page says what is converted", `document.getElementById("given").innerText ===
			"Original converted to H.264 without B-frames for your browser  ·  Sound converted from AAC to Opus"`)
		w.until("both sides play", `document.getElementById("message").hidden && document.querySelector("#tiles").innerText.includes("pictures shown")`)
		n := i + 1
		p.viewers(ctx, "the viewers are counted", func(a audience) bool {
			return a.Enhanced.Count == n && maps.Equal(a.Enhanced.Renditions, map[string]int{"opus": n}) &&
				a.Original.Count == n && maps.Equal(a.Original.Renditions, map[string]int{"browser": n})
		})
		w.until("the page counts them", fmt.Sprintf(`document.getElementById("facts").innerText.includes(
			"%d of the enhanced picture (%d with converted sound), %d of the original (%d converted for browsers)")`, n, n, n, n))
		unlabelled(w)
		w.keep("stream-converted-" + look.name)
	}
}

// narrow is a network that carries little: a UDP port before that of the program, behind which packets wait for nothing and
// are lost when too many come.
type narrow struct {
	conn    *net.UDPConn // that the browser sends to
	server  *net.UDPAddr
	carries float64 // bytes per second to the browser
	relays  sync.WaitGroup

	mu     sync.Mutex
	ways   map[string]*net.UDPConn // to the server, by the browser's address
	credit float64
	last   time.Time
}

func newNarrow(t *testing.T, p *program, carries float64) *narrow {
	t.Helper()
	var status struct {
		Listeners []struct{ Name, Address string }
	}
	_, body, err := p.get("/api/v1/status")
	if err == nil {
		err = json.Unmarshal([]byte(body), &status)
	}
	if err != nil {
		t.Fatal(err)
	}
	var to *net.UDPAddr
	for _, l := range status.Listeners {
		if l.Name == "webrtc" {
			to, err = net.ResolveUDPAddr("udp", l.Address)
		}
	}
	if err != nil || to == nil {
		t.Fatalf("where is WebRTC? %v %s", err, body)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &narrow{conn: conn, server: to, carries: carries, ways: map[string]*net.UDPConn{}, last: time.Now()}
	n.relays.Go(func() { n.out(t) })
	t.Cleanup(func() {
		_ = conn.Close()
		n.mu.Lock()
		for _, way := range n.ways {
			_ = way.Close()
		}
		n.mu.Unlock()
		n.relays.Wait()
	})
	return n
}

// out takes the browser's packets to the server, until the port is closed.
func (n *narrow) out(t *testing.T) {
	buf := make([]byte, 2048)
	for {
		size, from, err := n.conn.ReadFromUDP(buf)
		if err != nil {
			return
		}
		n.mu.Lock()
		way := n.ways[from.String()]
		if way == nil {
			if way, err = net.DialUDP("udp", nil, n.server); err != nil {
				t.Error(err)
				n.mu.Unlock()
				return
			}
			n.ways[from.String()] = way
			n.relays.Go(func() { n.back(way, from) })
		}
		n.mu.Unlock()
		_, _ = way.Write(buf[:size])
	}
}

// back takes the server's packets to the browser, those that the network carries.
func (n *narrow) back(way *net.UDPConn, to *net.UDPAddr) {
	buf := make([]byte, 2048)
	for {
		size, err := way.Read(buf)
		if err != nil {
			return
		}
		media := size > 0 && buf[0]>>6 == 2 // RFC 7983 section 7
		if !media || n.takes(size) {
			_, _ = n.conn.WriteToUDP(buf[:size], to)
		}
	}
}

func (n *narrow) takes(size int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.credit, n.last = min(n.carries/10, n.credit+now.Sub(n.last).Seconds()*n.carries), now
	if n.credit < float64(size) {
		return false
	}
	n.credit -= float64(size)
	return true
}

// through is a script that makes a page reach the program's media through a port alone.
func (n *narrow) through() string {
	return fmt.Sprintf(`const real = fetch; window.fetch = async (url, ...rest) => {
		const response = await real(url, ...rest);
		if (!String(url).endsWith("/whep")) return response;
		const body = (await response.text()).replace(/a=candidate:\S+ \d+ tcp .*\r\n/gi, "")
			.replace(/(a=candidate:\S+ \d+ udp \d+ \S+) \d+/gi, "$1 %d");
		const changed = new Response(body, {status: response.status, headers: response.headers});
		Object.defineProperty(changed, "url", {value: response.url});
		return changed;
	};`, n.conn.LocalAddr().(*net.UDPAddr).Port)
}

// A browser whose network is too slow gets small pictures, of the original as well, and the page says so; others get them as
// they are.
func TestPageSaysThatThePictureIsSmall(t *testing.T) {
	ctx := deadline(t)
	const rate = 15
	film := makeClip(ctx, t, clip.Params{Width: 800, Height: 448, FPS: rate, Frames: 20 * rate})
	cam := startCamera(ctx, t, camera.Config{Clip: film})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos], output: {scale: 1}, encode: {bitrate: 3M}, %s}", cam.URL, quick)})
	p.until(ctx, "cam", "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	network := newNarrow(t, p, 100_000)
	p.show(ctx, t, "cam/original") // whose network carries all
	w := open(ctx, t, startBrowser(t), p, "/cam", desktop, network.through())
	w.until("the page says that the pictures are small", `document.getElementById("given").innerText.replaceAll("\u202f", "") ===
		"Small pictures, 640×358: your network does not carry the full ones"`)
	w.keep("stream-small")
	p.viewers(ctx, "the viewers are counted", func(a audience) bool {
		return a.Enhanced.Count == 1 && a.Enhanced.Renditions["low"] == 1 && a.Original.Count == 2 && a.Original.Renditions["low"] == 1
	})
}
