package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"rave/config"
	web "rave/egress/http"
	"rave/egress/rtsp"
	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/software"
	"rave/engine/stats"
)

// app is one running server: every package is wired to the others here and nowhere else.
type app struct {
	cfg      *config.Config
	log      *slog.Logger
	started  time.Time
	device   *software.Device
	plan     engine.Plan
	registry *prometheus.Registry
	stats    *stats.Stats
	rtsp     *rtsp.Server
	web      *web.Server
	streams  []*stream
}

// options are what the demo does differently.
type options struct {
	onReady func(*app) // the servers listen
	written *logWriter // behind the log
}

// shutdownLimit is how long an orderly end may take before the process ends anyway.
const shutdownLimit = 2 * time.Second

// serve runs until ctx ends. Only what is wrong at the start ends it with an error: a stream's own troubles never do.
func serve(ctx context.Context, cfg *config.Config, log *slog.Logger, opt options) error {
	ffmpeg.SetLogger(log)
	a := &app{cfg: cfg, log: log, started: time.Now(), registry: prometheus.NewRegistry()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.stats = stats.New(a.registry)
	a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "rave_log_lines_lost_total", Help: "Lines of the log that could not be written: it was full, closed or not read.",
	}, opt.written.Lost))
	a.device = software.New(software.Config{Library: cfg.ONNXRuntime.Library, Models: cfg.Models, Log: log})
	var err error
	if a.plan, err = engine.ChoosePlan(ctx, a.device); err != nil {
		return err
	}
	a.plan.Reason = "all in software: this version has no GPU backend"
	if a.rtsp, err = a.listenRTSP(); err != nil {
		return err
	}
	defer a.rtsp.Close() //nolint:errcheck // closing sockets at the end
	if a.web, err = a.listenHTTP(); err != nil {
		return err
	}
	defer a.web.Close() //nolint:errcheck // closing sockets at the end
	for _, c := range cfg.Streams {
		s, err := a.newStream(c)
		if err != nil {
			return err
		}
		a.streams = append(a.streams, s)
	}
	a.registry.MustRegister(newCollector(a))
	a.announce()
	if opt.onReady != nil {
		opt.onReady(a)
	}
	var limit *time.Timer
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.web.Run(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		log.Info("stopping")
		limit = time.AfterFunc(shutdownLimit, func() { a.giveUp(opt.written) })
		return ctx.Err()
	})
	g.Go(func() error { return a.runStreams(ctx) })
	err = g.Wait()
	limit.Stop()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	log.Info("stopped", "after", time.Since(a.started).Round(time.Millisecond))
	return err
}

// runStreams runs all streams. The server that their packets go to is closed after them.
func (a *app) runStreams(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range a.streams {
		g.Go(func() error { return s.run(ctx) })
	}
	return errors.Join(g.Wait(), a.rtsp.Close())
}

// announce says where everything is, and what cannot work, before the first camera has answered.
func (a *app) announce() {
	a.log.Info("serving", "version", version, "rtsp", a.rtsp.Addr(), "http", a.web.Addr().String(), "streams", len(a.streams),
		"workers", a.cfg.Workers, "worker_memory_mib", a.workerMemory()>>20)
	a.checkFiles()
	if len(a.streams) == 0 {
		a.log.Warn("no streams are configured; add some under streams:, as rave.example.yaml shows")
	}
	for name := range a.cfg.Models {
		if err := a.device.CheckModelFile(name); err != nil {
			a.log.Error("a model cannot be read; streams go on with the next entry of their quality", "model", name, "err", err)
		}
	}
}

// giveUp ends the process when it does not end by itself.
func (a *app) giveUp(written *logWriter) {
	a.log.Error("the orderly end took too long; ending now", "limit", shutdownLimit)
	written.Close()
	os.Exit(exitFailed)
}

func (a *app) listenRTSP() (*rtsp.Server, error) {
	port := int(a.cfg.RTSP.RTPPort)
	if !a.cfg.RTSP.UDP {
		port = -1
	}
	srv, err := rtsp.New(rtsp.Config{
		Listen: a.cfg.RTSP.Listen, UDPPort: port, Users: a.rtspUsers(), Log: a.log, OnDrop: a.dropped,
		MaxConnections: a.cfg.RTSP.MaxConnections,
	})
	switch {
	case errors.Is(err, rtsp.ErrUDPPort):
		return nil, a.cannotListen("rtsp.rtp_port", ", auto, or udp: false", err)
	case err != nil:
		return nil, a.cannotListen("rtsp.listen", "", err)
	}
	return srv, nil
}

func (a *app) rtspUsers() []rtsp.User {
	if a.cfg.Open() {
		return nil
	}
	var users []rtsp.User
	for _, u := range a.cfg.Users {
		streams := u.Streams
		for _, s := range streams {
			if s == config.AllStreams {
				streams = nil
				break
			}
		}
		read, publish := false, false
		for _, p := range u.Permissions {
			read = read || p == config.PermRead
			publish = publish || p == config.PermPublish
		}
		users = append(users, rtsp.User{
			Name: u.Name, Password: string(u.Password), PasswordHash: string(u.PasswordHash), Read: read, Publish: publish,
			Streams: streams,
		})
	}
	return users
}

// threads is one stream's share of the machine.
func (a *app) threads() int {
	total := a.cfg.CPU.Threads
	if total == 0 {
		total = runtime.NumCPU()
	}
	return max(1, total/max(1, len(a.cfg.Streams)))
}

// dropped counts what the RTSP server did not deliver to a reader.
func (a *app) dropped(path, reason string, n int) {
	for _, s := range a.streams {
		if path == s.cfg.Name || path == s.cfg.Name+"/original" {
			s.stats.Dropped("egress", reason, n)
		}
	}
}

// url is where a stream is served.
func (a *app) url(path string) string {
	return fmt.Sprintf("rtsp://%s/%s", reachable(a.rtsp.Addr()), path)
}

// reachable makes a listen address one that others can open: a listener on every interface is named by the address of
// the first one that is not loopback.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	if err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return listen
	}
	host = "localhost"
	addrs, _ := net.InterfaceAddrs() // none is as good as an error
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			host = n.IP.String()
			break
		}
	}
	return net.JoinHostPort(host, port)
}
