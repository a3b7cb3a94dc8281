package measure

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/leak"
	"rave/bench/peer"
	"rave/bench/reader"
)

// TestMain is the camera as well, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "camera" {
		os.Exit(camera.Main(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(leak.Main(m))
}

func TestMeasuresDirectAndPipeline(t *testing.T) {
	ffmpeg, mediamtx := peer.Need(t, peer.FFmpeg), peer.Need(t, peer.MediaMTX)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	folder := t.TempDir()
	params := clip.Params{Source: "../../ingest/testsrc/clips/security-384x288.mp4", Width: 192, Height: 144, FPS: 10, Frames: 50}
	path, err := clip.Make(ctx, ffmpeg, folder, params)
	if err != nil {
		t.Fatal(err)
	}
	cam, err := camera.Start(ctx, os.Args[0], []string{"camera"}, camera.Config{Clip: path, Transport: camera.TCP}, filepath.Join(folder, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer cam.Kill()
	scene := Scene{Clip: "small", Loop: 50, Camera: cam, FFmpeg: ffmpeg, Folder: folder}
	encode := Encode{Preset: "ultrafast", Bitrate: 500_000, GOP: time.Second}
	var rows []Row
	for _, system := range []System{Direct{}, Pipeline{FFmpeg: ffmpeg, MediaMTX: mediamtx, FPS: 10, Encode: encode}} {
		slice, err := Measure(ctx, scene, system, 500*time.Millisecond, 2*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if slice.Pictures < 5 || slice.Unreadable+slice.Disordered > 0 || slice.ReaderCPU < 0 {
			t.Errorf("%s: %+v", system.Name(), slice)
		}
		rows = append(rows, NewRow(scene.Clip, system.Name(), []Slice{slice}))
	}
	if direct, pipeline := rows[0], rows[1]; direct.CPU != 0 || pipeline.CPU == 0 || pipeline.PeakRSS < 1<<20 ||
		pipeline.Latency.P50 <= direct.Latency.P50 {
		t.Errorf("direct %+v\npipeline %+v", direct, pipeline)
	}
}

func slice(cpu time.Duration, pictures int, latencies ...time.Duration) Slice {
	return Slice{
		Report:  reader.Report{Pictures: pictures, Lost: 1, Latency: reader.NewSpread(append([]time.Duration(nil), latencies...))},
		samples: latencies, Seconds: 2, CPU: cpu, PeakRSS: int64(cpu), Busy: 0.5,
	}
}

func TestRowsRatiosAndOwnCost(t *testing.T) {
	const ms = time.Millisecond
	rows := []Row{
		NewRow("c", "direct", []Slice{slice(0, 10, 40*ms, 41*ms, 42*ms)}),
		NewRow("c", "lanczos", []Slice{slice(100*ms, 10, 60*ms), slice(300*ms, 10, 80*ms, 90*ms)}),
		NewRow("c", "ffmpeg", []Slice{slice(200*ms, 10, 120*ms), slice(300*ms, 10, 80*ms, 90*ms)}),
		NewRow("d", "ffmpeg", []Slice{slice(1*ms, 10, 1*ms)}),
	}
	Above(rows)
	SetOwnCost(rows, []StagesAlone{{"c", "lanczos", map[string]float64{"decode": 4, "enhance": 5, "encode": 9}}})
	got := rows[1]
	if got.Pictures != 20 || got.Lost != 2 || got.CPU != 400*ms || got.Seconds != 4 || got.FPS != 5 || got.PeakRSS != int64(300*ms) ||
		got.Latency.P50 != 80*ms || got.Added.P50 != 39*ms || got.Busy != 0.5 {
		t.Errorf("%+v", got)
	}
	if got.OwnCost == nil || math.Abs(*got.OwnCost-0.1) > 1e-9 || rows[2].OwnCost != nil {
		t.Errorf("own cost %v", got.OwnCost)
	}
	want := []Ratio{
		{"c", "cpu per picture", "lanczos", "ffmpeg", 0.75, 0.5, 1},
		{"c", "latency p50", "lanczos", "ffmpeg", 0.75, 0.5, 1},
	}
	ratios := Ratios(rows)
	if len(ratios) != 2 || ratios[0] != want[0] || ratios[1] != want[1] {
		t.Errorf("ratios %+v; want %+v", ratios, want)
	}
	rows[1].Status = &Status{}
	var table, text bytes.Buffer
	result := Result{Machine: "2 × abacus", Rows: rows, Ratios: ratios}
	if err := result.Table(&table); err != nil || !strings.Contains(table.String(), "0.75 (0.50 to 1.00)") ||
		!strings.Contains(table.String(), "10.0%") {
		t.Errorf("%v\n%s", err, table.String())
	}
	var back Result
	if err := result.JSON(&text); err != nil || json.Unmarshal(text.Bytes(), &back) != nil || back.Rows[1].Added != got.Added {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestAgainstTheSameSystem(t *testing.T) {
	const ms = time.Millisecond
	got := Against([]Row{
		NewRow("c", "lanczos", []Slice{slice(103*ms, 10, 11*ms)}), NewRow("c", "lanczos:off", []Slice{slice(100*ms, 10, 10*ms)}),
		NewRow("d", "lanczos:off", []Slice{slice(1*ms, 10, 1*ms)}), NewRow("c", "copy", []Slice{slice(1*ms, 10, 1*ms)}),
	}, ":off")
	if len(got) != 2 || got[0] != (Ratio{"c", "cpu per picture", "lanczos", "lanczos:off", 1.03, 1.03, 1.03}) || got[1].Median != 1.1 {
		t.Errorf("%+v", got)
	}
}

func TestMachineTicks(t *testing.T) {
	idle, total := machineTicks("cpu  100 1 50 800 40 2 3 4 30 0\ncpu0 1 1 1 1\n")
	if idle != 840 || total != 1000 {
		t.Errorf("idle %d of %d; want 840 of 1000", idle, total)
	}
}

func TestConfigNamesWhatIsMeasured(t *testing.T) {
	r := RAVE{Label: "copy", Quality: []string{"copy", "lanczos"}, Models: map[string]string{"copy": "/m/a b.onnx"},
		Encode: Encode{"superfast", 2_000_000, 2 * time.Second}}
	got := r.config("rtsp://127.0.0.1:1/stream", "127.0.0.1:2", "127.0.0.1:3")
	for _, want := range []string{
		`rtsp: {listen: "127.0.0.1:2", udp: false}`, `http: {listen: "127.0.0.1:3"}`, `  copy: "/m/a b.onnx"`,
		`quality: [copy, lanczos]`, `encode: {preset: superfast, bitrate: 2000000, gop: 2s}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
