package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/reader"
)

// While the camera is away its readers keep their sessions, over TCP and UDP. Those of the enhanced stream are shown the last
// picture for as long as hold_last_frame says, then nothing, then the camera's next one, and time never goes back. What is
// shown again counts as no picture.
func TestCameraIsAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		setting    string
		hold, gone time.Duration
	}{
		{"for a while", "hold_last_frame: 3s, ", 3 * time.Second, 6 * time.Second},
		{"for a minute", "", 10 * time.Second, 62 * time.Second}, // more than gortsplib would wait for a reader over UDP
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), limit+c.gone)
			defer cancel()
			path := makeClip(ctx, t, clip.Params{})
			cam := startCamera(ctx, t, camera.Config{Clip: path})
			p := serve(ctx, t, settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos], %s%s}", cam.URL, c.setting, quick)})
			p.serves(ctx, "cam")
			readers := map[string]*reader.Reader{
				"cam over TCP": watch(t, p.url("cam"), "tcp"), "cam over UDP": watch(t, p.url("cam"), "udp"),
				"original over TCP": watch(t, p.url("cam/original"), "tcp"), "original over UDP": watch(t, p.url("cam/original"), "udp"),
			}
			for _, r := range readers {
				wait(ctx, t, r, fps)
			}
			cam.Kill()
			left := time.Now()
			select {
			case <-ctx.Done():
				t.Fatal(ctx.Err())
			case <-time.After(c.gone):
			}
			for name, r := range readers {
				held := shownAgain(r.Seen())
				checkHeld(t, name, name[:3] == "cam", held, left, c.hold)
			}
			if made, decoded := p.metric("rave_frames_enhanced_total"), p.metric("rave_frames_decoded_total"); made > decoded || made < fps {
				t.Errorf("%v pictures are said to be made of %v", made, decoded)
			}
			startCamera(ctx, t, camera.Config{Clip: path, Listen: address(cam.URL)})
			for name, r := range readers {
				if err := r.WaitFor(ctx, 2*fps); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				ascending(t, r)
				if all := count(r.Seen(), loop); all.unreadable > 0 {
					t.Errorf("%s: %v", name, all)
				}
				if n := len(shownAgain(r.Seen())); n > 2*int(c.hold/time.Second) {
					t.Errorf("%s: %d pictures twice", name, n)
				}
			}
		})
	}
}

// shownAgain returns the pictures that show what the one before them shows.
func shownAgain(seen []reader.Seen) []reader.Seen {
	var again []reader.Seen
	for i := 1; i < len(seen); i++ {
		if seen[i].Err == nil && seen[i-1].Err == nil && seen[i].N == seen[i-1].N {
			again = append(again, seen[i])
		}
	}
	return again
}

// checkHeld checks that the last picture was shown again, about twice a second, for as long as it is to be, and not of the
// original: that is what the camera sends.
func checkHeld(t *testing.T, name string, enhanced bool, held []reader.Seen, left time.Time, hold time.Duration) {
	t.Helper()
	if !enhanced {
		if len(held) > 0 {
			t.Errorf("%s: %d pictures twice", name, len(held))
		}
		return
	}
	most := 2 * int(hold/time.Second)
	if len(held) < most/2-1 || len(held) > most {
		t.Errorf("%s: the last picture is shown %d times again in %v", name, len(held), hold)
		return
	}
	first, last := held[0].At.Sub(left), held[len(held)-1].At.Sub(left)
	if first > 3*time.Second || last < hold/2 || last > hold+time.Second { // FFmpeg shows a picture when the next has come
		t.Errorf("%s: the last picture is shown again from %v to %v after the camera has gone; it is to be held for %v", name, first, last, hold)
	}
	t.Logf("%s: the last picture is shown %d times again, from %v to %v after the camera has gone", name, len(held), first, last)
}
