// Package browser drives Chromium for tests: it starts one without a window, opens pages, runs scripts in them, presses,
// types and takes pictures of them. It speaks the DevTools protocol over two pipes (--remote-debugging-pipe), so there is
// neither a port nor a library.
//
// A Browser belongs to who started it, who must Close it; its pages end with it. Methods wait for the browser's answer,
// for as long as the context lets them.
package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Config says what browser to start.
type Config struct {
	Path  string   // Chromium's program
	Flags []string // beside those that every test needs
}

// Browser is a running Chromium.
type Browser struct {
	cmd    *exec.Cmd
	home   string // its profile
	pipes  []io.Closer
	toIt   io.Writer
	next   atomic.Int64
	writes sync.Mutex
	ended  chan struct{} // closed when nothing comes from it any more

	mu      sync.Mutex
	waiting map[int64]chan answer
	pages   map[string]*Page // by session
}

// message is what goes either way: a command, its answer, or an event of a page.
type message struct {
	ID        int64           `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

type answer struct {
	result json.RawMessage
	err    error
}

var errEnded = errors.New("the browser has ended")

// Start starts Chromium, with a profile of its own.
func Start(cfg Config) (b *Browser, err error) {
	home, err := os.MkdirTemp("", "rave-browser-")
	if err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(home)
		}
	}()
	in, toIt, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	defer in.Close()
	fromIt, out, err := os.Pipe()
	if err != nil {
		_ = toIt.Close()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	defer out.Close()
	b = &Browser{home: home, toIt: toIt, pipes: []io.Closer{toIt, fromIt}, ended: make(chan struct{}),
		waiting: map[int64]chan answer{}, pages: map[string]*Page{}}
	b.cmd = exec.Command(cfg.Path, append(flags(home), cfg.Flags...)...) //nolint:noctx // Close ends it
	b.cmd.ExtraFiles = []*os.File{in, out}                               // 3 and 4, as the flag wants it
	b.cmd.Env = append(os.Environ(), "HOME="+home)
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := b.cmd.Start(); err != nil {
		_, _ = toIt.Close(), fromIt.Close()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	go b.read(fromIt)
	return b, nil
}

// flags are what makes Chromium a program for tests: no window, no sandbox (tests run as root in containers, which it
// cannot have), no calls home, and video that plays without a click.
func flags(home string) []string {
	return []string{
		"--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--user-data-dir=" + home, "--no-first-run", "--no-default-browser-check",
		"--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--disable-extensions", "--disable-features=Translate,MediaRouter,OptimizationHints", "--metrics-recording-only", "--mute-audio",
		"--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
		"--autoplay-policy=no-user-gesture-required", "--hide-scrollbars", "about:blank",
	}
}

// Close ends the browser and all its processes.
func (b *Browser) Close() error {
	_ = syscall.Kill(-b.cmd.Process.Pid, syscall.SIGKILL)
	err := b.cmd.Wait()
	for _, p := range b.pipes {
		_ = p.Close()
	}
	<-b.ended
	var exit *exec.ExitError
	if errors.As(err, &exit) { // by our signal
		err = nil
	}
	return errors.Join(err, b.forget())
}

// forget removes the profile. Those of its processes that are not its children write into it until they notice that it
// has ended.
func (b *Browser) forget() error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := os.RemoveAll(b.home)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// call sends a command, to the browser itself if session is empty, and puts the answer into result unless that is nil.
func (b *Browser) call(ctx context.Context, session, method string, params, result any) error {
	id := b.next.Add(1)
	c := make(chan answer, 1)
	b.mu.Lock()
	b.waiting[id] = c
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
	}()
	data, err := json.Marshal(message{ID: id, SessionID: session, Method: method, Params: params})
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	b.writes.Lock()
	_, err = b.toIt.Write(append(data, 0))
	b.writes.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case a := <-c:
		if a.err != nil {
			return fmt.Errorf("%s: %w", method, a.err)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.result, result)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	case <-b.ended:
		return fmt.Errorf("%s: %w", method, errEnded)
	}
}

// read hands out what the browser says: messages that end with a zero.
func (b *Browser) read(from io.Reader) {
	defer close(b.ended)
	lines := bufio.NewReaderSize(from, 1<<16)
	for {
		data, err := lines.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			message
			Params json.RawMessage `json:"params"`
		}
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		c, page := b.waiting[m.ID], b.pages[m.SessionID]
		b.mu.Unlock()
		switch {
		case m.ID != 0 && c != nil && m.Error != nil:
			c <- answer{err: errors.New(m.Error.Message)}
		case m.ID != 0 && c != nil:
			c <- answer{result: m.Result}
		case page != nil:
			page.event(m.Method, m.Params)
		}
	}
}
