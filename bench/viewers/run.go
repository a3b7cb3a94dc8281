package viewers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"rave/bench/camera"
	"rave/bench/process"
	"rave/bench/reader"
)

// Options say what to measure with.
type Options struct {
	RAVE, MediaMTX string // programs
	Program        string // this one, which is camera and viewers as well: "camera …", "watch …"
	Clip           string
	Connects       int           // for the time to the first keyframe, of each path
	Starts         int           // of RAVE
	Viewers        int           // that are added for their cost
	Crowd          int           // that watch at once
	Turns          int           //
	Length         time.Duration // of one turn
	Log            *slog.Logger
}

// Result is what was found.
type Result struct {
	Starts  int                      `json:"starts"` // of RAVE, that start is of
	Start   reader.Spread            `json:"start"`  // from the start of RAVE to the first enhanced keyframe, decoded
	First   map[string]reader.Spread `json:"first"`  // from the offer to the first keyframe, decoded, by server and path
	Cost    map[string][]Cost        `json:"cost"`   // by server, turn by turn
	Crowd   Report                   `json:"crowd"`
	Ratios  []float64                `json:"ratios"` // RAVE's cost over MediaMTX's, turn by turn
	Machine string                   `json:"machine"`
}

// Cost is what one added viewer costs, in CPU time for each second.
type Cost struct {
	Server time.Duration `json:"server"`
	Viewer time.Duration `json:"viewer"` // the viewer itself
	Lost   int           `json:"lost"`   // packets, of all viewers
}

