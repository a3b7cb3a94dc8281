package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"rave/bench/camera"
	"rave/bench/clip"
	"rave/bench/peer"
	"rave/bench/process"
)

// password has what breaks URLs, and what looks like an escape.
const (
	password        = `p@ss#w!rd%41`
	passwordInURL   = `p@ss#w!rd%2541` // raw, but for the % that begins a valid escape
	passwordEscaped = `p%40ss%23w%21rd%2541`
)

// keepsSecret checks everything that the program says for traces of the password.
func keepsSecret(t *testing.T, p *program, paths ...string) {
	t.Helper()
	said := map[string]string{"the log": p.Output()}
	for _, page := range []string{"/", "/metrics", "/api/v1/status", "/readyz", "/ui/js/stream.js"} {
		_, body, err := p.get(page)
		if err != nil {
			t.Fatal(err)
		}
		said[page] = body
	}
	for _, path := range paths {
		_, answer, err := describe(p.rtsp, path)
		if err != nil {
			t.Fatal(err)
		}
		said["DESCRIBE "+path] = answer
	}
	for where, text := range said {
		for _, secret := range []string{
			password, passwordInURL, passwordEscaped, url.QueryEscape(password), url.PathEscape(password), "w!rd", "w%21rd",
			base64.StdEncoding.EncodeToString([]byte("admin:" + password)),
		} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s tells the password: %q", where, text[max(0, i-80):min(len(text), i+80)])
			}
		}
	}
}

func TestWrongCredentialsForTheCamera(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{User: "admin", Password: "another"})
	p := serve(ctx, t, settings{streams: fmt.Sprintf(`
  gate: {source: "rtsp://admin:%s@%s/stream", quality: [lanczos]}
  yard: {source: %q, username: admin, password: '%s', quality: [lanczos]}
  shed: {source: %q, quality: [lanczos]}`, passwordInURL, address(cam.URL), cam.URL, password, cam.URL)})
	for name, fix := range map[string]string{
		"gate": "check username and password of stream gate", "yard": "check username and password of stream yard",
		"shed": "set username and password of stream shed",
	} {
		p.says(ctx, `WARN.*no stream.*401.*`+fix)
		p.until(ctx, name, "the reason", func(s streamStatus) bool { return strings.Contains(s.Reason, fix) })
		if code, answer, err := describe(p.rtsp, name); err != nil || code != http.StatusNotFound || !strings.Contains(answer, fix) {
			t.Errorf("DESCRIBE %s: %d, %v, %q", name, code, err, answer)
		}
		if _, told, err := p.get("/api/v1/streams"); err != nil || !strings.Contains(told, fix) {
			t.Errorf("the page is not told %q: %v", fix, err)
		}
	}
	keepsSecret(t, p, "gate", "gate/original", "yard")
}

// A camera that offers digest is not told the password, however it was configured; one that offers only basic gets the
// right one.
func TestCredentialsForTheCamera(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]string{
		"in_the_URL":         `source: "rtsp://admin:` + passwordInURL + `@HOST/stream"`,
		"escaped_in_the_URL": `source: "rtsp://admin:` + passwordEscaped + `@HOST/stream"`,
		"as_keys":            `source: "rtsp://HOST/stream", username: admin, password: '` + password + `'`,
		"by_the_environment": `source: "rtsp://wrong:wrong@HOST/stream", username: admin`,
	} {
		for _, scheme := range []string{"Digest", "Basic"} {
			t.Run(name+"_"+scheme, func(t *testing.T) {
				t.Parallel()
				ctx := deadline(t)
				cam := startCamera(ctx, t, camera.Config{User: "admin", Password: password})
				hide := ""
				if scheme == "Basic" {
					hide = "WWW-Authenticate: Digest"
				}
				between := startRelay(t, address(cam.URL), hide)
				s := settings{streams: "  cam: {transport: tcp, quality: [lanczos], " + strings.ReplaceAll(keys, "HOST", between.address) + "}"}
				if name == "by_the_environment" {
					s.env = []string{"RAVE_STREAMS_CAM_PASSWORD=" + password}
				}
				p := serve(ctx, t, s)
				p.serves(ctx, "cam")
				wait(ctx, t, watch(t, p.url("cam"), "tcp"), fps)
				_, said := between.stats()
				other := map[string]string{"Digest": "Basic", "Basic": "Digest"}[scheme]
				if !strings.Contains(said, "Authorization: "+scheme+" ") || strings.Contains(said, "Authorization: "+other) || strings.Contains(said, "w!rd") {
					t.Errorf("the camera was told %q", said)
				}
				keepsSecret(t, p, "cam", "cam/original")
				knowsNoPassword(t, p.worker(ctx, "cam"))
			})
		}
	}
}

