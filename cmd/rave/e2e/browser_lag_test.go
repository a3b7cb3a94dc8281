package e2e

import (
	"fmt"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
)

// lagging lets a test delay what a side of the page plays. behind tells by how many RTP ticks one side's last picture is
// behind the other's.
const lagging = `(() => {
  const receivers = new Map(), last = {};
  const Peer = RTCPeerConnection;
  window.RTCPeerConnection = class extends Peer {
    constructor(...a) { super(...a); this.addEventListener("track", (e) => receivers.set(e.track, e.receiver)); }
  };
  const video = HTMLVideoElement.prototype, real = video.requestVideoFrameCallback;
  video.requestVideoFrameCallback = function (callback) {
    return real.call(this, (now, metadata) => { last[this.id] = metadata.rtpTimestamp; callback(now, metadata); });
  };
  window.delay = (id, ms) => { receivers.get(document.getElementById(id).srcObject.getVideoTracks()[0]).jitterBufferTarget = ms; };
  window.behind = (id, other) => (last[other] - last[id]) | 0;
})()`

// Whichever side comes later, by several frames as over a slow network or with a large model, the page waits for it and shows
// the same frame on both sides.
func TestPageWaitsForTheLaterSide(t *testing.T) {
	ctx := deadline(t)
	const rate, frames, target = 15, 3, 350
	film := makeClip(ctx, t, clip.Params{FPS: rate, Frames: 20 * rate})
	cam := startCamera(ctx, t, camera.Config{Clip: film})
	p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos], %s}", cam.URL, quick)})
	p.until(ctx, "cam", "it is enhanced", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	w := open(ctx, t, startBrowser(t), p, "/cam", desktop, lagging)
	w.until("a pair of pictures comes", `document.querySelector("#tiles").innerText.includes("of") && document.getElementById("message").hidden`)
	w.run(judge, nil)
	for _, side := range [][2]string{{"enhanced", "original"}, {"original", "enhanced"}} {
		late, early := side[0], side[1]
		w.run(fmt.Sprintf("delay(%q, %d); delay(%q, 0)", late, target, early), nil)
		w.until("the "+late+" picture comes late", fmt.Sprintf("behind(%q, %q) >= %d", late, early, frames*90000/rate))
		w.run("Object.assign(seen, {shown: 0, same: 0, other: 0, unclear: 0, paired: 0, numbers: []}); 0", nil)
		w.until("pictures are shown", fmt.Sprintf("seen.shown >= %d", 4*rate))
		j := w.judged()
		var ticks float64
		w.run(fmt.Sprintf("behind(%q, %q)", late, early), &ticks)
		t.Logf("%s later by %.1f frames: the two sides are the same frame in %d of %d pictures, not in %d, unclear %d; matched by RTP time %d",
			late, ticks*rate/90000, j.Same, j.Shown, j.Other, j.Unclear, j.Paired)
		if share := float64(j.Same) / float64(j.Shown); share < 0.95 {
			t.Errorf("%s later: the two sides are the same frame in %.1f %% of the pictures shown; 95 %% are wanted", late, 100*share)
		}
		if j.Other > j.Shown-j.Paired {
			t.Errorf("%s later: %d pictures are of two frames, though the page took only %d for such", late, j.Other, j.Shown-j.Paired)
		}
	}
}
