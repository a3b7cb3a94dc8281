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
