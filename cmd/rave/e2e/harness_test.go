package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rave/bench/process"
)

// limit is how long a test may take; everything in it is far below on an idle machine.
const limit = 90 * time.Second

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// eventually asks until the answer is nil. The last answer is what a failure shows.
func eventually(ctx context.Context, t *testing.T, what string, ask func() error) {
	t.Helper()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// program is a running RAVE.
type program struct {
	*process.Process
	t    *testing.T
	rtsp string // address
	http string // address
	auth string // user:password for HTTP
	file string // the configuration
	rtp  int    // UDP port
}

// settings say how to run it.
type settings struct {
	streams string // YAML below streams:
	extra   string // more YAML, at the top level
	library string // of ONNX Runtime; "" is the real one
	models  string // YAML below models:, beside those of the tests
	env     []string
	auth    string // user:password for HTTP
	binary  string // the program; "" is the one under test
	shell   string // the script that starts it: exec "$0" "$@", with redirections or limits; "" is none
}

func (s settings) yaml(rtsp, http string, rtpPort int) string {
	library := s.library
	if library == "" {
		library = shared.library
	}
	testdata := filepath.Join(shared.root, "engine", "model", "testdata")
	return fmt.Sprintf(`log: {level: debug}
rtsp: {listen: %q, rtp_port: %d}
http: {listen: %q}
onnxruntime: {library: %q}
models:
  luma-copy-x2: %q
  luma-slow-x2: %q
%s
%s
streams:
%s
`, rtsp, rtpPort, http, library, filepath.Join(testdata, "luma-copy-x2.onnx"), filepath.Join(testdata, "luma-slow-x2.onnx"),
		s.models, s.extra, s.streams)
}

// serve starts RAVE and waits until it answers. It is stopped with the test, which must be in order and in time.
func serve(ctx context.Context, t *testing.T, s settings) *program {
	t.Helper()
	for attempt := 1; ; attempt++ {
		p := launch(t, s)
		err := p.listens(ctx)
		if err != nil && strings.Contains(p.Output(), "address already in use") && attempt < 4 {
			continue // somebody else took the port that was free
		}
		t.Cleanup(p.finish)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
}

// launch starts RAVE and does not wait.
func launch(t *testing.T, s settings) *program {
	t.Helper()
	p := &program{t: t, rtsp: freeAddress(t), http: freeAddress(t), auth: s.auth, rtp: freeUDPPair(t)}
	p.file = filepath.Join(t.TempDir(), "rave.yaml")
	if err := os.WriteFile(p.file, []byte(s.yaml(p.rtsp, p.http, p.rtp)), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	cfg := process.Config{Name: "rave", Path: cmp.Or(s.binary, shared.binary), Args: []string{"serve", "-c", p.file}, Env: s.env}
	if s.shell != "" {
		cfg.Path, cfg.Args = "/bin/sh", append([]string{"-c", s.shell, cfg.Path}, cfg.Args...)
	}
	p.Process, err = process.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// listens waits until the program answers.
func (p *program) listens(ctx context.Context) error {
	for {
		if _, _, err := p.get("/healthz"); err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("rave ended with status %d", p.ExitCode())
		case <-ctx.Done():
			return errors.New("rave does not answer")
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// finish stops the program and, if the test failed, prints what it said.
func (p *program) finish() {
	p.t.Helper()
	ended := false
	select {
	case <-p.Done():
		ended = true
	default:
	}
	if err := p.Stop(limit / 2); err != nil && !ended {
		p.t.Errorf("%v", err)
	} else if !ended && p.ExitCode() != 0 {
		p.t.Errorf("exit status %d after SIGTERM", p.ExitCode())
	}
	for _, bad := range []string{"panic:", "DATA RACE", "fatal error:", "orderly end took too long"} {
		if strings.Contains(p.Output(), bad) {
			p.t.Errorf("the log has %q", bad)
		}
	}
	if p.t.Failed() {
		p.t.Logf("the program's log:\n%s", ends(p.Output(), 60, 140))
	}
}

// ends shortens a text to its first and last lines.
func ends(text string, first, last int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) <= first+last {
		return strings.Join(lines, "\n")
	}
	return strings.Join(lines[:first], "\n") + fmt.Sprintf("\n… %d lines …\n", len(lines)-first-last) +
		strings.Join(lines[len(lines)-last:], "\n")
}

// says waits for a line of the log.
func (p *program) says(ctx context.Context, pattern string) []string {
	p.t.Helper()
	match, err := p.Line(ctx, pattern)
	if err != nil {
		p.t.Fatalf("%v", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	return match
}

func (p *program) url(path string) string { return "rtsp://" + p.rtsp + "/" + path }

// get fetches a page of the program.
func (p *program) get(path string) (status int, body string, err error) {
	return get("http://"+p.http+path, p.auth)
}

func get(url, auth string) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if user, password, ok := strings.Cut(auth, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Timeout: limit / 4}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// status is what the tests read of /api/v1/status.
type status struct {
	Streams []streamStatus `json:"streams"`
}

type streamStatus struct {
	Name       string `json:"name"`
	State      string `json:"state"`
	Reason     string `json:"reason"`
	Asleep     bool   `json:"asleep"`
	Reconnects int    `json:"reconnects"`
	Plan       string `json:"plan"`
	Enhancer   string `json:"enhancer"`
	Enhancers  []struct {
		Name   string  `json:"name"`
		Share  float64 `json:"share"`
		Reason string  `json:"reason"`
		Code   string  `json:"reason_code"`
	} `json:"enhancers"`
	Readers struct {
		Enhanced int `json:"enhanced"`
		Original int `json:"original"`
	} `json:"readers"`
}

func (p *program) stream(name string) (streamStatus, error) {
	code, body, err := p.get("/api/v1/status")
	if err != nil {
		return streamStatus{}, err
	}
	var all status
	if err := json.Unmarshal([]byte(body), &all); err != nil || code != http.StatusOK {
		return streamStatus{}, fmt.Errorf("status %d: %w", code, err)
	}
	for _, s := range all.Streams {
		if s.Name == name {
			return s, nil
		}
	}
	return streamStatus{}, fmt.Errorf("no stream %s in %s", name, body)
}

// until waits for a stream's status to be right.
func (p *program) until(ctx context.Context, name, what string, right func(streamStatus) bool) streamStatus {
	p.t.Helper()
	var s streamStatus
	eventually(ctx, p.t, what, func() error {
		var err error
		if s, err = p.stream(name); err != nil {
			return err
		}
		if !right(s) {
			return fmt.Errorf("status is %+v", s)
		}
		return nil
	})
	return s
}

var sample = regexp.MustCompile(`(?m)^([a-z_]+)\{([^}]*)\} ([0-9.e+-]+)$`)

// metric sums the samples of a metric whose labels contain each of the given ones, such as `stream="cam"`.
func (p *program) metric(name string, labels ...string) float64 {
	p.t.Helper()
	_, body, err := p.get("/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	sum := 0.0
next:
	for _, m := range sample.FindAllStringSubmatch(body, -1) {
		if m[1] != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(m[2], l) {
				continue next
			}
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			p.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// gauge is the value of a metric without labels.
func (p *program) gauge(name string) float64 {
	p.t.Helper()
	_, body, err := p.get("/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(body)
	if m == nil {
		p.t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// serves waits until DESCRIBE of a path succeeds.
func (p *program) serves(ctx context.Context, path string) {
	p.t.Helper()
	eventually(ctx, p.t, "DESCRIBE "+path, func() error {
		code, answer, err := describe(p.rtsp, path)
		if err == nil && code != http.StatusOK {
			err = errors.New(answer)
		}
		return err
	})
}

// describe sends a bare DESCRIBE and returns the status code and all that was answered.
func describe(address, path string, header ...string) (code int, answer string, err error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return 0, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(limit / 2))
	request := fmt.Sprintf("DESCRIBE rtsp://%s/%s RTSP/1.0\r\nCSeq: 1\r\n", address, path)
	for _, h := range header {
		request += h + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return 0, "", err
	}
	code, answer, err = readAnswer(conn)
	return code, answer, err
}

// readAnswer reads one RTSP answer (RFC 2326 section 7).
func readAnswer(conn io.Reader) (code int, answer string, err error) {
	var text strings.Builder
	one := make([]byte, 1)
	for !strings.HasSuffix(text.String(), "\r\n\r\n") {
		if _, err := io.ReadFull(conn, one); err != nil {
			return 0, text.String(), fmt.Errorf("read answer: %w after %q", err, text.String())
		}
		text.Write(one)
	}
	if _, err := fmt.Sscanf(text.String(), "RTSP/1.0 %d", &code); err != nil {
		return 0, text.String(), fmt.Errorf("no RTSP answer: %q", text.String())
	}
	if m := regexp.MustCompile(`(?mi)^content-length: *(\d+)`).FindStringSubmatch(text.String()); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 32)
		if err != nil {
			return code, text.String(), err
		}
		if _, err := io.CopyN(&text, conn, n); err != nil {
			return code, text.String(), err
		}
	}
	return code, text.String(), nil
}

// freeAddress is one on loopback that nobody listens at. It lies below the ports that the system hands out by itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(8000))
		if l, err := net.Listen("tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// freeUDPPair is an even port that is free with the one after it.
func freeUDPPair(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 2 * (20500 + rand.IntN(6000))
		a, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		b, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port+1))
		_ = a.Close()
		if err != nil {
			continue
		}
		_ = b.Close()
		return port
	}
	t.Fatal("no free pair of UDP ports")
	return 0
}
