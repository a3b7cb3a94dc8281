// Command sample serves the page with the content of a file, to look at:
//
//	go run ./egress/http/testdata/sample -listen 127.0.0.1:8081 egress/http/testdata/status.json
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/prometheus/client_golang/prometheus"

	web "rave/egress/http"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "TCP address")
	flag.Parse()
	if err := run(*listen, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(listen, path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var status web.Status
	if err := json.Unmarshal(data, &status); err != nil {
		return err
	}
	s, err := web.New(web.Config{
		Listen: listen, Log: slog.Default(), Gatherer: prometheus.NewRegistry(),
		Status: func() web.Status { return status },
	})
	if err != nil {
		return err
	}
	return s.Run(ctx)
}
