package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		"  cam: {source: %[1]q, transport: tcp, quality: [luma-slow-x2, luma-copy-x2, lanczos], %[2]s}\n"+
			"  strict: {source: %[1]q, transport: tcp, quality: [luma-slow-x2, lanczos], strict: true, %[2]s}", cam.URL, quick)})
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	p.serves(ctx, "strict")
	ofStrict := watch(t, p.url("strict"), "tcp")
	wait(ctx, t, ofStrict, 3) // however slow, it serves
	p.says(ctx, `WARN.*too slow.*enhancer=luma-slow-x2 ms_per_picture=\S+ ms_between_pictures=40`)
	p.until(ctx, "cam", "the next entry serves", func(s streamStatus) bool {
		return s.Enhancer == "luma-copy-x2" && s.Enhancers[0].Reason != "" && s.Enhancers[0].Code == "slow" && s.Enhancers[1].Reason+s.Enhancers[1].Code == ""
	})
	wait(ctx, t, r, slowFPS)
	cam.Kill()
	startCamera(ctx, t, camera.Config{Clip: path, FPS: 1, Listen: address(cam.URL)})
	s := p.until(ctx, "cam", "the better entry returns", func(s streamStatus) bool { return s.Enhancer == "luma-slow-x2" })
	if s.Enhancers[0].Reason+s.Enhancers[0].Code != "" || s.Enhancers[1].Share == 0 {
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
	wait(ctx, t, ofStrict, 3)
	ascending(t, ofStrict)
	onlyTheFirst(ctx, t, p)
}

// onlyTheFirst checks that the strict stream has had its first entry all the time, and says so.
func onlyTheFirst(ctx context.Context, t *testing.T, p *program) {
	t.Helper()
	share := func(labels ...string) float64 {
		return p.metric("rave_enhancer_share", append(labels, `stream="strict"`)...)
	}
	eventually(ctx, t, "the share of the strict stream is told", func() error {
		if share() == 0 {
			return errors.New("it is not there")
		}
		return nil
	})
	s, err := p.stream("strict")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(s.Plan, "luma-slow-x2 and nothing else (strict)") || s.Enhancer != "luma-slow-x2" {
		t.Errorf("the status of the strict stream is %+v", s)
	}
	if first, other := share(`enhancer="luma-slow-x2"`), share(`enhancer="lanczos"`); other > 0 || first < 0.99 || first > 1.01 {
		t.Errorf("the shares of the strict stream are %v of its first entry and %v of the other", first, other)
	}
	changes := func(labels ...string) float64 {
		return p.metric("rave_enhancer_changes_total", append(labels, `stream="strict"`)...)
	}
	if begun, n := changes(`from=""`, `to="luma-slow-x2"`), changes(); n != begun {
		t.Errorf("%v changes of the strict stream are counted, %v of them its begin", n, begun)
	}
}
