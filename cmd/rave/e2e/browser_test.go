package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rave/bench/browser"
	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
)

// desktop and phone are what pages are looked at on.
var (
	desktop = browser.Look{Width: 1440, Height: 900}
	phone   = browser.Look{Width: 390, Height: 844, Scale: 2, Touch: true}
)

// startBrowser starts Chromium until the test ends.
func startBrowser(t *testing.T, flags ...string) *browser.Browser {
	t.Helper()
	b, err := browser.Start(browser.Config{Path: peer.Need(t, peer.Chromium), Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// webPage is a page of the program in a browser.
type webPage struct {
	*browser.Page
	t   *testing.T
	ctx context.Context
}

// open opens a page. If the test fails, what the page complained of is said, and a picture of it kept.
func open(ctx context.Context, t *testing.T, b *browser.Browser, p *program, path string, look browser.Look, scripts ...string) webPage {
	t.Helper()
	page, err := b.Open(ctx, "http://"+p.http+path, look, scripts...)
	if err != nil {
		t.Fatal(err)
	}
	w := webPage{page, t, ctx}
	t.Cleanup(func() {
		for _, wrong := range page.Wrongs() {
			// A request that fails is on the console, whoever deals with it; the page says it to the visitor.
			if !strings.HasPrefix(wrong, "Failed to load resource") {
				t.Errorf("%s complains: %s", path, wrong)
			}
		}
	})
	return w
}

// until waits until an expression is true, and keeps a picture of the page if it never is.
func (w webPage) until(what, expression string) {
	w.t.Helper()
	if err := w.Until(w.ctx, expression); err != nil {
		var text string
		last, cancel := context.WithTimeout(context.Background(), limit/9)
		defer cancel()
		_ = w.Run(last, "document.body.innerText", &text)
		w.t.Fatalf("%s: %v\nthe page says:\n%s", what, err, text)
	}
}

// run evaluates a script that gives JSON.
func (w webPage) run(script string, result any) {
	w.t.Helper()
	if err := w.Run(w.ctx, script, result); err != nil {
		w.t.Fatal(err)
	}
}

// text is what an element says.
func (w webPage) text(selector string) (text string) {
	w.t.Helper()
	w.run(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text)
	return text
}

// box is where an element is on the screen.
func (w webPage) box(selector string) (b struct{ X, Y, Width, Height float64 }) {
	w.t.Helper()
	w.run(fmt.Sprintf("document.querySelector(%q).getBoundingClientRect().toJSON()", selector), &b)
	return b
}

// must ends the test on an error.
func (w webPage) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// keep keeps a picture of the page in .build/screenshots, to be looked at.
func (w webPage) keep(name string) {
	w.t.Helper()
	shot, err := w.Picture(w.ctx)
	w.must(err)
	folder := filepath.Join(shared.root, ".build", "screenshots")
	w.must(os.MkdirAll(folder, 0o755))
	w.must(os.WriteFile(filepath.Join(folder, name+".png"), shot, 0o644))
}

// judge counts, in the page, the pictures that come onto the screen: it reads the barcode from the canvas after each. The
// code goes over the whole width, so with the line in the middle its left half is of the original and its right half of
// the enhanced picture: only if both are the same frame does the checksum agree (see bench/barcode).
const judge = `(() => {
  const canvas = document.getElementById("picture");
  const strip = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const seen = window.seen = {shown: 0, same: 0, other: 0, unclear: 0, paired: 0, numbers: []};
  const read = () => {
    const w = canvas.width, h = Math.ceil(canvas.height / 8);
    Object.assign(strip.canvas, {width: w, height: h});
    strip.drawImage(canvas, 0, 0);
    const {data} = strip.getImageData(0, 0, w, h);
    let code = 0n;
    for (let i = 0; i < 40; i++) {
      const column = i % 20, row = Math.floor(i / 20);
      let sum = 0, n = 0;
      for (let y = Math.floor((row + .3) * h / 2); y < (row + .7) * h / 2; y++) {
        for (let x = Math.floor((column + .3) * w / 20); x < (column + .7) * w / 20; x++) {
          const at = 4 * (y * w + x);
          sum += .299 * data[at] + .587 * data[at + 1] + .114 * data[at + 2];
          n++;
        }
      }
      const mean = sum / n;
      if (Math.abs(mean - 124) < 28) return "unclear";
      code = code << 1n | (mean > 124 ? 1n : 0n);
    }
    const number = Number(code >> 16n);
    let crc = 0xffff;
    for (let bit = 23; bit >= 0; bit--) {
      const top = (crc >> 15) ^ ((number >> bit) & 1);
      crc = (crc << 1) & 0xffff;
      if (top) crc ^= 0x1021;
    }
    return crc === Number(code & 0xffffn) ? number : "other";
  };
  canvas.addEventListener("rave-picture", ({detail}) => {
    const what = read();
    seen.shown++;
    if (detail.matched) seen.paired++;
    if (typeof what === "number") { seen.same++; seen.numbers.push(what); } else seen[what]++;
  });
})()`

// judgement is what it has counted.
type judgement struct {
	Shown, Same, Other, Unclear, Paired int
	Numbers                             []int
}

func (w webPage) judged() (j judgement) {
	w.t.Helper()
	w.run("seen", &j)
	return j
}

// The stream's page in Chromium: both sides play, twice the size, and show the same frame in 95 of 100 pictures; the line
// follows mouse and keys; the wheel zooms; the camera goes away, which the page says, and comes back.
func TestPageComparesTheSameFrames(t *testing.T) {
	ctx := deadline(t)
	const rate = 15
	film := makeClip(ctx, t, clip.Params{FPS: rate, Frames: 20 * rate})
	cam := startCamera(ctx, t, camera.Config{Clip: film})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos], %s}", cam.URL, quick)})
	p.until(ctx, "cam", "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	w := open(ctx, t, startBrowser(t), p, "/cam", desktop)
	w.until("a pair of pictures comes", `document.querySelector("#tiles").innerText.includes("of") && document.getElementById("message").hidden`)

	w.run(judge, nil)
	const pictures = 10 * rate
	w.until("pictures are shown", fmt.Sprintf("seen.shown >= %d", pictures))
	j := w.judged()
	share := float64(j.Same) / float64(j.Shown)
	t.Logf("of %d pictures shown the two sides are the same frame in %d (%.1f %%), not in %d, unclear %d; matched by RTP time %d",
		j.Shown, j.Same, 100*share, j.Other, j.Unclear, j.Paired)
	if share < 0.95 {
		t.Errorf("the two sides are the same frame in %.1f %% of the pictures shown; 95 %% are wanted", 100*share)
	}
	// And few of the camera's frames are missing on the screen. (The clip is a loop.)
	sent := (j.Numbers[len(j.Numbers)-1]-j.Numbers[0]+20*rate)%(20*rate) + 1
	if shown := float64(len(j.Numbers)) / float64(sent); shown < 0.8 {
		t.Errorf("%d of the camera's %d frames were on the screen", len(j.Numbers), sent)
	} else {
		t.Logf("%d of the camera's %d frames were on the screen", len(j.Numbers), sent)
	}

	var sizes struct{ Enhanced, Original []int }
	w.run(`Object.fromEntries(["enhanced", "original"].map((id) => { const v = document.getElementById(id); return [id,
		[v.videoWidth, v.videoHeight, v.getVideoPlaybackQuality().totalVideoFrames]]; }))`, &sizes)
	if e, o := sizes.Enhanced, sizes.Original; o[0] != width || o[1] != height || e[0] != 2*width || e[1] != 2*height || e[2] < pictures || o[2] < pictures {
		t.Errorf("decoded: %v of the enhanced, %v of the original (width, height, frames)", e, o)
	}
	for selector, want := range map[string]string{"#made": "Enhanced by lanczos", "#state": "live", "#tiles": "fps", "#stages": "encode", "#facts": p.url("cam")} {
		w.until(selector+" says "+want, fmt.Sprintf("document.querySelector(%q).innerText.includes(%q)", selector, want))
	}
	control(w)
	away(ctx, t, w, cam, film)
}

// control moves the line and zooms.
func control(w webPage) {
	w.t.Helper()
	value := func() (v float64) {
		w.run(`Number(document.getElementById("divider").getAttribute("aria-valuenow"))`, &v)
		return v
	}
	stage := w.box("#stage")
	y := stage.Y + stage.Height/2
	w.must(w.Drag(w.ctx, stage.X+stage.Width/2, y, stage.X+stage.Width/4, y))
	if v := value(); math.Abs(v-25) > 1 {
		w.t.Errorf("the line was dragged to a quarter and is at %v %%", v)
	}
	w.keep("stream-dragged")
	w.run(`document.getElementById("divider").focus()`, nil)
	w.must(w.Key(w.ctx, "ArrowRight"))
	if v := value(); v != 27 {
		w.t.Errorf("after a key the line is at %v %%", v)
	}
	w.must(w.Key(w.ctx, "End"))
	if v := value(); v != 100 {
		w.t.Errorf("after the key End the line is at %v %%", v)
	}
	for range 3 {
		w.must(w.Wheel(w.ctx, stage.X+stage.Width/3, y, -240))
	}
	if level := w.text("#level"); level == "1×" {
		w.t.Error("the wheel does not zoom")
	}
	w.run(`document.getElementById("divider").blur()`, nil)
	w.must(w.Key(w.ctx, "0"))
	if level := w.text("#level"); level != "1×" {
		w.t.Errorf("after the key 0 the zoom is %s", level)
	}
	w.must(w.Key(w.ctx, "3"))
	var mode string
	if w.run(`document.querySelector("input[name=mode]:checked").value`, &mode); mode != "enhanced" {
		w.t.Errorf("after the key 3 it shows %s", mode)
	}
	w.must(w.Key(w.ctx, "2"))
	w.run(`document.getElementById("divider").focus()`, nil)
	w.must(w.Key(w.ctx, "Home"))
	for range 25 {
		w.must(w.Key(w.ctx, "ArrowRight"))
	}
}

// away kills the camera and brings it back.
func away(ctx context.Context, t *testing.T, w webPage, cam *camera.Process, film string) {
	t.Helper()
	var connections int
	w.run(`window.connections = 0; const Peer = RTCPeerConnection; window.RTCPeerConnection = class extends Peer { constructor(...a) { super(...a); connections++; } }; 0`, nil)
	cam.Kill()
	w.until("the page says that the camera is away, for how long", `!document.getElementById("message").hidden &&
		/The camera is away\s+for \d+ s/.test(document.getElementById("message").innerText) && document.querySelector("#stage.dim")`)
	w.until("and counts", `/for [2-9] s/.test(document.getElementById("message").innerText)`)
	w.keep("stream-away")
	startCamera(ctx, t, camera.Config{Clip: film, Listen: address(cam.URL)})
	w.until("the message goes when the camera is back", `document.getElementById("message").hidden && !document.querySelector("#stage.dim")`)
	w.run(judge, nil)
	w.until("pictures come again, and match", "seen.same >= 20")
	if w.run("connections", &connections); connections != 0 {
		t.Errorf("the page connected %d times; its sessions should have outlived the outage", connections)
	}
}

// The pages on a desktop and a phone, by night and by day, as pictures to be looked at; nothing sticks out sideways.
func TestPagesOnScreens(t *testing.T) {
	ctx := deadline(t)
	folder := filepath.Join(shared.root, "ingest", "testsrc", "clips")
	var streams strings.Builder
	for name, file := range map[string]string{"entrance": "security-384x288.mp4", "aviary": "cockatoo-640x360.mp4"} {
		cam := startCamera(ctx, t, camera.Config{Clip: filepath.Join(folder, file)})
		fmt.Fprintf(&streams, "  %s: {source: %q, quality: [live-x2, lanczos]}\n", name, cam.URL)
	}
	streams.WriteString("  garage: {source: \"rtsp://127.0.0.1:1/none\"}\n  studio: {source: publish}\n")
	p := serve(ctx, t, settings{streams: streams.String()})
	for _, name := range []string{"entrance", "aviary"} {
		p.until(ctx, name, "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "live-x2" })
	}
	b := startBrowser(t)
	for _, look := range []struct {
		name string
		browser.Look
	}{{"desktop", desktop}, {"phone", phone}} {
		for _, light := range []bool{false, true} {
			look.Light = light
			name := look.name + map[bool]string{false: "-dark", true: "-light"}[light]
			for path, ready := range map[string]string{
				"/":         `[...document.querySelectorAll(".frame img.there")].filter((i) => getComputedStyle(i).opacity === "1").length >= 2 && document.querySelectorAll("#wall > li").length === 4`,
				"/entrance": `document.getElementById("message").hidden && document.querySelector("#tiles").innerText.includes("pictures shown")`,
			} {
				w := open(ctx, t, b, p, path, look.Look)
				w.until(path+" is there", ready)
				w.keep(name + strings.ReplaceAll(path, "/", "-"))
				var wide []int
				if w.run("[document.documentElement.scrollWidth, innerWidth]", &wide); wide[0] > wide[1] {
					t.Errorf("%s on a %s is %d pixels wide", path, name, wide[0])
				}
				if look.Touch && path != "/" {
					pinch(w)
				}
				unlabelled(w)
				w.must(w.Go(ctx, "about:blank#done"))
			}
		}
	}
}

// pinch zooms with two fingers and moves the line with one.
func pinch(w webPage) {
	w.t.Helper()
	s := w.box("#stage")
	x, y := s.X+s.Width/2, s.Y+s.Height/2
	w.must(w.Touch(w.ctx, [4]float64{x, y, x + s.Width/4, y}))
	var at float64
	if w.run(`Number(document.getElementById("divider").getAttribute("aria-valuenow"))`, &at); math.Abs(at-75) > 2 {
		w.t.Errorf("a finger moved the line to %v %%", at)
	}
	w.must(w.Touch(w.ctx, [4]float64{x - 20, y, x - 80, y}, [4]float64{x + 20, y, x + 80, y}))
	if level := w.text("#level"); level == "1×" {
		w.t.Error("two fingers do not zoom")
	}
}

// unlabelled finds controls that a screen reader has no name for.
func unlabelled(w webPage) {
	w.t.Helper()
	var bare []string
	w.run(`[...document.querySelectorAll("button, a, input, select, [role=slider], img, canvas")].filter((e) => e.checkVisibility() && !(
		e.getAttribute("aria-label") || e.innerText?.trim() || e.closest("label")?.innerText.trim() || e.hasAttribute("alt"))).map((e) => e.outerHTML)`, &bare)
	if len(bare) > 0 {
		text, _ := json.Marshal(bare)
		w.t.Errorf("without a label: %s", text)
	}
}

// A camera is added by its address: what it sends is shown, and then it hangs on the wall.
func TestPageAddsACamera(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: "  studio: {source: publish}"})
	w := open(ctx, t, startBrowser(t), p, "/", desktop)
	w.until("the wall is there", `document.querySelectorAll("#wall > li").length === 1`)
	look := func(url string) {
		w.run(fmt.Sprintf(`document.querySelector("#probe [name=url]").value = %q; document.querySelector("#probe .primary").click()`, url), nil)
	}
	w.run(`document.getElementById("add").click()`, nil)
	look("rtsp://127.0.0.1:1/none")
	w.until("a camera that is not there", `document.getElementById("probe-error").innerText.includes("127.0.0.1:1") && !document.querySelector("#probe .primary").disabled`)
	look(cam.URL)
	w.until("what it sends", fmt.Sprintf(`document.getElementById("found").innerText.replaceAll("\u202f", "").startsWith("H.264, %d×%d") &&
		document.getElementById("preview").naturalWidth > 0`, width, height))
	w.keep("add-camera")
	w.run(`document.querySelector("#save [name=name]").value = "gate"; document.querySelector("#save .primary").click()`, nil)
	w.until("it hangs on the wall", `!document.getElementById("dialog").open && document.querySelectorAll("#wall > li").length === 2`)
	w.until("and lives", `[...document.querySelectorAll("#wall > li")].some((li) => li.innerText.includes("gate") && li.innerText.includes("live") && li.querySelector("img.there"))`)
}

// Where the media cannot pass, the page says what was tried and which setting helps, and goes on saying so while it tries again.
func TestPageSaysWhatCannotConnect(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos]}", cam.URL)})
	p.until(ctx, "cam", "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	// As behind a firewall that keeps all but HTTP back: what the answer names leads nowhere.
	firewall := `const real = fetch; window.asked = 0; window.fetch = async (url, ...rest) => {
		const response = await real(url, ...rest);
		if (!String(url).endsWith("/whep")) return response;
		asked++;
		const body = (await response.text()).replace(/(a=candidate:\S+ \d+ \S+ \d+ \S+) \d+/g, "$1 9");
		const blocked = new Response(body, {status: response.status, headers: response.headers});
		Object.defineProperty(blocked, "url", {value: response.url});
		return blocked;
	};`
	w := open(ctx, t, startBrowser(t), p, "/cam", desktop, firewall)
	w.until("the page says what was tried, and the setting", `(() => { const m = document.getElementById("message");
		return !m.hidden && m.innerText.includes("WebRTC cannot connect") && m.innerText.includes("127.0.0.1:9 (UDP)") && m.innerText.includes("Setting: webrtc."); })()`)
	w.run(`window.gone = 0; new MutationObserver(() => gone++).observe(document.getElementById("message"), {attributeFilter: ["hidden"]}); 0`, nil)
	w.until("both sides try again", "asked >= 4")
	var gone int
	if w.run("gone", &gone); gone > 0 {
		t.Errorf("the message went or came %d times meanwhile", gone)
	}
	w.keep("stream-cannot-connect")
}
