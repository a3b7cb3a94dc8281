package main

import "context"

type web struct{}

func (web) Run(ctx context.Context) error { <-ctx.Done(); return nil }

func (a *app) listenHTTP() (web, error) { return web{}, nil }
func (a *app) httpAddr() string         { return a.cfg.HTTP.Listen }
