package e2e

import (
	"fmt"
	"testing"

	"rave/bench/browser"
)

// sendCamera sends the browser's own (fake) camera, H.264 and Opus, as any page may (RFC 9725).
const sendCamera = `(async () => {
  const camera = await navigator.mediaDevices.getUserMedia({video: {width: 320, height: 240, frameRate: 15}, audio: true});
  const pc = window.pc = new RTCPeerConnection();
  for (const track of camera.getTracks()) pc.addTransceiver(track, {direction: "sendonly", streams: [camera]});
  const h264 = RTCRtpSender.getCapabilities("video").codecs.filter((c) => /h264|rtx/i.test(c.mimeType));
  pc.getTransceivers().find((t) => t.sender.track.kind === "video").setCodecPreferences(h264);
  await pc.setLocalDescription();
  const response = await fetch("/studio/whip", {method: "POST", headers: {"Content-Type": "application/sdp"}, body: pc.localDescription.sdp});
  const text = await response.text();
  if (response.status !== 201) throw new Error(response.status + " " + text);
  window.resource = new URL(response.headers.get("Location"), response.url);
  await pc.setRemoteDescription({type: "answer", sdp: text});
})()`

// A browser publishes its camera, another window plays both sides of it; the publisher goes and comes again.
func TestBrowserPublishesAndPlays(t *testing.T) {
	ctx := deadline(t)
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  studio: {source: publish, quality: [lanczos], %s}", quick)})
	b := startBrowser(t, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
	watcher := open(ctx, t, b, p, "/studio", desktop)
	watcher.until("nobody publishes yet", `document.getElementById("message").innerText.includes("Waiting for a publisher")`)
	publisher := open(ctx, t, b, p, "/", browser.Look{Width: 400, Height: 300})
	for range 2 {
		publisher.run(sendCamera, nil)
		watcher.until("the published picture is played", `document.getElementById("message").hidden`)
		watcher.run(`window.pairs = 0; document.getElementById("picture").addEventListener("rave-picture", ({detail}) => { if (detail.matched) pairs++; }); 0`, nil)
		watcher.until("pictures come in pairs", "pairs >= 30")
		var s struct{ Enhanced, Original, Frames int }
		watcher.run(`({enhanced: document.getElementById("enhanced").videoWidth, original: document.getElementById("original").videoWidth,
			frames: document.getElementById("enhanced").getVideoPlaybackQuality().totalVideoFrames})`, &s)
		if s.Enhanced != 2*s.Original || s.Original == 0 || s.Frames < 30 {
			t.Errorf("decoded: %+v", s)
		}
		watcher.keep("stream-published")
		publisher.run(`fetch(resource, {method: "DELETE"}).then(() => { pc.close(); pc.getSenders().forEach((s) => s.track?.stop()); })`, nil)
		watcher.until("the publisher has gone", `document.getElementById("message").innerText.includes("Waiting for a publisher")`)
	}
}
