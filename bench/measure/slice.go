package measure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"rave/bench/camera"
	"rave/bench/process"
	"rave/bench/reader"
)

// Scene is what a row's systems have in common.
type Scene struct {
	Clip   string // its name in reports
	Loop   int64  // frames in one loop
	Camera *camera.Process
	FFmpeg string // path; for the reader
	Folder string // for files of systems
}

// Slice is what one system did in one slice of time.
type Slice struct {
	reader.Report
	samples   reader.Samples
	from, to  time.Time
	Seconds   float64       `json:"seconds"`
	CPU       time.Duration `json:"cpu_ns"`         // of the system, without servers beside it
	ServerCPU time.Duration `json:"server_cpu_ns"`  // of servers beside it
	ReaderCPU time.Duration `json:"reader_cpu_ns"`  //
	PeakRSS   int64         `json:"peak_rss_bytes"` // since its start
	Busy      float64       `json:"machine_busy"`   // share of all cores' time, 0 to 1
	Status    *Status       `json:"status,omitempty"`
	NoStatus  string        `json:"no_status,omitempty"` // why RAVE's status could not be read
}

// Measure runs one slice: start, warm up, measure.
func Measure(ctx context.Context, scene Scene, system System, warm, length time.Duration) (slice Slice, err error) {
	folder, err := os.MkdirTemp(scene.Folder, system.Name()+"-")
	if err != nil {
		return slice, fmt.Errorf("measure %s: %w", system.Name(), err)
	}
	running, err := system.Start(ctx, scene.Camera.URL, folder)
	if running != nil {
		defer func() {
			if e := running.Stop(); e != nil && err == nil {
				err = e
			}
		}()
	}
	if err != nil {
		return slice, err
	}
	watching, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := openReader(watching, scene.FFmpeg, running)
	if err != nil {
		return slice, fmt.Errorf("measure %s: %w", system.Name(), err)
	}
	defer r.Stop()
	if err := wait(ctx, r, warm); err != nil {
		return slice, fmt.Errorf("measure %s: %w", system.Name(), err)
	}
	if slice, err = observe(ctx, r, running, length); err != nil {
		return slice, fmt.Errorf("measure %s: %w", system.Name(), err)
	}
	sent, err := camera.ReadLog(scene.Camera.Log)
	if err != nil {
		return slice, err
	}
	slice.Report, slice.samples = reader.Compare(sent, r.Seen(), scene.Loop, slice.from, slice.to)
	return slice, nil
}

// openReader starts readers until one gets a picture: the stream may not be there yet.
func openReader(ctx context.Context, ffmpeg string, running *Running) (*reader.Reader, error) {
	for {
		r, err := reader.Start(reader.Config{FFmpeg: ffmpeg, URL: running.URL})
		if err != nil {
			return nil, err
		}
		err = r.WaitFor(ctx, 1)
		if err == nil {
			return r, nil
		}
		r.Stop()
		if running.Main != nil {
			select {
			case <-running.Main.Done():
				return nil, fmt.Errorf("the system ended: %w", running.Main.Wait())
			default:
			}
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// observe measures for some time; the report is filled in later.
func observe(ctx context.Context, r *reader.Reader, running *Running, length time.Duration) (Slice, error) {
	start := time.Now()
	before, err := takeUsages(r, running)
	if err != nil {
		return Slice{}, err
	}
	if err := wait(ctx, r, length); err != nil {
		return Slice{}, err
	}
	after, err := takeUsages(r, running)
	if err != nil {
		return Slice{}, err
	}
	end := time.Now()
	s := Slice{
		from: start, to: end, Seconds: end.Sub(start).Seconds(), CPU: after.system.CPU - before.system.CPU, PeakRSS: after.system.PeakRSS,
		ServerCPU: after.server.CPU - before.server.CPU, ReaderCPU: after.reader.CPU - before.reader.CPU,
	}
	if total := after.total - before.total; total > 0 {
		s.Busy = 1 - float64(after.idle-before.idle)/float64(total)
	}
	if running.Status != "" {
		if s.Status, err = readStatus(ctx, running.Status); err != nil {
			s.NoStatus = err.Error()
		}
	}
	return s, nil
}

type usages struct {
	system, server, reader process.Usage
	idle, total            int64
}

func takeUsages(r *reader.Reader, running *Running) (u usages, err error) {
	for _, p := range []struct {
		of   *process.Process
		into *process.Usage
	}{{running.Main, &u.system}, {running.Servers, &u.server}} {
		if p.of == nil {
			continue
		}
		if *p.into, err = p.of.Usage(); err != nil {
			return u, err
		}
	}
	if u.reader, err = r.Usage(); err != nil {
		return u, err
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	u.idle, u.total = machineTicks(string(stat))
	return u, nil
}

// machineTicks reads the idle and the total time of all cores from /proc/stat (proc(5)).
func machineTicks(stat string) (idle, total int64) {
	line, _, _ := strings.Cut(stat, "\n")
	for i, f := range strings.Fields(line) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || i > 8 { // the name; time of guests counts in user time already
			continue
		}
		total += n
		if i == 4 || i == 5 { // idle, iowait
			idle += n
		}
	}
	return idle, total
}

// wait lets the reader read for some time.
func wait(ctx context.Context, r *reader.Reader, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-r.Done():
		return fmt.Errorf("the reader ended: %s", lastLine(r.Output()))
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil
		}
		return ctx.Err()
	}
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Status is what is read of a stream in RAVE's status API.
type Status struct {
	Enhancers []struct {
		Name  string  `json:"name"`
		Share float64 `json:"share"`
	} `json:"enhancers"`
	Latency Milliseconds `json:"latency"`
	Stages  []struct {
		Name string       `json:"name"`
		Wait Milliseconds `json:"wait"`
		Work Milliseconds `json:"work"`
	} `json:"stages"`
	Drops []struct {
		Stage  string `json:"stage"`
		Reason string `json:"reason"`
		Count  int64  `json:"count"`
	} `json:"drops"`
}

// Milliseconds are the percentiles of a time.
type Milliseconds struct {
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

func (m Milliseconds) String() string { return fmt.Sprintf("%.1f/%.1f/%.1f", m.P50, m.P95, m.P99) }

func readStatus(ctx context.Context, url string) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	defer resp.Body.Close()
	var all struct {
		Streams []Status `json:"streams"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&all); err != nil {
		return nil, fmt.Errorf("read status: %w", err)
	}
	if resp.StatusCode != http.StatusOK || len(all.Streams) != 1 {
		return nil, fmt.Errorf("read status: %s, %d streams", resp.Status, len(all.Streams))
	}
	return &all.Streams[0], nil
}
