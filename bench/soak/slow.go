package soak

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"rave/bench/camera"
	"rave/bench/chart"
	"rave/bench/reader"
)

// tooSlow is by how much the model is, for the camera's frame rate.
const tooSlow = 4

// slowWindow is the time between two samples: short, since others on the machine change the model's time.
const slowWindow = time.Second

// SlowResult is what came of a stream whose model is too slow.
type SlowResult struct {
	Started  time.Time
	Length   time.Duration
	FPS      float64 // of the camera
	Service  time.Duration
	Seen     reader.Spread // ages as FFmpeg shows pictures: each when the next one begins
	Arrived  reader.Spread // ages at which they arrived
	Pictures int64
	Sent     int64
	Thrown   int
	Samples  []Sample
	arrived  []aged
}

// Slow runs one camera with a model of the user's that takes at least four times as long as there is time for a
// picture; strict forbids every other. The camera's frame rate is set after a look at how long the model takes on this
// machine at its quickest.
func Slow(ctx context.Context, cfg Config) (SlowResult, error) {
	fps := 10.0
	look, err := slowRun(ctx, cfg, fps, 20*time.Second)
	if err != nil {
		return look, fmt.Errorf("slow model: %w", err)
	}
	quickest := look.services()
	if len(quickest) == 0 {
		return look, fmt.Errorf("slow model: it made no picture in %v", look.Length)
	}
	fps = math.Round(100*tooSlow/slices.Min(quickest).Seconds()) / 100
	cfg.Log.Info("the model's time", "service", slices.Min(quickest), "camera_fps", fps)
	result, err := slowRun(ctx, cfg, fps, cfg.Length)
	if err != nil {
		return result, fmt.Errorf("slow model: %w", err)
	}
	return result, nil
}

