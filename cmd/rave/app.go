package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"rave/config"
	web "rave/egress/http"
	"rave/egress/rtsp"
	"rave/egress/webrtc"
	"rave/engine"
	"rave/engine/ffmpeg"
	"rave/engine/software"
	"rave/engine/stats"
)

// app is one running server: every package is wired to the others here and nowhere else.
type app struct {
	cfg      *config.Config // of the start: of later ones only what config.CheckReload lets pass differs
	log      *slog.Logger
	started  time.Time
	device   *software.Device
	plan     engine.Plan
	registry *prometheus.Registry
	stats    *stats.Stats
	rtsp     *rtsp.Server
	webrtc   *webrtc.Server // nil: off
	web      *web.Server
	streams  *supervisor[*stream]
	reloads  *reloader
}

// options say how the commands differ.
type options struct {
	onReady func(*app)                     // the servers listen
	written *logWriter                     // behind the log
	watch   *fileWatch                     // the configuration file; nil: there is none
	load    func() (*config.Config, error) // reads it again
	hangup  <-chan os.Signal               // SIGHUP, for the file
}

// shutdownLimit is how long an orderly end may take before the process ends anyway.
const shutdownLimit = 2 * time.Second

// serve runs until ctx ends. Only what is wrong at the start ends it with an error: a stream's own troubles never do, nor
// does a configuration that is wrong later. The one exception is an RTSP server that ends by itself.
func serve(ctx context.Context, cfg *config.Config, log *slog.Logger, opt options) error {
	ffmpeg.SetLogger(log)
	a := &app{cfg: cfg, log: log, started: time.Now(), registry: prometheus.NewRegistry()}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.stats = stats.New(a.registry)
	a.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "rave_log_lines_lost_total", Help: "Lines of the log that could not be written: it was full, closed or not read.",
	}, opt.written.Lost))
	a.reloads = newReloader(opt, a.apply, log, a.registry)
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
	if a.webrtc, err = a.listenWebRTC(); err != nil {
		return err
	}
	if a.webrtc != nil {
		defer a.webrtc.Close() //nolint:errcheck // closing sockets at the end
	}
	if a.web, err = a.listenHTTP(); err != nil {
		return err
	}
	defer a.web.Close() //nolint:errcheck // closing sockets at the end
	var limit *time.Timer
	g, ctx := errgroup.WithContext(ctx)
	a.streams = newSupervisor(ctx, a.newStream)
	if _, err := a.apply(cfg); err != nil {
		return err
	}
	a.registry.MustRegister(newCollector(a))
	a.announce()
	if opt.onReady != nil {
		opt.onReady(a)
	}
	g.Go(func() error {
		if err := a.web.Run(ctx); err != nil { // no reason to take the streams along
			log.Error("the page and the metrics are gone; streams go on. Restart to have them back", "err", err)
		}
		return nil
	})
	g.Go(a.rtsp.Wait) // without it there is nothing to go on for: all readers are gone, and none can come
	g.Go(func() error {
		<-ctx.Done()
		log.Info("stopping")
		limit = time.AfterFunc(shutdownLimit, func() { a.giveUp(opt.written) })
		return ctx.Err()
	})
	g.Go(func() error {
		a.reloads.run(ctx)
		a.streams.wait()
		return a.rtsp.Close() // after those who write to it
	})
	err = g.Wait()
	limit.Stop()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	log.Info("stopped", "after", time.Since(a.started).Round(time.Millisecond))
	return err
}

// apply makes a configuration the running one, as a whole or, with an error, not at all.
func (a *app) apply(next *config.Config) (changes, error) {
	if err := a.cfg.CheckReload(next); err != nil {
		return changes{}, err
	}
	cert, err := certificate(next)
	if err != nil {
		return changes{}, err
	}
	prepare := func(now *stream, c streamConfig) (prepared, error) { return a.prepare(next, now, c) }
	return a.streams.apply(streamConfigs(next), prepare, func() error {
		if err := a.rtsp.SetUsers(rtspUsers(next)); err != nil {
			return next.Errorf("users", "%v", err)
		}
		a.web.SetAuth(visitors(next))
		a.web.SetCertificate(cert)
		a.checkResources(next)
		return nil
	})
}

// announce says where everything is, and what cannot work, before the first camera has answered.
func (a *app) announce() {
	a.log.Info("serving", "version", version, "rtsp", a.rtsp.Addr(), "http", a.web.Addr().String(), "streams", len(a.cfg.Streams),
		"workers", a.cfg.Workers, "worker_memory_mib", a.workerMemory()>>20)
	if len(a.cfg.Streams) == 0 {
		a.log.Warn("no streams are configured; add some under streams:, as rave.example.yaml shows")
	}
}

// checkResources says what a configuration needs and does not get.
func (a *app) checkResources(cfg *config.Config) {
	a.checkFiles(cfg)
	d := software.New(software.Config{Models: cfg.Models})
	for name := range cfg.Models {
		if err := d.CheckModelFile(name); err != nil {
			a.log.Error("a model cannot be read; streams go on with the next entry of their quality, strict ones have no enhanced picture", "model", name, "err", err)
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
		Listen: a.cfg.RTSP.Listen, UDPPort: port, Users: rtspUsers(a.cfg), Log: a.log, OnDrop: a.dropped,
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

func rtspUsers(cfg *config.Config) []rtsp.User {
	if cfg.Open() {
		return nil
	}
	var users []rtsp.User
	for _, u := range cfg.Users {
		streams := u.Streams
		for _, s := range streams {
			if s == config.AllStreams {
				streams = nil
				break
			}
		}
		if u.Password == "" && u.PasswordHash == "" {
			continue // a token is for HTTP
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
	if users == nil { // no user at all would mean everybody
		users = []rtsp.User{{Name: "nobody", Password: rand.Text()}}
	}
	return users
}

// threads is one stream's share of the machine, as many as there are now. A session keeps what it was given.
func (a *app) threads() int {
	total := a.cfg.CPU.Threads
	if total == 0 {
		total = runtime.NumCPU()
	}
	return max(1, total/max(1, len(a.streams.list())))
}

// dropped counts what a server did not deliver to a reader or a viewer.
func (a *app) dropped(path, reason string, n int) {
	name, _, _ := strings.Cut(path, "/")
	a.count(name, "egress", reason, n)
}

// count counts drops of a stream, while there is one of that name.
func (a *app) count(name, stage, reason string, n int) {
	for _, s := range a.streams.list() {
		if s.stream.name == name {
			s.stream.stats.Dropped(stage, reason, n)
		}
	}
}

// url is where a stream is served.
func (a *app) url(path string) string {
	return fmt.Sprintf("rtsp://%s/%s", reachable(a.rtsp.Addr()), path)
}

// outward is the address from which this machine's packets leave for others; nil if there is no way out. Nothing is sent.
func outward() net.IP {
	c, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}) // RFC 5737: nobody's
	if err != nil {
		return nil
	}
	from, _ := c.LocalAddr().(*net.UDPAddr)
	_ = c.Close()
	return from.IP
}

// reachable makes a listen address one that others can open: a listener on every interface is named by the address to
// the outside, or that of the first one that is not loopback.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	ip := net.ParseIP(host)
	if err != nil || host != "" && (ip == nil || !ip.IsUnspecified()) {
		return listen
	}
	if ip := outward(); ip != nil {
		return net.JoinHostPort(ip.String(), port)
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