// Run measures all of it.
func Run(ctx context.Context, o Options) (r Result, err error) {
	folder, err := os.MkdirTemp("", "rave-viewers-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	cam, err := camera.Start(ctx, o.Program, []string{"camera"}, camera.Config{Clip: o.Clip, Transport: camera.TCP}, folder+"/camera.csv")
	if err != nil {
		return r, err
	}
	defer cam.Kill()
	file, web, err := raveConfig(cam.URL, folder)
	if err != nil {
		return r, err
	}
	if r.Start, err = o.starts(ctx, file, web); err != nil {
		return r, fmt.Errorf("starts: %w", err)
	}
	r.Starts = o.Starts
	rave, err := startRAVE(o.RAVE, file, web)
	if err != nil {
		return r, err
	}
	defer func() { _ = rave.Stop(5 * time.Second) }()
	peer, err := startMediaMTX(ctx, o.MediaMTX, cam.URL, folder)
	if err != nil {
		return r, err
	}
	defer peer.Kill()
	if r.First, err = o.firsts(ctx, rave, peer); err != nil {
		return r, fmt.Errorf("first keyframes: %w", err)
	}
	if r.Cost, r.Ratios, err = o.costs(ctx, rave, peer); err != nil {
		return r, fmt.Errorf("cost of viewers: %w", err)
	}
	if _, r.Crowd, err = o.watch(ctx, rave.url("cam/original"), o.Crowd, o.Length, nil); err != nil {
		return r, fmt.Errorf("%d viewers: %w", o.Crowd, err)
	}
	return r, nil
}

// starts measures from the start of the program; the first one, which warms the file cache, does not count. Each of the
// others has its figure: one that shows no picture ends the measurement.
func (o Options) starts(ctx context.Context, file, web string) (reader.Spread, error) {
	var all []time.Duration
	for i := range o.Starts + 1 {
		began := time.Now()
		rave, err := startRAVE(o.RAVE, file, web)
		if err != nil {
			return reader.Spread{}, err
		}
		_, decoded, err := first(ctx, rave.url("cam"))
		took := decoded.Sub(began)
		if stopped := rave.Stop(5 * time.Second); err == nil {
			err = stopped
		}
		if err != nil {
			return reader.Spread{}, fmt.Errorf("start %d of %d: %w", i, o.Starts, err)
		}
		o.Log.Info("start", "first_enhanced_keyframe_decoded_after", took.Round(time.Millisecond))
		if i > 0 {
			all = append(all, took)
		}
	}
	return reader.NewSpread(all), nil
}

func (o Options) firsts(ctx context.Context, rave, peer *server) (map[string]reader.Spread, error) {
	all := map[string]reader.Spread{}
	for name, url := range map[string]string{
		"rave enhanced": rave.url("cam"), "rave original": rave.url("cam/original"), "mediamtx": peer.url("cam"),
	} {
		var times []time.Duration
		for range o.Connects {
			offered, decoded, err := first(ctx, url)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			times = append(times, decoded.Sub(offered))
		}
		all[name] = reader.NewSpread(times)
		o.Log.Info("first keyframe decoded", "of", name, "after", all[name])
	}
	return all, nil
}

// costs lets the servers take turns: so long without viewers, so long with them.
func (o Options) costs(ctx context.Context, rave, peer *server) (map[string][]Cost, []float64, error) {
	all := map[string][]Cost{}
	var ratios []float64
	for turn := range o.Turns {
		for _, s := range []struct {
			server *server
			path   string
		}{{rave, "cam/original"}, {peer, "cam"}} {
			idle, err := used(ctx, s.server, o.Length)
			if err != nil {
				return nil, nil, err
			}
			var busy time.Duration
			viewer, report, err := o.watch(ctx, s.server.url(s.path), o.Viewers, o.Length, func() (err error) {
				busy, err = used(ctx, s.server, o.Length)
				return err
			})
			if err != nil {
				return nil, nil, err
			}
			each := func(d time.Duration) time.Duration {
				return time.Duration(float64(d) / float64(o.Viewers) / o.Length.Seconds())
			}
			c := Cost{Server: each(busy - idle), Viewer: each(viewer)}
			for _, v := range report.Viewers {
				c.Lost += v.Lost
			}
			all[s.server.name] = append(all[s.server.name], c)
			o.Log.Info("cost of a viewer for each second", "server", s.server.name, "turn", turn+1, "of", o.Turns, "cpu", c.Server, "its_own", c.Viewer, "lost", c.Lost)
		}
		ratios = append(ratios, float64(all[rave.name][turn].Server)/float64(all[peer.name][turn].Server))
	}
	slices.Sort(ratios)
	return all, ratios, nil
}

// used measures the CPU time that a server's own process takes in a while; RAVE's workers do the same with and without
// viewers.
func used(ctx context.Context, s *server, while time.Duration) (time.Duration, error) {
	before, err := s.Own()
	if err != nil {
		return 0, err
	}
	select {
	case <-time.After(while):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	after, err := s.Own()
	return after.CPU - before.CPU, err
}

// settled is how long after the last viewer has come what they cost is what they cost from then on.
const settled = 8 * time.Second

// watch lets so many viewers watch, in a process of their own, while something is done (nil: for the time of while). It
// returns what that process took meanwhile, and what its viewers saw.
func (o Options) watch(ctx context.Context, url string, n int, while time.Duration, do func() error) (own time.Duration, report Report, err error) {
	p, err := process.Start(process.Config{Name: "viewers", Path: o.Program, Args: []string{"watch", "-n", strconv.Itoa(n), url}})
	if err != nil {
		return 0, report, err
	}
	defer p.Kill()
	if _, err := p.Line(ctx, "^watching"); err != nil {
		return 0, report, err
	}
	if do == nil {
		do = func() error { _, err := used(ctx, &server{Process: p}, while); return err }
	}
	select {
	case <-time.After(settled):
	case <-ctx.Done():
		return 0, report, ctx.Err()
	}
	before, err := p.Own()
	if err != nil {
		return 0, report, err
	}
	if err := do(); err != nil {
		return 0, report, err
	}
	after, err := p.Own()
	if err != nil {
		return 0, report, err
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return 0, report, err
	}
	line, err := p.Line(ctx, "^report (.*)$")
	if err != nil {
		return 0, report, err
	}
	if err := p.Stop(30 * time.Second); err != nil { // each viewer says good-bye
		return 0, report, err
	}
	return after.CPU - before.CPU, report, json.Unmarshal([]byte(line[1]), &report)
}
