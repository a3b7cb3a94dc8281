package viewers

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"rave/bench/whep"
)

// Report is what the viewers of one process have seen.
type Report struct {
	Viewers []whep.Count `json:"viewers"`
	Seconds float64      `json:"seconds"` // from the last one's first keyframe to the end
	Gone    int          `json:"gone"`    // that lost their connection
}

// Main is so many viewers as a program: it prints "watching" once each has its first keyframe, and a Report as JSON on a
// line of its own when it is told to end.
func Main(ctx context.Context, args []string, out io.Writer) error {
	set := flag.NewFlagSet("watch", flag.ContinueOnError)
	count := set.Int("n", 1, "viewers")
	tcp := set.Bool("tcp", false, "ICE over TCP")
	patience := set.Duration("patience", 30*time.Second, "time until all have their first keyframe")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("watch: give one URL")
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var viewers []*whep.Viewer
	var counters []*whep.Counter
	defer func() {
		for _, v := range viewers {
			v.Close()
		}
	}()
	for range *count {
		c := whep.NewCounter()
		v, err := whep.Connect(ctx, whep.Config{URL: set.Arg(0), OnPacket: c.Packet, TCP: *tcp})
		if err != nil {
			return err
		}
		viewers, counters = append(viewers, v), append(counters, c)
		if err := v.Wait(c.Keyframe(), *patience); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := fmt.Fprintln(out, "watching"); err != nil {
		return err
	}
	<-ctx.Done()
	report := Report{Seconds: time.Since(began).Seconds()}
	for i, c := range counters {
		report.Viewers = append(report.Viewers, c.Count())
		select {
		case <-viewers[i].Failed():
			report.Gone++
		default:
		}
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "report %s\n", text)
	return err
}
