package worker_test

import (
	"slices"
	"strings"
	"testing"

	"rave/engine"
	"rave/engine/media"
	"rave/engine/worker"
)

// TestDeadlyModel: a model that kills the worker that opens it is not tried by the third one: the stream goes on with
// Lanczos, no packet is skipped, and the reason names the model and the fix.
func TestDeadlyModel(t *testing.T) {
	track, packets := footage(t, 20, 20, 1)
	r := inWorker(t, track, spec{}, func(c *worker.Config) {
		c.Session.Quality = []string{"deadly", engine.Lanczos}
		c.MemoryFix = "raise the limit"
	})
	for i := range 2 {
		for _, p := range packets[5*i:][:5] { // new ones for each: the first worker may have made all of its own before it died
			r.send(p)
		}
		if reason := receive(t, r.deaths); reason != "memory" {
			t.Errorf("a worker died of %s", reason)
		}
	}
	for _, p := range packets[10:] {
		r.send(p)
	}
	eventually(t, "the last picture is made", func() bool {
		made := r.ascending()
		return len(made) > 0 && made[len(made)-1].PTS == packets[len(packets)-1].PTS
	})
	r.stop()
	_, made, drops, _ := r.rec.Result()
	if i := slices.IndexFunc(made, func(p media.Packet) bool { return p.Enhancer != engine.Lanczos }); i >= 0 {
		t.Errorf("packet %d was made by %q", i, made[i].Enhancer)
	}
	for what := range drops {
		if strings.Contains(what, "poison") {
			t.Errorf("packets were blamed: %v", drops)
		}
	}
	if n := r.client.Restarts(); n != 2 {
		t.Errorf("%d workers died", n)
	}
}
