package worker_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/engine/media"
)

// BenchmarkSession sends pictures of 640x384 through decoding, Lanczos and encoding, one after the other, in this process
// and in a worker: once as fast as they go, and once as a camera sends them. It reports the time from Send to the Output
// (p50, p99) and the processor time of both processes for each picture.
//
//	go test -run '^$' -bench Session -benchtime 250x ./engine/worker
func BenchmarkSession(b *testing.B) {
	track, packets := footage(b, 250, 25, 4)
	for _, c := range []struct {
		name  string
		pause time.Duration
	}{{"fast", 0}, {"25fps", frameTime}} {
		b.Run(c.name+"/process", func(b *testing.B) { measure(b, inProcess(b, track), packets, c.pause) })
		b.Run(c.name+"/worker", func(b *testing.B) { measure(b, inWorker(b, track, spec{}, nil), packets, c.pause) })
	}
}

func measure(b *testing.B, r *rig, packets []media.Packet, pause time.Duration) {
	n := 0
	send := func() time.Duration {
		p := packets[n%len(packets)]
		p.PTS, p.Discontinuity = time.Duration(n)*frameTime, n == 0
		n++
		start := time.Now()
		r.step(p)
		return time.Since(start)
	}
	for range 50 {
		send()
	}
	var took []time.Duration
	cpu := processorTime(b, r)
	beat := time.NewTicker(max(pause, 1))
	defer beat.Stop()
	for b.Loop() {
		if pause > 0 {
			<-beat.C
		}
		took = append(took, send())
	}
	cpu = processorTime(b, r) - cpu
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100])/1e3, "p99-µs")
	b.ReportMetric(float64(cpu)/1e3/float64(len(took)), "cpu-µs/op")
	r.stop()
}

// processorTime is what this process and the worker have used.
func processorTime(b *testing.B, r *rig) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	sum := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if r.client == nil {
		return sum
	}
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(r.client.PID()) + "/task/*/schedstat")
	if err != nil || len(threads) == 0 {
		b.Fatal("no threads of the worker: ", err)
	}
	for _, t := range threads {
		data, err := os.ReadFile(t)
		if err != nil {
			continue // it has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}
