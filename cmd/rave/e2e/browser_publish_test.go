package e2e

import "testing"

// A browser that may not use its camera is told what to do.
func TestBrowserWithoutACamera(t *testing.T) {
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: "  studio: {source: publish, quality: [lanczos]}"})
	b := startBrowser(t, "--use-fake-ui-for-media-stream") // allowed, but there is none
	page := open(ctx, t, b, p, "/studio/publish", desktop)
	page.until("there is no camera", `document.querySelector(".says-title").textContent === "There is no camera"`)
	page.keep("publish-no-camera")
}
