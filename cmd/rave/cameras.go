package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"rave/config"
	web "rave/egress/http"
)

// cameras is what the page needs to add one.
type cameras struct {
	app *app
	mu  sync.Mutex // one change of the file at a time
}

// followLimit is how long a changed file may take to be followed: streams start and stop meanwhile.
const followLimit = 15 * time.Second

// Add implements web.Cameras: it writes the stream into the configuration file and has that followed. If it cannot be, the
// file is again what it was, unless somebody has changed it meanwhile. While it is not known whether it can be, the stream
// stays in the file.
func (c *cameras) Add(ctx context.Context, n web.NewStream) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	reloads := c.app.reloads
	if reloads.watch == nil {
		return web.Refusal{Status: http.StatusConflict, Reason: "RAVE runs without a configuration file, so there is nothing to add a stream to: " +
			"start it with rave serve -c rave.yaml"}
	}
	path := reloads.watch.path
	state := stateOf(path)
	before, err := config.ReadFile(path)
	if err != nil {
		return cannotAdd(path, err)
	}
	text, err := config.AddStream(before, path, newStreamKeys(n), os.Environ(), reserved()...)
	if err != nil {
		return cannotAdd(path, err)
	}
	if stateOf(path) != state {
		return web.Refusal{Status: http.StatusConflict, Reason: path + " was changed by somebody else at this moment: try again"}
	}
	if err := replaceFile(path, text); err != nil {
		return web.Refusal{Status: http.StatusConflict, Reason: fmt.Sprintf("%s cannot be replaced: %v; or add the stream by hand", path, err)}
	}
	written := stateOf(path)
	// Whether or not the visitor waits for it, the file says it now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followLimit)
	defer cancel()
	err = reloads.ask(ctx, "a stream was added")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNotAsked) || errors.Is(err, context.DeadlineExceeded):
		return web.Refusal{Status: http.StatusServiceUnavailable, Reason: fmt.Sprintf("the stream is in %s, but not in effect yet (%v): look at "+
			"the page, and at the log, before you add it again", path, err)}
	case stateOf(path) != written:
		return web.Refusal{Status: http.StatusConflict, Reason: fmt.Sprintf("%s was changed by somebody else at this moment, and cannot be followed: %s",
			path, oneLine(err))}
	}
	refusal := web.Refusal{Status: http.StatusUnprocessableEntity, Reason: "the stream was not added: " + oneLine(err)}
	if err := replaceFile(path, before); err != nil {
		return fmt.Errorf("%w; %s cannot be put back as it was: %w", refusal, path, err)
	}
	if err := reloads.ask(ctx, "the stream cannot be served and was taken out again"); err != nil {
		return fmt.Errorf("%w; nor can the file be followed as it was: %w", refusal, err)
	}
	return refusal
}

func newStreamKeys(n web.NewStream) config.NewStream {
	return config.NewStream{
		Name: n.Name, Source: n.Source, Username: n.Username, Password: config.Secret(n.Password), Transport: n.Transport, Quality: n.Quality,
		Scale: n.Output.Scale,
	}
}

// cannotAdd says why a stream cannot be added to a file.
func cannotAdd(path string, err error) error {
	var bad config.BadStreamError
	switch {
	case errors.As(err, &bad):
		return web.Refusal{Status: http.StatusUnprocessableEntity, Reason: oneLine(bad)}
	case errors.Is(err, config.ErrExists):
		return web.Refusal{Status: http.StatusConflict, Reason: err.Error() + " already: choose another"}
	case errors.Is(err, config.ErrNoPlace):
		return web.Refusal{Status: http.StatusConflict, Reason: path + ": " + err.Error()}
	default:
		return web.Refusal{Status: http.StatusConflict, Reason: path + " cannot be added to as it is: " + oneLine(err)}
	}
}
