package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"rave/config"
	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/media"
	"rave/engine/software"
	"rave/engine/worker"
)

// session is an engine.Session, or a worker.Client that stands for one in another process.
type session interface {
	Run(ctx context.Context) error
	Send(ctx context.Context, p media.Packet) bool
	RequestKeyframe()
	Want(rendition string, on bool)
	Refresh(rendition string)
	Snapshot(ctx context.Context, variant string, maxWidth int) (engine.Snapshot, error)
	Repeat(pts time.Duration)
}

// workerSpec is what a worker, or this process instead, needs beside the session's configuration to make the devices.
type workerSpec struct {
	Library string            // of ONNX Runtime
	Models  map[string]string // names and files
	Reason  string            // of the plan
	Memory  int64             // bytes that the worker may use; 0: no limit
}

const memoryFix = "raise limits.worker_memory, or use a smaller model or a smaller picture"

// workerMemory is the limit of each worker, in bytes: with auto, as many streams as there are now share half of what
// there is. A session keeps what it was given.
func (a *app) workerMemory() int64 {
	if m := a.cfg.Limits.WorkerMemory; m != config.MemoryAuto {
		return int64(m)
	}
	bytes, _ := memoryLimit()
	return memoryShare(bytes, len(a.streams.list()))
}

// memoryShare is one worker's part of the memory, in bytes.
func memoryShare(bytes int64, streams int) int64 {
	const least = 512 << 20 // less than that holds no model
	return max(bytes/2/int64(max(1, streams)), least)
}

// modelFix is for a model that workers die of. Whether its library is to blame cannot be told from outside.
func (a *app) modelFix() string {
	return "correct the model or the library that runs it, " + a.device.LibraryFile() + " (onnxruntime.library)"
}

// newSession makes a stream's session: in a process of its own, so that a crash in a C library costs a restart of that
// process and no viewer; or in this one with workers: off.
func (a *app) newSession(cfg engine.Config, models map[string]modelFile, out media.Output, onRestart func(reason string)) (session, error) {
	spec := workerSpec{Library: a.cfg.ONNXRuntime.Library, Models: map[string]string{}, Reason: a.plan.Reason}
	for name, file := range models {
		spec.Models[name] = file.path
	}
	if a.cfg.Workers == config.WorkersOff {
		cfg.Plan = spec.plan(a.log)
		return engine.New(cfg, out), nil
	}
	spec.Memory = a.workerMemory()
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("describe worker: %w", err)
	}
	return worker.New(worker.Config{
		Session: cfg, Spec: data, Args: []string{"rave", "worker", cfg.Stream}, OnRestart: onRestart,
		Memory: spec.Memory, MemoryFix: memoryFix, FilesFix: filesFix, ModelFix: a.modelFix(),
	}, out)
}

// plan makes the devices. Nothing is probed: that was done at the start.
func (s workerSpec) plan(log *slog.Logger) engine.Plan {
	d := software.New(software.Config{Library: s.Library, Models: s.Models, Memory: s.Memory, MemoryFix: memoryFix, Log: log})
	return engine.Plan{Decode: d, Enhance: d, Encode: d, Reason: s.Reason}
}

func workerCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "worker [STREAM]",
		Short:  "Run one stream's session for the main process, which starts it",
		Hidden: true,
		Args:   args(cobra.MaximumNArgs(1)), // the name is for ps
		RunE: func(*cobra.Command, []string) error { // signals are for the main process: the context is not used
			signal.Ignore(syscall.SIGHUP)
			return worker.Main(worker.Descriptor, workerPlan)
		},
	}
}

// workerPlan makes the devices in the worker.
func workerPlan(_ context.Context, data []byte, log *slog.Logger) (engine.Plan, error) {
	var spec workerSpec
	if err := json.Unmarshal(data, &spec); err != nil {
		return engine.Plan{}, fmt.Errorf("read specification: %w", err)
	}
	ffmpeg.SetLogger(log)
	return spec.plan(log), nil
}
