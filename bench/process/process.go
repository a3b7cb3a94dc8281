// Package process runs programs for tests and measurements: it keeps what they print, waits for lines of it, reads
// their use of the machine from /proc and ends them. A Process belongs to who started it, who must Stop it; if that
// one dies, the kernel kills the program.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says what to run.
type Config struct {
	Name string   // for errors
	Path string   // the program
	Args []string //
	Env  []string // KEY=value, added to this process's environment
	// Stdout receives standard output; if nil, it is kept together with standard error.
	Stdout io.Writer
}

// Process is a running program.
type Process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and all its output is in
	err  error         // of Wait; valid after done

	mu      sync.Mutex
	output  strings.Builder
	changed chan struct{} // closed and replaced when output grows
}

// Start runs a program.
func Start(cfg Config) (*Process, error) {
	p := &Process{name: cfg.Name, done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command(cfg.Path, cfg.Args...) //nolint:noctx // Stop ends it, gently at first
	p.cmd.Env = append(os.Environ(), cfg.Env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stderr = p
	p.cmd.Stdout = p
	if cfg.Stdout != nil {
		p.cmd.Stdout = cfg.Stdout
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Write takes output of the program.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.output.Write(b)
	close(p.changed)
	p.changed = make(chan struct{})
	return len(b), nil
}

// Output returns what the program has printed so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// PID returns the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Line waits until the output matches the pattern, also in what was printed before, and returns the match and its
// groups. It fails when the program ends or ctx is done first; the error has the end of the output.
func (p *Process) Line(ctx context.Context, pattern string) ([]string, error) {
	expression, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("wait for %s: %w", p.name, err)
	}
	for {
		p.mu.Lock()
		match, changed := expression.FindStringSubmatch(p.output.String()), p.changed
		p.mu.Unlock()
		if match != nil {
			return match, nil
		}
		select {
		case <-changed:
		case <-p.done:
			if match := expression.FindStringSubmatch(p.Output()); match != nil {
				return match, nil
			}
			return nil, fmt.Errorf("%s ended (exit status %d) without printing %q:\n%s", p.name, p.ExitCode(), pattern, tail(p.Output()))
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: waiting for %q: %w; it printed:\n%s", p.name, pattern, ctx.Err(), tail(p.Output()))
		}
	}
}

// tail returns the last lines of an output.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		s = "…" + s[len(s)-most:]
	}
	return s
}

// Signal sends a signal to the program.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends the program at once and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end and waits for it; past the limit it is killed, which is an error. Ending by the signal
// itself is none. Stop after the program's end returns how it ended.
func (p *Process) Stop(limit time.Duration) error {
	select {
	case <-p.done:
	default:
		_ = p.Signal(syscall.SIGTERM)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %v of SIGTERM", p.name, limit)
	}
	return p.Wait()
}

// Wait waits for the end of the program. Ending by SIGTERM is not an error.
func (p *Process) Wait() error {
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() && s.Signal() == syscall.SIGTERM {
			return nil
		}
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w:\n%s", p.name, p.err, tail(p.Output()))
	}
	return nil
}

// ExitCode returns the exit status, -1 if a signal ended the program. It waits for the end.
func (p *Process) ExitCode() int {
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}
