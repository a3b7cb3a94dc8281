package soak

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"rave/bench/process"
)

// Visits counts readers that came and went.
type Visits struct {
	Came     map[string]int // by transport and way of going, such as "udp killed"
	Pages    int            // pages, metrics and status fetched
	Failed   int            // of these: without an answer
	Thrown   []string       // what readers of well-behaved streams said when they ended before they wanted to
	WithSick int            // readers of the unruly stream that ended before they wanted to
}

// visit is one reader to come.
type visit struct {
	stream, path, transport string
	stay                    time.Duration
	going                   string // "leaving" in good order, "killed", or "frozen": it stops reading for a while, then is killed
}

// crowd are readers that come and go: FFmpegs that receive and do not decode.
type crowd struct {
	ffmpeg  string
	program *program
	streams []stream
	log     *slog.Logger

	mu     sync.Mutex
	visits Visits
}

// draw decides about the next visit.
func (c *crowd) draw(random *rand.Rand) visit {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	v := visit{stream: c.streams[random.IntN(len(c.streams))].name, transport: pick("tcp", "udp"), going: pick("leaving", "killed", "frozen")}
	v.path = v.stream + pick("", "/original")
	v.stay = time.Duration(3000+random.IntN(22000)) * time.Millisecond
	return v
}

// run lets readers come until ctx is done, and then waits until all have gone.
func (c *crowd) run(ctx context.Context, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 2))
	c.visits.Came = map[string]int{}
	var visiting sync.WaitGroup
	defer visiting.Wait()
	pages := []string{"/", "/metrics", "/api/v1/status"}
	for sleep(ctx, time.Duration(2000+random.IntN(3000))*time.Millisecond) {
		v, page := c.draw(random), pages[random.IntN(len(pages))]
		visiting.Go(func() { c.visit(ctx, v) })
		visiting.Go(func() {
			_, err := c.program.get(ctx, page)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.visits.Pages++
			if err != nil && ctx.Err() == nil {
				c.visits.Failed++
				c.log.Error("no page", "page", page, "error", err)
			}
		})
	}
}

func (c *crowd) visit(ctx context.Context, v visit) {
	p, err := startReader(c.ffmpeg, c.program.url(v.path), v.transport)
	if err != nil {
		c.log.Error("no reader", "error", err)
		return
	}
	defer p.Kill()
	timer := time.NewTimer(v.stay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-p.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if v.stream == unruly {
			c.visits.WithSick++
			return
		}
		c.visits.Thrown = append(c.visits.Thrown, v.path+" over "+v.transport+": "+strings.TrimSpace(p.Output()))
		c.log.Error("a reader was thrown out", "path", v.path, "transport", v.transport, "said", p.Output())
		return
	}
	c.mu.Lock()
	c.visits.Came[v.transport+" "+v.going]++
	c.mu.Unlock()
	switch v.going {
	case "leaving":
		_ = p.Stop(5 * time.Second) // one that does not end by itself is killed: it is not what is tested
	case "frozen":
		if p.Signal(syscall.SIGSTOP) == nil {
			sleep(ctx, v.stay)
		}
	}
}

// startReader starts a reader that does not decode.
func startReader(ffmpeg, url, transport string) (*process.Process, error) {
	args := strings.Fields("-hide_banner -nostdin -v error -rtsp_transport " + transport + " -i " + url + " -map 0:v:0 -c copy -f null -")
	return process.Start(process.Config{Name: "reader", Path: ffmpeg, Args: args})
}

// guest is a reader that stays and does not decode. If it is thrown out, that is counted and it comes again.
type guest struct {
	path, transport string
	process         *process.Process
	thrown          int
}

// look starts the guest at first, and again when it was thrown out.
func (g *guest) look(ffmpeg string, p *program, log *slog.Logger) (err error) {
	if g.process != nil {
		select {
		case <-g.process.Done():
			g.thrown++
			log.Error("a permanent reader was thrown out", "path", g.path, "transport", g.transport, "said", g.process.Output())
		default:
			return nil
		}
	}
	g.process, err = startReader(ffmpeg, p.url(g.path), g.transport)
	return err
}
