package main

import (
	"github.com/prometheus/client_golang/prometheus"
)

// collector reads at each scrape what is a state and not an event.
type collector struct {
	app     *app
	readers *prometheus.Desc
	egress  *prometheus.Desc
	viewers *prometheus.Desc
	viewed  *prometheus.Desc
	fps     *prometheus.Desc
	bitrate *prometheus.Desc
	refused *prometheus.Desc
	asleep  *prometheus.Desc
}

func newCollector(a *app) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &collector{
		app:     a,
		readers: desc("rave_readers", "RTSP readers connected.", "stream", "path"),
		egress:  desc("rave_egress_bytes_total", "RTP payload handed to readers.", "stream", "path"),
		viewers: desc("rave_viewers", "WebRTC viewers connected.", "stream", "path"),
		viewed:  desc("rave_viewer_bytes_total", "RTP payload sent to WebRTC viewers.", "stream", "path"),
		fps:     desc("rave_fps", "Pictures per second over the last seconds.", "stream", "direction"),
		bitrate: desc("rave_bitrate", "Video bits per second over the last seconds.", "stream", "direction"),
		asleep:  desc("rave_stream_asleep", "1 while nothing of the stream is decoded, since nobody watches (on_demand).", "stream"),
		refused: desc("rave_refused_total", "Connections and credentials refused by a server.", "server", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.app.streams.streams() {
		gauge := func(d *prometheus.Desc, v float64, label string) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.name, label)
		}
		for path, o := range map[string]outputs{"enhanced": s.enhanced, "original": s.original} {
			st := o.Stats()
			gauge(c.readers, float64(st.Readers), path)
			ch <- prometheus.MustNewConstMetric(c.egress, prometheus.CounterValue, float64(st.Bytes), s.name, path)
			if o.browsers != nil {
				st := o.browsers.Stats()
				gauge(c.viewers, float64(st.Viewers), path)
				ch <- prometheus.MustNewConstMetric(c.viewed, prometheus.CounterValue, float64(st.Bytes), s.name, path)
			}
		}
		asleep := 0.0
		if s.asleep() {
			asleep = 1
		}
		ch <- prometheus.MustNewConstMetric(c.asleep, prometheus.GaugeValue, asleep, s.name)
		snap := s.stats.Snapshot()
		gauge(c.fps, snap.FPSIn, "in")
		gauge(c.fps, snap.FPSOut, "out")
		gauge(c.bitrate, snap.BitrateIn, "in")
		gauge(c.bitrate, snap.BitrateOut, "out")
	}
	refused := map[string]map[string]uint64{"rtsp": c.app.rtsp.Refused(), "http": c.app.web.Refused()}
	if c.app.webrtc != nil {
		refused["webrtc"] = c.app.webrtc.Refused()
	}
	for server, counts := range refused {
		for reason, n := range counts {
			ch <- prometheus.MustNewConstMetric(c.refused, prometheus.CounterValue, float64(n), server, reason)
		}
	}
}
