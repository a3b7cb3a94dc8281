package soak

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"

	"rave/bench/process"
)

// Proc is what one process holds and what it has used.
type Proc struct {
	PID     int
	RSS     uint64 // bytes
	PSS     uint64 // bytes: shared pages by their share
	FDs     int
	Threads int
	CPU     float64 // seconds since its start
}

func readProc(pid int) (Proc, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Proc{}, err
	}
	stat, err := p.Stat()
	if err != nil {
		return Proc{}, err
	}
	rollup, err := p.ProcSMapsRollup()
	if err != nil {
		return Proc{}, err
	}
	fds, err := p.FileDescriptorsLen()
	if err != nil {
		return Proc{}, err
	}
	return Proc{PID: pid, RSS: rollup.Rss, PSS: rollup.Pss, FDs: fds, Threads: stat.NumThreads, CPU: stat.CPUTime()}, nil
}

// workers returns the worker processes of a RAVE by their stream's name.
func workers(main int) (map[string]int, error) {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil || stat.PPID != main || stat.State == "Z" {
			continue // it has just ended, or is another's
		}
		line, err := p.CmdLine()
		if err == nil && len(line) > 2 && line[len(line)-2] == "worker" {
			found[line[len(line)-1]] = p.PID
		}
	}
	return found, nil
}

// Sample is what is known of a moment and of the window before it.
type Sample struct {
	At         time.Duration // since the run's start
	Main       Proc
	Workers    map[string]Proc // by stream
	Goroutines float64
	Readers    float64
	Windows    map[string]Window             // by stream, of the permanent reader outside
	Drops      map[string]map[string]float64 // by stream and "stage/reason", since the start
	Restarts   map[string]float64            // of workers, by "stream/reason", since the start
	Reconnects map[string]float64            // by stream, since the start
	Work       float64                       // seconds of enhancement, mean of the window, of all streams
	Rave       float64                       // cores, over the window
	RaveMain   float64                       // of these: the main process
	Harness    float64                       // cores: cameras, readers, this program
	Others     float64                       // cores: whatever else runs on the machine, unless it is niced and gives way
	Steal      float64                       // cores that the host did not give
	Idle       float64                       // cores, with what niced programs took
	Stall      time.Duration                 // the latest that a timer of this program was in the window
}

// get fetches a page.
func (p *program) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, response.Status)
	}
	return body, err
}

type families map[string]*dto.MetricFamily

func (p *program) metrics(ctx context.Context) (families, error) {
	body, err := p.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(bytes.NewReader(body))
}

// by sums a metric by the values of some of its labels, joined with slashes. A histogram counts as its sum.
func (f families) by(name string, labels ...string) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range f[name].GetMetric() {
		var key []string
		for _, want := range labels {
			for _, l := range m.GetLabel() {
				if l.GetName() == want {
					key = append(key, l.GetValue())
				}
			}
		}
		sums[strings.Join(key, "/")] += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetHistogram().GetSampleSum()
	}
	return sums
}

// sampler makes samples, each from the one before.
type sampler struct {
	start    time.Time
	program  *program
	watchers []*watcher
	clock    *stallClock

	last     time.Time
	machine  procfs.CPUStat
	tree     time.Duration // CPU of this program and all that it started
	previous Sample
	work     [2]float64 // seconds and pictures
}

// sample fails when RAVE's main process has ended or does not answer.
func (s *sampler) sample(ctx context.Context) (Sample, error) {
	now := time.Now()
	next := Sample{At: now.Sub(s.start), Workers: map[string]Proc{}, Windows: map[string]Window{}, Stall: s.clock.latest()}
	var err error
	for _, w := range s.watchers {
		if next.Windows[w.name], err = w.next(); err != nil {
			return next, err
		}
	}
	if next.Main, err = readProc(s.program.PID()); err != nil {
		return next, fmt.Errorf("sample: %w", err)
	}
	pids, err := workers(s.program.PID())
	if err != nil {
		return next, fmt.Errorf("sample: %w", err)
	}
	for stream, pid := range pids {
		if p, err := readProc(pid); err == nil { // else it has just ended
			next.Workers[stream] = p
		}
	}
	metrics, err := s.program.metrics(ctx)
	if err != nil {
		return next, fmt.Errorf("sample: %w", err)
	}
	s.read(metrics, &next)
	if err := s.share(now, &next); err != nil {
		return next, fmt.Errorf("sample: %w", err)
	}
	s.previous, s.last = next, now
	return next, nil
}

// read takes what RAVE says.
func (s *sampler) read(metrics families, next *Sample) {
	next.Goroutines = metrics.by("go_goroutines")[""]
	next.Readers = metrics.by("rave_readers")[""]
	next.Restarts = metrics.by("rave_worker_restarts_total", "stream", "reason")
	next.Reconnects = metrics.by("rave_reconnects_total", "stream")
	next.Drops = map[string]map[string]float64{}
	for key, n := range metrics.by("rave_frames_dropped_total", "stream", "stage", "reason") {
		stream, rest, _ := strings.Cut(key, "/")
		if next.Drops[stream] == nil {
			next.Drops[stream] = map[string]float64{}
		}
		next.Drops[stream][rest] = n
	}
	var work [2]float64
	for _, m := range metrics["rave_stage_seconds"].GetMetric() {
		labels := fmt.Sprint(m.GetLabel())
		if strings.Contains(labels, `"enhance"`) && strings.Contains(labels, `"work"`) {
			work[0] += m.GetHistogram().GetSampleSum()
			work[1] += float64(m.GetHistogram().GetSampleCount())
		}
	}
	if n := work[1] - s.work[1]; n > 0 {
		next.Work = (work[0] - s.work[0]) / n
	}
	s.work = work
}

// share says who had the processor in the window.
func (s *sampler) share(now time.Time, next *Sample) error {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	stat, err := fs.Stat()
	if err != nil {
		return err
	}
	usage, err := process.UsageOf(os.Getpid())
	if err != nil {
		return err
	}
	machine, tree := stat.CPUTotal, usage.CPU
	if seconds := now.Sub(s.last).Seconds(); !s.last.IsZero() {
		used := func(now, before Proc) float64 {
			if now.PID != before.PID {
				return now.CPU
			}
			return now.CPU - before.CPU
		}
		busy := func(c procfs.CPUStat) float64 { return c.User + c.System + c.IRQ + c.SoftIRQ }
		idle := func(c procfs.CPUStat) float64 { return c.Idle + c.Iowait + c.Nice } // what is niced gives way
		next.RaveMain = used(next.Main, s.previous.Main) / seconds
		next.Rave = next.RaveMain
		for stream, p := range next.Workers {
			next.Rave += used(p, s.previous.Workers[stream]) / seconds
		}
		next.Harness = max(0, (tree-s.tree).Seconds()/seconds-next.Rave)
		next.Steal = (machine.Steal - s.machine.Steal) / seconds
		next.Idle = (idle(machine) - idle(s.machine)) / seconds
		next.Others = max(0, (busy(machine)-busy(s.machine))/seconds-next.Rave-next.Harness)
	}
	s.machine, s.tree = machine, tree
	return nil
}
