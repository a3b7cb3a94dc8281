package browser_test

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"rave/bench/browser"
	"rave/bench/leak"
	"rave/bench/peer"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

const page = `<!DOCTYPE html><title>t</title><body style="margin:0;height:3000px"><p id="p">no</p><script>
const seen = window.seen = [];
for (const e of ["pointerdown", "pointerup", "wheel", "keydown"]) addEventListener(e, (x) => seen.push(e + (x.key ?? "")));
addEventListener("pointermove", (x) => { window.last = [Math.round(x.clientX), Math.round(x.clientY)]; });
setTimeout(() => { document.getElementById("p").textContent = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"; }, 50);
</script>`

func TestDrives(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) }))
	defer server.Close()
	b, err := browser.Start(browser.Config{Path: peer.Need(t, peer.Chromium)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}()
	p, err := b.Open(ctx, server.URL, browser.Look{Width: 400, Height: 300, Scale: 2, Light: true}, "window.early = true")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Until(ctx, `document.getElementById("p").textContent === "light" && early`); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{p.Drag(ctx, 10, 20, 110, 120), p.Wheel(ctx, 50, 50, 10), p.Key(ctx, "f"), p.Key(ctx, "ArrowLeft")} {
		if err != nil {
			t.Error(err)
		}
	}
	var seen []string
	if err := p.Run(ctx, `seen`, &seen); err != nil || strings.Join(seen, " ") != "pointerdown pointerup wheel keydownf keydownArrowLeft" {
		t.Errorf("the page saw %q, %v", seen, err)
	}
	var last []int
	if err := p.Run(ctx, `Promise.resolve(last)`, &last); err != nil || len(last) != 2 || last[0] != 110 || last[1] != 120 {
		t.Errorf("the drag ended at %v, %v", last, err)
	}
	shot, err := p.Picture(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(shot)); err != nil || c.Width != 800 || c.Height != 600 {
		t.Errorf("the picture is %dx%d, %v", c.Width, c.Height, err)
	}
	if err := p.Run(ctx, `throw new Error("on purpose")`, nil); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("a script that fails: %v", err)
	}
	if err := p.Run(ctx, `setTimeout(() => { throw new Error("later") }); new Promise((r) => setTimeout(r, 20))`, nil); err != nil {
		t.Error(err)
	}
	if w := p.Wrongs(); len(w) != 1 || !strings.Contains(w[0], "later") {
		t.Errorf("complaints: %q", w)
	}
	short, end := context.WithTimeout(ctx, 100*time.Millisecond)
	defer end()
	if err := p.Until(short, `false`); err == nil {
		t.Error("what is never true is waited for in vain, and that is said")
	}
}

// A browser that dies leaves nobody waiting.
func TestEnds(t *testing.T) {
	b, err := browser.Start(browser.Config{Path: peer.Need(t, peer.Chromium)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Open(t.Context(), "about:blank#x", browser.Look{Width: 100, Height: 100})
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error)
	go func() { waits <- p.Run(context.Background(), "new Promise(() => {})", nil) }()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-waits; err == nil {
		t.Error("a script has ended that never ends")
	}
}
