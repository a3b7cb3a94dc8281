// Package stats keeps what is measured of each stream: as Prometheus metrics, and as a snapshot of the last seconds for
// the page. A Stream is an engine.Observer; it may be told things from any goroutine.
package stats

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Stats holds the metric families of all streams.
type Stats struct {
	stage     *prometheus.HistogramVec
	latency   *prometheus.HistogramVec
	decoded   *prometheus.CounterVec
	made      *prometheus.CounterVec
	dropped   *prometheus.CounterVec
	bytesIn   *prometheus.CounterVec
	bytesOut  *prometheus.CounterVec
	waiting   *prometheus.GaugeVec
	online    *prometheus.GaugeVec
	reconnect *prometheus.CounterVec
	rungs     *prometheus.CounterVec
	changes   *prometheus.CounterVec
	share     *prometheus.GaugeVec
	restarts  *prometheus.CounterVec
}

// New makes the metric families and registers them.
func New(reg prometheus.Registerer) *Stats {
	// From 0.5 ms to 2 s: a frame takes 40 ms at 25 frames/s.
	buckets := []float64{.0005, .001, .002, .003, .005, .0075, .01, .015, .02, .03, .04, .06, .08, .12, .2, .35, .6, 1, 2}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
		reg.MustRegister(h)
		return h
	}
	return &Stats{
		stage: histogram("rave_stage_seconds",
			"Time of one frame at a stage: part=work in the stage, part=wait in the queue before it.", "stream", "stage", "part"),
		latency: histogram("rave_latency_seconds",
			"Time from the arrival of a frame's last packet to the writing of the enhanced frame to readers.", "stream"),
		decoded:  counter("rave_frames_decoded_total", "Pictures decoded.", "stream"),
		made:     counter("rave_frames_enhanced_total", "Pictures enhanced and encoded, by the enhancer that made them.", "stream", "enhancer"),
		dropped:  counter("rave_frames_dropped_total", "Packets or pictures given up, by stage and reason.", "stream", "stage", "reason"),
		bytesIn:  counter("rave_ingest_bytes_total", "Compressed video received.", "stream"),
		bytesOut: counter("rave_encoded_bytes_total", "Compressed video made; readers share it.", "stream"),
		waiting:  gauge("rave_queue_depth", "Items waiting for a stage.", "stream", "stage"),
		online:   gauge("rave_stream_online", "1 while the stream's source delivers.", "stream"),
		reconnect: counter("rave_reconnects_total",
			"Connections to the stream's source after the first.", "stream"),
		restarts: counter("rave_worker_restarts_total", "Worker processes that ended and were replaced, by reason.", "stream", "reason"),
		rungs:    counter("rave_enhancer_loads_total", "Enhancers opened, by result (ok, error).", "stream", "enhancer", "result"),
		changes: counter("rave_enhancer_changes_total", "Changes from one enhancer to another, by reason (loaded, slow, fast, failed, asked; left_out: none, since it was too slow before it served).",
			"stream", "from", "to", "reason"),
		share: gauge("rave_enhancer_share", "Part of the enhanced pictures of the last minute that an enhancer made, 0 to 1.", "stream", "enhancer"),
	}
}
