package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a worker as the main process holds it.
type process struct {
	pid    int
	cmd    *exec.Cmd
	conn   *link
	said   *lines
	kill   context.CancelFunc
	exited chan struct{} // closed when it has been reaped
}

// spawn starts a worker. The thread that calls it has to outlive the worker.
func spawn(ctx context.Context, cfg Config, log *slog.Logger) (*process, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	// The context ends by kill only: an end in good order is the watcher's work.
	alive, kill := context.WithCancel(context.WithoutCancel(ctx))
	p := &process{conn: newLink(ours), said: &lines{log: log}, kill: kill, exited: make(chan struct{})}
	p.cmd = exec.CommandContext(alive, cfg.Path, cfg.Args[1:]...)
	p.cmd.Args[0] = cfg.Args[0]
	p.cmd.Env = append(environment(), cfg.Env...)
	p.cmd.ExtraFiles = []*os.File{theirs} // Descriptor
	p.cmd.Stdout, p.cmd.Stderr = p.said, p.said
	p.cmd.WaitDelay = grace / 4
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for the main process, which says goodbye
	}
	if err := p.cmd.Start(); err != nil {
		kill()
		ours.Close()
		return nil, fmt.Errorf("start worker: %w", err)
	}
	p.pid = p.cmd.Process.Pid
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // cmd.ProcessState tells more
	}()
	return p, nil
}

// environment is what a worker gets of this process's: all but RAVE's own settings, which hold the passwords of every
// camera. A worker needs none of them: all that it has to know is in its first message.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "RAVE_") })
}

// socketPair returns two connected sockets; neither is inherited unless it is asked for.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	file := os.NewFile(uintptr(pair[0]), "worker")
	defer file.Close()
	theirs = os.NewFile(uintptr(pair[1]), "worker")
	if ours, err = net.FileConn(file); err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("use socket pair: %w", err)
	}
	return ours, theirs, nil
}

// wait reports whether the process ends within d.
func (p *process) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.exited:
		return true
	case <-timer.C:
	}
	select { // both may have been ready
	case <-p.exited:
		return true
	default:
		return false
	}
}

// end kills what still runs, lets the reader take what was sent before, and frees everything. users are the goroutines
// that use the socket.
func (p *process) end(users *sync.WaitGroup) {
	p.kill()
	if !p.wait(grace) {
		p.said.log.Error("worker process cannot be killed; it is left alone", "pid", p.pid)
	}
	_ = p.conn.SetDeadline(time.Now().Add(grace / 4)) // nobody holds the other end any more: the reader sees its end
	users.Wait()
	p.conn.Close()
	p.said.close()
}

// cause tells by exit status and last words why the process has ended. Go's runtime catches the signals of crashes in C,
// writes what happened and exits with status 2.
func (p *process) cause() (reason string, err error) {
	if !p.wait(0) {
		return reasonExit, errors.New("it has not ended")
	}
	state := p.cmd.ProcessState
	words := p.said.words()
	err = errors.New(state.String())
	if starved := p.said.shortage(); starved != "" {
		return reasonMemory, fmt.Errorf("%w: %s", err, starved)
	}
	if words != "" {
		err = fmt.Errorf("%w: %s", err, words)
	}
	status, _ := state.Sys().(syscall.WaitStatus)
	switch {
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		return reasonKilled, err
	case status.Signaled() && status.Signal() == syscall.SIGSEGV, strings.Contains(words, "SIGSEGV"):
		return reasonSegfault, err
	case status.Signaled() && status.Signal() == syscall.SIGABRT, strings.Contains(words, "SIGABRT"):
		return reasonAbort, err
	case status.Signaled(), strings.Contains(words, "SIG"):
		return reasonSignal, err
	case words != "":
		return reasonPanic, err
	}
	return reasonExit, err
}

// The bounds of what a worker may write to its standard error.
const (
	maxLine     = 1 << 10
	linesAtOnce = 100 // a crash of Go's runtime tells much,
	traceLines  = 5   // of which these are not for debugging only
	linesEach   = 100 * time.Millisecond
)

// lines logs what a worker writes to its standard output and error, line by line. Of the trace of a crash only the
// beginning is worth a warning.
type lines struct {
	log *slog.Logger

	mu      sync.Mutex
	line    []byte
	crash   string // the line that tells of a crash
	trace   int    // lines since it came, itself included
	starved string // the line that tells of a failed allocation
	logged  int    // since refilled
	refill  time.Time
	omitted int
}

// Write implements io.Writer; it never fails.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		part, rest, complete := bytes.Cut(b, []byte{'\n'})
		l.line = append(l.line, part[:min(len(part), maxLine-len(l.line))]...)
		if b = rest; complete {
			l.put()
		}
	}
	return n, nil
}

func (l *lines) put() {
	text := strings.ToValidUTF8(strings.TrimRight(string(l.line), " \r\t"), "�")
	l.line = l.line[:0]
	if text == "" {
		return
	}
	if signal := strings.HasPrefix(text, "[signal SIG"); signal || l.crash == "" && crashed(text) {
		l.crash = text
	}
	if outOfMemory([]byte(text)) && l.starved == "" {
		l.starved = text
	}
	level := slog.LevelWarn
	if l.crash != "" {
		if l.trace++; l.trace > traceLines {
			level = slog.LevelDebug
		}
	}
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	now := time.Now()
	if back := int(now.Sub(l.refill) / linesEach); back > 0 {
		l.logged, l.refill = max(0, l.logged-back), now
	}
	if l.logged >= linesAtOnce {
		l.omitted++
		return
	}
	l.logged++
	l.log.Log(context.Background(), level, "worker wrote", "line", text)
}

// crashed recognises the line by which Go's runtime begins to tell of a crash.
func crashed(line string) bool {
	for _, sign := range []string{"SIGSEGV: ", "SIGABRT: ", "SIGBUS: ", "SIGFPE: ", "SIGILL: ", "SIGTRAP: ", "SIGQUIT: ", "panic: ", "fatal error: "} {
		if strings.HasPrefix(line, sign) {
			return true
		}
	}
	return false
}

func (l *lines) words() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crash
}

// shortage returns the line that tells of a failed allocation, or nothing.
func (l *lines) shortage() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.starved
}

// close logs what is left.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put()
	if l.omitted > 0 {
		l.log.Warn("worker wrote more than is logged", "lines", l.omitted)
	}
}