func slowRun(ctx context.Context, cfg Config, fps float64, length time.Duration) (result SlowResult, err error) {
	folder, err := os.MkdirTemp("", "rave-slow-")
	if err != nil {
		return result, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	params := numbered("cockatoo-640x360.mp4", 320, 184, 25)
	path, err := cfg.makeClip(ctx, params)
	if err != nil {
		return result, err
	}
	log := filepath.Join(folder, "cam.csv")
	cam, err := cfg.startCamera(ctx, camera.Config{Clip: path, FPS: fps, Transport: camera.TCP}, log)
	if err != nil {
		return result, err
	}
	defer cam.Kill()
	model := filepath.Join(cfg.Root, "engine", "model", "testdata", "luma-slow-x2.onnx")
	p, err := startProgram(ctx, cfg.Binary, folder, fmt.Sprintf(
		"cpu: {threads: 1}\nmodels: {slow: %q}\nstreams:\n  cam: {source: %q, transport: tcp, quality: [slow], strict: true}\n", model, cam.URL))
	if err != nil {
		return result, err
	}
	defer p.Kill()
	w := newWatcher("cam", reader.Config{FFmpeg: cfg.FFmpeg, URL: p.url("cam")}, int64(params.Frames), cfg.Log)
	defer w.stop()
	opening, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := w.connect(opening); err != nil {
		return result, err
	}
	if err := w.cameraStarted(log); err != nil {
		return result, err
	}
	sleep(ctx, 5*time.Second) // the first pictures waited for the model
	if _, err := w.next(); err != nil {
		return result, err
	}
	result, err = slowMeasure(ctx, cfg, p, w, length)
	result.FPS = fps
	return result, err
}

func slowMeasure(ctx context.Context, cfg Config, p *program, w *watcher, length time.Duration) (result SlowResult, err error) {
	clock := &stallClock{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go clock.run(ctx)
	result.Started = time.Now()
	s := &sampler{start: result.Started, program: p, watchers: []*watcher{w}, clock: clock}
	if _, err := s.sample(ctx); err != nil {
		return result, err
	}
	from := len(w.ages)
	for time.Since(s.start) < length && sleep(ctx, min(slowWindow, length-time.Since(s.start))) {
		sample, err := s.sample(ctx)
		if err != nil {
			return result, stopped(ctx, err)
		}
		result.Samples = append(result.Samples, sample)
		cfg.Log.Info("sample", "at", sample.At.Round(time.Second), "age", sample.Windows["cam"].Age,
			"service", seconds(sample.Work).Round(time.Millisecond), "others", fmt.Sprintf("%.2f", sample.Others))
	}
	result.Length, result.Thrown = time.Since(s.start), w.thrown
	for _, sample := range result.Samples {
		result.Pictures += sample.Windows["cam"].Pictures
		result.Sent += sample.Windows["cam"].Pictures + sample.Windows["cam"].Lost
	}
	result.Service = reader.NewSpread(result.services()).P50
	result.arrived = arrivals(w.ages[from:])
	result.Seen, result.Arrived = spread(w.ages[from:]), spread(result.arrived)
	return result, nil
}

// arrivals are the ages at which pictures arrived. FFmpeg's parser holds a picture until the next one begins, so the
// picture before was shown when this one arrived, and after its decoding.
func arrivals(list []aged) []aged {
	var arrived []aged
	for i := 1; i < len(list); i++ {
		at := list[i-1].at
		arrived = append(arrived, aged{at, at.Sub(list[i].at.Add(-list[i].age))})
	}
	return arrived
}

func (r SlowResult) frame() time.Duration { return time.Duration(float64(time.Second) / r.FPS) }

// relative is the median age of a window by the model's time in it, so that a machine that others slow down does not
// look like a queue that grows.
func relative() column {
	return column{"age_by_service", func(s Sample) (float64, bool) {
		age := s.Windows["cam"].Age.P50
		return age.Seconds() / max(s.Work, 1e-9), age > 0 && s.Work > 0
	}, mean}
}

// services are the model's mean times in the windows.
func (r SlowResult) services() (list []time.Duration) {
	for _, s := range r.Samples {
		if s.Work > 0 {
			list = append(list, seconds(s.Work))
		}
	}
	return list
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// limit is the most that a picture's age may be with this time of the model.
func (r SlowResult) limit(service time.Duration) time.Duration { return 3*service + r.frame() }

// older is the share of pictures that were older than the limit by the model's time at their moment: the longer of
// their own window and the one before, in which they may have begun to wait.
func (r SlowResult) older() float64 {
	n, all, from := 0, 0, r.Started
	for i, s := range r.Samples {
		to := r.Started.Add(s.At)
		limit := r.limit(seconds(max(s.Work, r.Samples[max(0, i-1)].Work)))
		for _, a := range r.arrived {
			if a.at.After(from) && !a.at.After(to) {
				all++
				if a.age > limit {
					n++
				}
			}
		}
		from = to
	}
	return float64(n) / float64(max(1, all))
}

// Bounds judges the run.
func (r SlowResult) Bounds() []Bound {
	over, perHour := growth(relative().points(r.Samples))
	young := ""
	if r.Length < longEnough {
		young = fmt.Sprintf("not judged in less than %v", longEnough)
	}
	return []Bound{
		{
			What: "age of the picture on arrival, p99, by the model's median time", Limit: fmt.Sprintf("3 × %v + 1 frame = %v", round(r.Service), round(r.limit(r.Service))),
			Found: round(r.Arrived.P99).String(), Held: len(r.arrived) > 0 && r.Arrived.P99 <= r.limit(r.Service),
		},
		{
			What: "pictures older than 3 times the model's time at their moment + 1 frame", Limit: "1 %",
			Found: fmt.Sprintf("%.2f %%", 100*r.older()), Held: len(r.arrived) > 0 && r.older() <= 0.01,
		},
		{
			What: "rise of the median age, in service times", Limit: "0.1 over the run",
			Found: fmt.Sprintf("%+.3f (%+.3f per hour)", over, perHour), Held: over <= 0.1, Moot: young,
		},
		{What: "the reader thrown out", Limit: "0", Found: fmt.Sprint(r.Thrown), Held: r.Thrown == 0},
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// Report writes the run as Markdown.
func (r SlowResult) Report(w io.Writer, a About) error {
	d := &document{}
	d.line("# A model four times too slow\n")
	d.about(a, r.Started, r.Length)
	d.line("\nThe camera sends %.2f pictures a second (one in %v) and the model takes %v for each, on one thread: the median of the means "+
		"of 1 s. It is the only one that the stream may use (`strict: true`). Of %d pictures sent %d were shown, %.1f a second.",
		r.FPS, round(r.frame()), round(r.Service), r.Sent, r.Pictures, float64(r.Pictures)/r.Length.Seconds())
	d.line("\n![Age of the picture](%s)", a.Figure)
	d.verdict(r.Bounds())
	_, perHour := growth(column{"", always(func(s Sample) float64 { return milliseconds(s.Windows["cam"].Age.P50) }), mean}.points(r.Samples))
	d.header("", "p50", "p95", "p99", "max")
	row := func(name string, s reader.Spread) {
		d.row(name, round(s.P50), round(s.P95), round(s.P99), round(s.Max))
	}
	row("age on arrival", r.Arrived)
	row("age as FFmpeg shows it, when the next one begins", r.Seen)
	row("the model's time, means of the windows", reader.NewSpread(r.services()))
	var others []float64
	for _, s := range r.Samples {
		others = append(others, s.Others+s.Steal)
	}
	d.line("\nSlope of the median as shown: %+.1f ms per hour. Others on the machine took %.2f cores.", perHour, mean(others))
	_, err := io.WriteString(w, d.String())
	return err
}

// Figure draws the run.
func (r SlowResult) Figure(w io.Writer) error {
	arrived := func(name string, color int, of func(reader.Spread) time.Duration) chart.Line {
		return line(r.Samples, ofWindow("cam", name, func(w Window) float64 { return milliseconds(of(w.Arrived)) }, mean), name, color, false)
	}
	ages := chart.Panel{Unit: "age on arrival, ms", Limit: milliseconds(3*r.Service + r.frame()), Lines: []chart.Line{
		arrived("p50", 0, func(s reader.Spread) time.Duration { return s.P50 }),
		arrived("p99", 1, func(s reader.Spread) time.Duration { return s.P99 }),
		arrived("max", 3, func(s reader.Spread) time.Duration { return s.Max }),
	}}
	service := chart.Panel{Unit: "the model's time, ms", Lines: []chart.Line{
		line(r.Samples, column{"", always(func(s Sample) float64 { return s.Work * 1000 }), mean}, "mean of the window", 2, false),
	}}
	return chart.Figure{
		Title: "One camera, a model four times too slow", Time: "minutes since the start", End: r.Length.Minutes(),
		Panels: []chart.Panel{ages, service, processors(r.Samples)},
	}.SVG(w)
}

// Data writes the run's points.
func (r SlowResult) Data(w io.Writer) error {
	return writeCSV(w, r.Samples, slices.Concat([]column{
		{"service_ms", always(func(s Sample) float64 { return s.Work * 1000 }), mean}, relative(),
		ofWindow("cam", "arrived_p50_ms", func(w Window) float64 { return milliseconds(w.Arrived.P50) }, mean),
		ofWindow("cam", "arrived_p99_ms", func(w Window) float64 { return milliseconds(w.Arrived.P99) }, largest),
	}, columns([]string{"cam"})))
}

// Data writes the run's points.
func (r Result) Data(w io.Writer) error { return writeCSV(w, r.Samples, columns(r.names())) }
