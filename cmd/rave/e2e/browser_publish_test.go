package e2e

import (
	"fmt"
	"testing"
)

// The page that publishes sends the browser's (fake) camera, and another window plays both sides of it. The publisher stops, and
// the window says so; it comes again, and is seen again.
func TestPublishPage(t *testing.T) {
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  studio: {source: publish, quality: [lanczos], %s}", quick)})
	b := startBrowser(t, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
	publisher := open(ctx, t, b, p, "/studio/publish", phone)
	publisher.until("there is a camera", `document.getElementById("preview").videoWidth > 0 && !document.getElementById("toggle").disabled`)
	publisher.until("it can be chosen", `document.getElementById("camera").options.length > 0 && document.getElementById("microphone").options.length > 1`)
	publisher.run(`const height = document.getElementById("height"); height.value = "360"; height.dispatchEvent(new Event("change", {bubbles: true})); 0`, nil)
	var watcher webPage
	for turn := range 2 {
		publisher.until("the picture is small", `document.getElementById("preview").videoHeight === 360`)
		publisher.run(`document.getElementById("toggle").click(); 0`, nil)
		publisher.until("it is live", `document.getElementById("state").textContent === "live" && document.getElementById("message").hidden`)
		publisher.until("it says what it sends", `document.getElementById("numbers").textContent.includes("pictures a second")`)
		if turn == 0 {
			watcher = open(ctx, t, b, p, "/studio", desktop)
		}
		watcher.until("the published picture is played", `document.getElementById("message").hidden &&
			document.getElementById("enhanced").videoWidth > 0 && document.getElementById("enhanced").videoWidth === 2 * document.getElementById("original").videoWidth`)
		publisher.keep("publish")
		publisher.run(`document.getElementById("toggle").click(); 0`, nil)
		watcher.until("the publisher has gone", `document.getElementById("message").innerText.includes("Waiting for a publisher")`)
	}
}

// A browser that may not use its camera is told what to do.
func TestPublishPageWithoutACamera(t *testing.T) {
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: "  studio: {source: publish, quality: [lanczos]}"})
	b := startBrowser(t, "--use-fake-ui-for-media-stream") // allowed, but there is none
	page := open(ctx, t, b, p, "/studio/publish", desktop)
	page.until("there is no camera", `document.querySelector(".says-title").textContent === "There is no camera"`)
	page.keep("publish-no-camera")
}

// slowCameras makes cameras open only when the test lets them, and keeps what was opened and connected; fired counts the first
// attempts after a lost connection.
const slowCameras = `{
  const media = navigator.mediaDevices, get = media.getUserMedia.bind(media), later = setTimeout, Peer = RTCPeerConnection;
  Object.assign(window, {opened: [], hold: false, fired: 0, peer: null});
  media.getUserMedia = async (constraints) => {
    const entry = {stream: await get(constraints), go() {}};
    const held = hold ? new Promise((go) => { entry.go = go; }) : null;
    opened.push(entry);
    await held;
    return entry.stream;
  };
  window.setTimeout = (then, ms, ...rest) => later(() => { then(...rest); if (ms >= 400 && ms <= 600) fired++; }, ms);
  window.RTCPeerConnection = class extends Peer { constructor(...a) { super(...a); peer = this; } };
  window.change = (id, value) => { const select = document.getElementById(id); select.value = value; select.dispatchEvent(new Event("change", {bubbles: true})); };
  window.alive = () => opened.flatMap((o) => o.stream.getTracks()).filter((t) => t.readyState === "live").map((t) => t.kind).join();
}`

// Whoever chooses another camera or microphone while one is being opened gets the last choice, and nothing else stays on; a
// connection that is lost meanwhile is made again.
func TestPublishPageWhileACameraOpens(t *testing.T) {
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  studio: {source: publish, quality: [lanczos], %s}", quick)})
	b := startBrowser(t, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
	w := open(ctx, t, b, p, "/studio/publish", phone, slowCameras)
	w.until("there is a camera", `document.getElementById("preview").videoWidth > 0 && document.getElementById("microphone").options.length > 1`)
	w.run(`hold = true; change("height", "360"); change("microphone", "none"); 0`, nil)
	w.until("two are being opened", `opened.length === 3`)
	w.run(`opened[2].go()`, nil)
	w.until("the last choice is seen", `document.getElementById("preview").srcObject === opened[2].stream`)
	w.run(`opened[1].go()`, nil)
	w.until("the first one is let go", `opened[1].stream.getTracks().every((t) => t.readyState === "ended")`)
	var now struct {
		Alive, Microphone string
		Seen              bool
	}
	const look = `({alive: alive(), microphone: document.getElementById("microphone").value, seen: document.getElementById("preview").srcObject === opened[2].stream})`
	if w.run(look, &now); now.Alive != "video" || now.Microphone != "none" || !now.Seen {
		t.Errorf("after sound was switched off while a camera opened: %+v", now)
	}

	const live = `document.getElementById("state").textContent === "live" && document.getElementById("message").hidden`
	w.run(`document.getElementById("toggle").click(); 0`, nil)
	w.until("it is live", live)
	w.run(`change("height", "720"); document.getElementById("microphone").options[0].old = true; 0`, nil)
	w.until("another one is being opened", `opened.length === 4`)
	w.run(`navigator.mediaDevices.dispatchEvent(new Event("devicechange"))`, nil)
	w.until("the devices are listed again", `!document.getElementById("microphone").options[0].old`)
	if got := w.text("#state"); got != "live" {
		t.Errorf("the page is %s while a camera opens", got)
	}
	var microphone string
	if w.run(`document.getElementById("microphone").value`, &microphone); microphone != "none" {
		t.Errorf("the microphone %q is chosen by itself", microphone)
	}
	w.run(`fired = 0; Object.defineProperty(peer, "connectionState", {value: "failed"}); peer.dispatchEvent(new Event("connectionstatechange"))`, nil)
	w.until("an attempt is due while there is no camera", `fired > 0`)
	w.run(`opened[3].go(); hold = false; 0`, nil)
	w.until("it is live again", live)
	w.until("and sends", `document.getElementById("numbers").textContent.includes("pictures a second")`)
	if w.run(look, &now); now.Alive != "video" || now.Microphone != "none" {
		t.Errorf("after the connection was lost: %+v", now)
	}
	w.keep("publish-again")
}
