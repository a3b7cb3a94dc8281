package e2e

import (
	"fmt"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
)

// TestRungs: a model that cannot hold the camera's rate is left out, the next entry of quality serves, and when the
// camera sends fewer pictures the better one returns by itself. A reader sees it all in one session. A strict stream
// has its model or nothing.
func TestRungs(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	path := makeClip(ctx, t, clip.Params{Width: 320, Height: 184, FPS: slowFPS, Frames: slowLoop})
	cam := startCamera(ctx, t, camera.Config{Clip: path})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(
		"  cam: {source: %q, transport: tcp, quality: [luma-slow-x2, luma-copy-x2, lanczos], %s}", cam.URL, quick)})
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	p.says(ctx, `WARN.*too slow.*enhancer=luma-slow-x2 ms_per_picture=\S+ ms_between_pictures=40`)
	p.until(ctx, "cam", "the next entry serves", func(s streamStatus) bool {
		return s.Enhancer == "luma-copy-x2" && s.Enhancers[0].Reason != "" && s.Enhancers[1].Reason == ""
	})
	wait(ctx, t, r, slowFPS)
	cam.Kill()
	startCamera(ctx, t, camera.Config{Clip: path, FPS: 1, Listen: address(cam.URL)})
	s := p.until(ctx, "cam", "the better entry returns", func(s streamStatus) bool { return s.Enhancer == "luma-slow-x2" })
	if s.Enhancers[0].Reason != "" || s.Enhancers[1].Share == 0 {
		t.Errorf("it serves, and the status is %+v", s)
	}
	wait(ctx, t, r, 3)
	ascending(t, r)
	p.until(ctx, "cam", "its share is told", func(streamStatus) bool {
		share := func(rung string) float64 {
			return p.metric("rave_enhancer_share", `stream="cam"`, fmt.Sprintf("enhancer=%q", rung))
		}
		sum := share("luma-slow-x2") + share("luma-copy-x2") + share("lanczos")
		return share("luma-slow-x2") > 0 && share("luma-copy-x2") > 0 && sum > 0.99 && sum < 1.01
	})
	if p.metric("rave_enhancer_changes_total", `stream="cam"`, `from="luma-copy-x2"`, `to="luma-slow-x2"`) != 1 {
		t.Error("the change is not counted once")
	}
}
