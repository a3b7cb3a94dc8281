package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/process"
	"rave/bench/reader"
	"rave/bench/whep"
)

// follow changes the configuration file and waits until the program has tried to follow it for the nth time with that
// result.
func (p *program) follow(ctx context.Context, yaml string, how func(*program, string), result string, n int) {
	p.t.Helper()
	how(p, yaml)
	eventually(ctx, p.t, fmt.Sprintf("reload %d with result %s", n, result), func() error {
		if got := p.metric("rave_config_reloads_total", fmt.Sprintf("result=%q", result)); got != float64(n) {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

// The ways of changing a file. With SIGHUP the change is not noticed before: both come within a look at the file.
func hangup(p *program, yaml string) {
	written(p, yaml)
	if err := p.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
}

func written(p *program, yaml string) {
	if err := os.WriteFile(p.file, []byte(yaml), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// renamed is what careful editors do.
func renamed(p *program, yaml string) {
	if err := os.WriteFile(p.file+".new", []byte(yaml), 0o600); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Rename(p.file+".new", p.file); err != nil {
		p.t.Fatal(err)
	}
}

// gone waits until a reader has been disconnected.
func gone(ctx context.Context, t *testing.T, what string, r *reader.Reader) {
	t.Helper()
	select {
	case <-r.Done():
	case <-ctx.Done():
		t.Fatalf("%s is still there", what)
	}
}

// connected fails if a reader has been disconnected.
func connected(t *testing.T, what string, r *reader.Reader) {
	t.Helper()
	select {
	case <-r.Done():
		t.Fatalf("%s was disconnected", what)
	default:
	}
}

// TestReload adds, removes and changes streams five times. Two streams are never touched: their readers keep their
// connection, their workers go on, and those of the originals lose no frame. Of the enhanced pictures the slow one loses
// none, and the one at a usual rate none that RAVE does not count as given up because the machine was busy. The readers
// of the one that changes stay as well, and those of its original lose nothing while only the picture changes.
func TestReload(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam, second := startCamera(ctx, t, camera.Config{}), startCamera(ctx, t, camera.Config{})
	line := func(name string, cam *camera.Process, keys string) string {
		return fmt.Sprintf("  %s: {source: %q, transport: tcp, %s, %s}\n", name, cam.URL, quick, keys)
	}
	// A lower rate forgives that the machine is busy starting workers: two pictures wait before one is dropped.
	slow := startCamera(ctx, t, camera.Config{FPS: 4})
	usual := startCamera(ctx, t, camera.Config{Clip: makeClip(ctx, t, clip.Params{FPS: slowFPS, Frames: slowLoop})})
	lanczos := "quality: [lanczos]"
	untouched := line("untouched", slow, lanczos) + line("usual", usual, lanczos)
	first := settings{streams: untouched + line("changes", cam, lanczos) + line("goes", cam, lanczos)}
	p := serve(ctx, t, first)
	readers, busy := map[string]*reader.Reader{}, 0.0
	for _, path := range []string{"untouched", "untouched/original", "usual", "usual/original", "changes", "changes/original", "goes"} {
		p.serves(ctx, path)
		if path == "usual" {
			busy = p.gaveUp(path)
		}
		readers[path] = watch(t, p.url(path), "tcp")
		wait(ctx, t, readers[path], 3)
	}
	workers := map[string]int{"untouched": p.worker(ctx, "untouched"), "usual": p.worker(ctx, "usual")}
	for i, step := range []struct {
		how     func(*program, string)
		streams string
		says    string
		check   func()
	}{
		{hangup, line("changes", cam, "quality: [luma-copy-x2, lanczos]") + untouched, `why=SIGHUP added=\[\] removed=\[goes\] changed=\[changes\] unchanged="?\[untouched usual\]`, func() {
			gone(ctx, t, "a reader of a stream that was removed", readers["goes"])
			if code, answer, err := describe(p.rtsp, "goes"); err != nil || code != http.StatusNotFound {
				t.Errorf("a stream that was removed: %d, %v, %s", code, err, answer)
			}
			for _, page := range []string{"/metrics", "/api/v1/status", "/"} {
				if _, body, err := p.get(page); err != nil || strings.Contains(body, "goes") {
					t.Errorf("%s has a stream that was removed: %v\n%s", page, err, body)
				}
			}
			p.until(ctx, "changes", "the model serves", func(s streamStatus) bool { return s.Enhancer == "luma-copy-x2" })
			if c := count(readers["changes/original"].Seen(), loop); c.lost+c.unreadable > 0 {
				t.Errorf("the original of a stream whose picture changed: %v", c)
			}
		}},
		{renamed, untouched + line("changes", cam, "quality: [luma-copy-x2, lanczos], output: {scale: 1}") + line("comes", second, lanczos),
			`why="the file has changed" added=\[comes\] removed=\[\] changed=\[changes\]`, func() {
				p.serves(ctx, "comes")
				wait(ctx, t, watch(t, p.url("comes"), "tcp"), 3)
				if c := count(readers["changes/original"].Seen(), loop); c.lost+c.unreadable > 0 {
					t.Errorf("the original of a stream whose picture changed: %v", c)
				}
			}},
		{written, untouched + line("changes", second, "quality: [luma-copy-x2, lanczos], output: {scale: 1}") + line("goes", cam, lanczos),
			`added=\[goes\] removed=\[comes\] changed=\[changes\]`, func() {
				p.serves(ctx, "goes")
				wait(ctx, t, watch(t, p.url("goes"), "tcp"), 3)
			}},
		{hangup, first.streams, `added=\[\] removed=\[\] changed=\[changes\] unchanged="?\[untouched usual goes\]`, func() {}},
		{hangup, first.streams, `changed=\[\] unchanged="?\[untouched usual changes goes\]`, func() {}},
	} {
		next := first
		next.streams = step.streams
		p.follow(ctx, next.yaml(p.rtsp, p.http, p.rtp), step.how, "ok", i+1)
		p.says(ctx, "configuration reloaded.*"+step.says)
		for _, path := range []string{"changes", "changes/original"} {
			connected(t, path, readers[path])
			wait(ctx, t, readers[path], fps)
		}
		step.check()
	}
	for stream, worker := range workers {
		if now := p.worker(ctx, stream); now != worker {
			t.Errorf("the worker of the untouched stream %s went from %d to %d", stream, worker, now)
		}
	}
	delete(readers, "goes")
	// Passing packets on needs no encoder: the original loses nothing, however busy the machine is.
	if c := count(readers["usual/original"].Seen(), slowLoop); c != (counts{}) {
		t.Errorf("usual/original: %v; dropped by RAVE: %s", c, drops(t, p, "usual"))
	}
	unharmed(ctx, t, p, "usual", readers["usual"], slowLoop, busy)
	for path, r := range readers {
		connected(t, path, r)
		ascending(t, r)
		if strings.HasPrefix(path, "usual") {
			continue // seen to above, in its own loop
		}
		if c := count(r.Seen(), loop); c.unreadable > 0 || strings.HasPrefix(path, "untouched") && (c != counts{}) {
			t.Errorf("%s: %v; dropped by RAVE: %v", path, c, p.metric("rave_frames_dropped_total", `stream="untouched"`))
		}
	}
}

// TestBadReload: a file with a mistake changes nothing, and the log, the metrics and the page say why, without secrets.
func TestBadReload(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{FPS: 4})
	good := settings{streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}", cam.URL)}
	p := serve(ctx, t, good)
	p.serves(ctx, "cam")
	r := watch(t, p.url("cam"), "tcp")
	wait(ctx, t, r, 3)
	worker := p.worker(ctx, "cam")
	with := func(more string) string {
		s := good
		s.streams = "  new: {source: 'rtsp://admin:" + passwordInURL + "@127.0.0.1:9/x'}\n" + more
		return s.yaml(p.rtsp, p.http, p.rtp)
	}
	for i, c := range []struct {
		how  func(*program, string)
		yaml string
		says string
	}{
		{hangup, with("\tx"), `rave.yaml:1\d: not valid YAML`},
		{renamed, with("  cam: {sorce: publish}"), `rave.yaml:1\d: streams.cam.sorce: unknown key; did you mean source`},
		{written, with("  cam: {source: publish, quality: [live-x3]}"), `rave.yaml:1\d: streams.cam.quality.0.: .*live-x3.* is not a known enhancer`},
		{hangup, strings.Replace(with(""), p.rtsp, "127.0.0.1:9999", 1),
			`rave.yaml:2: rtsp.listen: is .*127.0.0.1:9999.* now, and was .*` + p.rtsp + `.* cannot change while RAVE runs; restart rave`},
		{func(p *program, _ string) { _ = errors.Join(os.Remove(p.file), syscall.Mkfifo(p.file, 0o600)) }, "", `rave.yaml is not a regular file .prw-------.; save`},
		{func(p *program, _ string) { _ = os.Remove(p.file) }, "", `read configuration: stat .*rave.yaml: no such file`},
	} {
		p.follow(ctx, c.yaml, c.how, "error", i+1)
		p.says(ctx, "ERROR.*configuration not reloaded.*"+c.says)
		if f := p.configuration(); f.Path != p.file || f.Error == "" {
			t.Errorf("the status says %+v", f)
		}
		if n := p.gauge("rave_config_last_reload_successful"); n != 0 {
			t.Errorf("rave_config_last_reload_successful is %v", n)
		}
		if _, err := p.stream("new"); err == nil {
			t.Errorf("a stream of a file with a mistake runs")
		}
	}
	wait(ctx, t, r, 3)
	connected(t, "the reader", r)
	if c := count(r.Seen(), loop); c != (counts{}) {
		t.Errorf("the reader: %v", c)
	}
	if now := p.worker(ctx, "cam"); now != worker {
		t.Errorf("the worker went from %d to %d", worker, now)
	}
	p.follow(ctx, good.yaml(p.rtsp, p.http, p.rtp), written, "ok", 1)
	if f := p.configuration(); f.Error != "" || p.gauge("rave_config_last_reload_successful") != 1 {
		t.Errorf("the file is good again, and the status says %+v", f)
	}
	keepsSecret(t, p, "cam")
}

// configuration is what the status says of the file.
func (p *program) configuration() (f struct{ Path, Error string }) {
	p.t.Helper()
	_, body, err := p.get("/api/v1/status")
	all := struct{ Config any }{&f}
	if err == nil {
		err = json.Unmarshal([]byte(body), &all)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return f
}

// TestReloadOfUsers: a user whose password or token is another one is disconnected and does not come in again, by RTSP, HTTP
// and WebRTC, reading and publishing; the others stay.
func TestReloadOfUsers(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{FPS: 4})
	user := func(name, word string) string {
		return fmt.Sprintf("- {name: %s, password: '%s', permissions: [read, status]}\n", name, word)
	}
	token := func(token string) string {
		return fmt.Sprintf("- {name: obs, token_hash: 'sha256:%x', permissions: [publish]}\n", sha256.Sum256([]byte(token)))
	}
	s := settings{
		auth: "bob:" + password, extra: "users:\n" + user("alice", password) + user("bob", password) + token("first"),
		streams: fmt.Sprintf("  cam: {source: %q, transport: tcp, quality: [lanczos]}\n  studio: {source: publish, quality: [lanczos]}", cam.URL),
	}
	p := serve(ctx, t, s)
	p.until(ctx, "cam", "pictures", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
	address := func(name string) string {
		return "rtsp://" + url.UserPassword(name, password).String() + "@" + p.rtsp + "/cam"
	}
	alice, bob := watch(t, address("alice"), "tcp"), watch(t, address("bob"), "tcp")
	wait(ctx, t, alice, 3)
	wait(ctx, t, bob, 3)
	aliceSees, bobSees := p.look(ctx, "alice"), p.look(ctx, "bob")
	studio := soundClip(ctx, t)
	obs := whip(t, studio, "http://"+p.http+"/studio/whip", "-authorization", "first")
	p.until(ctx, "studio", "the publisher is there", func(s streamStatus) bool { return s.State == "online" })
	p.auth = "alice:" + password
	s.extra = "users:\n" + user("alice", password) + user("bob", "another") + token("second")
	p.follow(ctx, s.yaml(p.rtsp, p.http, p.rtp), hangup, "ok", 1)
	gone(ctx, t, "a reader whose password is another one", bob)
	select {
	case <-bobSees.Failed():
	case <-ctx.Done():
		t.Fatal("a viewer whose password is another one is still there")
	}
	p.says(ctx, "publisher gone.*the users have changed")
	p.until(ctx, "studio", "the publisher has gone", func(s streamStatus) bool { return s.State != "online" })
	obs.Kill()
	if _, err := whip(t, studio, "http://"+p.http+"/studio/whip", "-authorization", "first").Line(ctx, "401"); err != nil {
		t.Errorf("the old token still publishes: %v", err)
	}
	refused(ctx, t, "bob with the old password", address("bob"))
	if code, _, err := get("http://"+p.http+"/", "bob:"+password); err != nil || code != http.StatusUnauthorized {
		t.Errorf("bob sees the page with the old password: %d, %v", code, err)
	}
	if code, _, err := get("http://"+p.http+"/", "bob:another"); err != nil || code != http.StatusOK {
		t.Errorf("bob does not see the page: %d, %v", code, err)
	}
	wait(ctx, t, alice, 3)
	aliceSees.more(ctx, t, 3)
	if c := count(alice.Seen(), loop); c != (counts{}) {
		t.Errorf("alice: %v", c)
	}
	keepsSecret(t, p, "cam")
}

// look is what somebody sees of the camera with the password.
type look struct {
	*whep.Viewer
	*whep.Counter
}

// look watches the original with the password of the tests.
func (p *program) look(ctx context.Context, user string) look {
	p.t.Helper()
	c := whep.NewCounter()
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	v, err := whep.Connect(ctx, whep.Config{URL: "http://" + p.http + "/cam/original/whep", Header: r.Header, OnPacket: c.Packet})
	if err != nil {
		p.t.Fatalf("%s: %v", user, err)
	}
	p.t.Cleanup(v.Close)
	if err := v.Wait(c.Keyframe(), limit/3); err != nil {
		p.t.Fatalf("%s: %v", user, err)
	}
	return look{v, c}
}

// more waits for so many further pictures.
func (l look) more(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	until := l.Count().Pictures + n
	eventually(ctx, t, fmt.Sprintf("%d further pictures", n), func() error {
		if now := l.Count().Pictures; now < until {
			return fmt.Errorf("%d of %d pictures came", now, until)
		}
		return nil
	})
}

// Without a file SIGHUP, as the closing of a terminal sends it, ends serve in order.
func TestHangupWithoutAFile(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("nohup runs this test, so what it starts ignores SIGHUP as well")
	}
	t.Parallel()
	ctx := deadline(t)
	p := &program{t: t, rtsp: freeAddress(t), http: freeAddress(t)}
	var err error
	p.Process, err = process.Start(process.Config{Name: "rave", Path: shared.binary, Args: []string{"serve", "rtsp://127.0.0.1:9/x"},
		Env: []string{"RAVE_RTSP_LISTEN=" + p.rtsp, "RAVE_RTSP_UDP=false", "RAVE_HTTP_LISTEN=" + p.http}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.finish)
	if err := p.listens(ctx); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatal("it goes on")
	}
	if code := p.ExitCode(); code != 0 || !strings.Contains(p.Output(), "msg=stopped") {
		t.Errorf("exit status %d", code)
	}
}
