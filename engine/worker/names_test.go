package worker

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rave/engine"
	"rave/engine/media"
	"rave/engine/stats"
)

// TestHijackedWorkerNames: a worker that makes names up gets one series for all of them, whatever it puts them into; those
// that the session knows are told as they are.
func TestHijackedWorkerNames(t *testing.T) {
	reg := prometheus.NewRegistry()
	client, err := New(Config{Session: engine.Config{
		Quality: []string{"hq"}, Observer: stats.New(reg).Stream("cam"), Log: slog.New(slog.DiscardHandler),
	}}, &sink{})
	if err != nil {
		t.Fatal(err)
	}
	l := testLife(client)
	say := func(k kind, message []byte) {
		t.Helper()
		if err := l.receive(k, message); err != nil {
			t.Fatal(err)
		}
	}
	say(kindHello, appendInt(nil, protocolVersion))
	say(kindTracks, encodeTracks([]media.Track{{Kind: media.Video, Codec: media.H264}}))
	tell := func(name, reason, why string, at time.Duration) {
		b := batch{
			drops:   []drop{{engine.StageEnhance, reason, 1}},
			rungs:   []rung{{name: name}, {name: name, err: "no"}},
			changes: []change{{"", name, why}, {name, engine.Lanczos, why}, {engine.Lanczos, name, why}},
		}
		say(kindEvents, b.encode(time.Now()))
		p := media.Packet{Keyframe: true, PTS: at, Enhancer: name, Data: []byte{1}}
		say(kindPacket, append(appendPacket(nil, p, time.Now()), p.Data...))
	}
	tell("hq", engine.DropLate, engine.ChangeSlow, 0)
	tell("made up", "made up", "made up", time.Second)
	before := series(t, reg)
	for i := range 100 {
		name := fmt.Sprint("x", i)
		tell(name, name, name, time.Duration(i+2)*time.Second)
	}
	after := series(t, reg)
	if len(after) != len(before) {
		t.Errorf("%d series, %d before", len(after), len(before))
	}
	for _, want := range []string{
		`rave_frames_dropped_total map[reason:late stage:enhance stream:cam]`,
		`rave_frames_dropped_total map[reason:other stage:enhance stream:cam]`,
		`rave_frames_enhanced_total map[enhancer:hq stream:cam]`,
		`rave_frames_enhanced_total map[enhancer:other stream:cam]`,
		`rave_enhancer_loads_total map[enhancer:hq result:ok stream:cam]`,
		`rave_enhancer_loads_total map[enhancer:other result:error stream:cam]`,
		`rave_enhancer_changes_total map[from: reason:slow stream:cam to:hq]`,
		`rave_enhancer_changes_total map[from:hq reason:slow stream:cam to:lanczos]`,
		`rave_enhancer_changes_total map[from:other reason:other stream:cam to:lanczos]`,
	} {
		if !after[want] {
			t.Errorf("no series %s", want)
		}
	}
}

// series names what a registry holds.
func series(t *testing.T, reg *prometheus.Registry) map[string]bool {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			all[fmt.Sprint(f.GetName(), " ", labels)] = true
		}
	}
	return all
}