// hashed returns what `rave password` makes of a password.
func hashed(ctx context.Context, t *testing.T, password string) string {
	t.Helper()
	for _, name := range []string{"passwd", "password"} {
		cmd := exec.CommandContext(ctx, shared.binary, name)
		cmd.Stdin = strings.NewReader(password + "\n")
		if out, err := cmd.Output(); err == nil {
			return strings.TrimSpace(string(out))
		}
	}
	t.Fatal("neither `rave passwd` nor `rave password` hashes a password")
	return ""
}

func TestUsers(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"in_clear", "hashed"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			ctx := deadline(t)
			secret := fmt.Sprintf("password: '%s'", password)
			if kind == "hashed" {
				secret = fmt.Sprintf("password_hash: '%s'", hashed(ctx, t, password))
			}
			cam := startCamera(ctx, t, camera.Config{})
			p := serve(ctx, t, settings{
				auth: "admin:" + password,
				extra: fmt.Sprintf(`users:
- {name: admin, %[1]s, permissions: [read, status]}
- {name: viewer, %[1]s, permissions: [read], streams: [cam]}
- {name: sender, %[1]s, permissions: [publish]}`, secret),
				streams: fmt.Sprintf("  cam: {source: %q, quality: [lanczos]}\n  studio: {source: publish, quality: [lanczos]}", cam.URL),
			})
			p.until(ctx, "cam", "pictures", func(s streamStatus) bool { return s.Enhancer == "lanczos" })
			credentials := func(user, password string) string {
				return "rtsp://" + url.UserPassword(user, password).String() + "@" + p.rtsp + "/"
			}
			for _, path := range []string{"cam", "cam/original"} {
				if code, answer, err := describe(p.rtsp, path); err != nil || code != http.StatusUnauthorized || !strings.Contains(answer, "WWW-Authenticate: ") ||
					strings.Contains(answer, "Digest") != (kind == "in_clear") {
					t.Errorf("DESCRIBE %s without credentials: %d, %v, %q", path, code, err, answer)
				}
				for _, transport := range []string{"tcp", "udp"} {
					wait(ctx, t, watch(t, credentials("viewer", password)+path, transport), 3)
				}
				for what, base := range map[string]string{
					"a wrong password": credentials("viewer", "wrong"), "a user who may not": credentials("sender", password), "nobody": p.url(""),
				} {
					refused(ctx, t, what+" reads "+path, base+path)
				}
			}
			refused(ctx, t, "a viewer of another stream", credentials("viewer", password)+"studio")
			p.says(ctx, "credentials refused")

			for auth, want := range map[string]int{
				"": http.StatusUnauthorized, "admin:wrong": http.StatusUnauthorized, "viewer:" + password: http.StatusForbidden, p.auth: http.StatusOK,
			} {
				for _, page := range []string{"/", "/metrics", "/api/v1/status"} {
					want := want
					if page == "/" && auth == "viewer:"+password {
						want = http.StatusOK // which shows what may be read
					}
					if code, _, err := get("http://"+p.http+page, auth); err != nil || code != want {
						t.Errorf("%s as %q: %d, %v; want %d", page, auth, code, err, want)
					}
				}
			}
			if code, body, err := get("http://"+p.http+"/readyz", ""); err != nil || code != http.StatusOK || strings.Contains(body, "cam") {
				t.Errorf("/readyz for everybody: %d, %v, %s", code, err, body)
			}

			path := makeClip(ctx, t, clip.Params{})
			publish(ctx, t, path, credentials("sender", password)+"studio", "tcp")
			p.until(ctx, "studio", "the publisher is let in", func(s streamStatus) bool { return s.State == "online" })
			keepsSecret(t, p, "cam")
		})
	}
}

// refused checks that a reader is sent away.
func refused(ctx context.Context, t *testing.T, who, url string) {
	t.Helper()
	args := strings.Fields("-hide_banner -nostdin -v error -rtsp_transport tcp -i " + url + " -frames:v 1 -f null -")
	r, err := process.Start(process.Config{Name: "reader", Path: peer.Need(t, peer.FFmpeg), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	select {
	case <-r.Done():
	case <-ctx.Done():
		t.Fatalf("%s: no answer", who)
	}
	if out := r.Output(); r.ExitCode() == 0 || !strings.Contains(out, "401") && !strings.Contains(out, "403") {
		t.Errorf("%s was not refused: %s", who, out)
	}
}
