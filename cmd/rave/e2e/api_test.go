package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rave/bench/camera"
	"rave/bench/process"
)

// post sends JSON to the program and decodes what it answers.
func (p *program) post(path string, body, into any) int {
	p.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	client := http.Client{Timeout: limit / 2}
	resp, err := client.Post("http://"+p.http+path, "application/json", bytes.NewReader(data))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		p.t.Fatalf("POST %s: %d, %v", path, resp.StatusCode, err)
	}
	return resp.StatusCode
}

// TestAddCamera looks at a camera, adds it to the configuration file, and reads from it at once.
func TestAddCamera(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	cam := startCamera(ctx, t, camera.Config{User: "admin", Password: password, Audio: camera.PCMA})
	p := serve(ctx, t, settings{streams: "  # the first\n  studio: {source: publish}   # by phone"})
	before, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	login := map[string]any{"url": cam.URL, "username": "admin", "password": password}
	var refused struct{ Detail string }
	for detail, body := range map[string]map[string]any{
		"check username and password": {"url": cam.URL, "username": "admin", "password": "w!rd-wrong"},
		"is not a source":             {"url": "http://camera"},
		"is the camera on":            {"url": "rtsp://" + freeAddress(t) + "/x"},
	} {
		if code := p.post("/api/v1/probe", body, &refused); code < 400 || !strings.Contains(refused.Detail, detail) || strings.Contains(refused.Detail, "w!rd") {
			t.Errorf("probe %v: %d %s", body["url"], code, refused.Detail)
		}
	}
	var found struct {
		Video struct {
			Codec, Size  string
			FPS, Bitrate float64
		}
		Audio   []struct{ Codec string }
		Preview []byte
	}
	if code := p.post("/api/v1/probe", login, &found); code != http.StatusOK {
		t.Fatalf("probe: %d", code)
	}
	if v := found.Video; v.Codec != "h264" || v.Size == "" || v.FPS < fps-1 || v.FPS > fps+1 || v.Bitrate <= 0 || len(found.Audio) != 1 || found.Audio[0].Codec != "pcma" {
		t.Errorf("found %+v", found)
	}
	preview, err := jpeg.Decode(bytes.NewReader(found.Preview))
	if err != nil {
		t.Errorf("the preview: %v", err)
	} else if got := fmt.Sprintf("%dx%d", preview.Bounds().Dx(), preview.Bounds().Dy()); got != found.Video.Size {
		t.Errorf("the preview has %s, and the camera %s", got, found.Video.Size)
	}
	var added struct{ Name, Detail string }
	add := map[string]any{"name": "yard", "source": cam.URL, "username": "admin", "password": password, "transport": "tcp", "quality": []string{"lanczos"}}
	if code := p.post("/api/v1/streams", add, &added); code != http.StatusCreated || added.Name != "yard" {
		t.Fatalf("add: %d %+v", code, added)
	}
	p.serves(ctx, "yard")
	wait(ctx, t, watch(t, p.url("yard"), "tcp"), fps)
	for _, variant := range []string{"enhanced", "original", "compare"} {
		p.snapshot("yard", variant)
	}
	after, err := os.ReadFile(p.file)
	if err != nil || !bytes.HasPrefix(after, bytes.TrimRight(before, "\n")) {
		t.Errorf("the file, %v:\n%s\nwas\n%s", err, after, before)
	}
	for body, want := range map[string]int{"yard": http.StatusConflict, "metrics": http.StatusUnprocessableEntity} {
		add["name"] = body
		if code := p.post("/api/v1/streams", add, &added); code != want || added.Detail == "" {
			t.Errorf("add %s: %d %+v", body, code, added)
		}
	}
	if again, err := os.ReadFile(p.file); err != nil || !bytes.Equal(again, after) {
		t.Errorf("what was refused has changed the file: %v\n%s", err, again)
	}
	keepsSecret(t, p, "yard")
	followEvents(ctx, t, p)
}

// snapshot fetches the latest picture of a stream, at a width that it does not have, and checks that it is of now.
func (p *program) snapshot(name, variant string) {
	p.t.Helper()
	began := time.Now()
	resp, err := http.Get("http://" + p.http + "/api/v1/streams/" + name + "/snapshot.jpg?width=120&variant=" + variant)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	picture, err := jpeg.Decode(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Errorf("snapshot %s: %d, %v", variant, resp.StatusCode, err)
		return
	}
	age, err := strconv.ParseFloat(resp.Header.Get("Rave-Frame-Age-Ms"), 64)
	p.t.Logf("snapshot %s: %v after %v, its picture %v ms old", variant, picture.Bounds(), time.Since(began), age)
	if enhancer := resp.Header.Get("Rave-Enhancer"); err != nil || age < 0 || age > 5000 || picture.Bounds().Dx() != 120 || (enhancer == "") != (variant == "original") {
		p.t.Errorf("snapshot %s: %v, age %v ms (%v), by %q", variant, picture.Bounds(), age, err, enhancer)
	}
}

// followEvents reads events until they tell of a stream that gets pictures.
func followEvents(ctx context.Context, t *testing.T, p *program) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var streams []struct {
			Name   string
			Output struct{ FPS float64 }
		}
		if err := json.Unmarshal([]byte(data), &streams); err != nil {
			t.Fatal(err)
		}
		for _, s := range streams {
			if s.Name == "yard" && s.Output.FPS > 1 {
				return
			}
		}
	}
	t.Errorf("the events ended: %v", lines.Err())
}

// certificateFiles writes a certificate for 127.0.0.1 and its key.
func certificateFiles(t *testing.T, cert, key, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// overTLS asks for a page whatever the certificate is, and returns that.
func overTLS(address, path, auth string) (code int, body string, cert *x509.Certificate, err error) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, "https://"+address+path, nil)
	if err != nil {
		return 0, "", nil, err
	}
	if user, password, ok := strings.Cut(auth, ":"); ok {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Transport: tr, Timeout: limit / 4}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), resp.TLS.PeerCertificates[0], err
}

// TestHTTPS serves with a certificate, and with another one after SIGHUP. One that is broken changes nothing.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificateFiles(t, cert, key, "first")
	page := freeAddress(t)
	file := filepath.Join(dir, "rave.yaml")
	yaml := fmt.Sprintf("rtsp: {listen: %q, udp: false}\nhttp: {listen: %q, tls: {certificate: cert.pem, key: key.pem}}\n"+
		"webrtc: {listen: \"127.0.0.1:0\", tcp_listen: \"127.0.0.1:0\"}\nstreams: {cam: {source: publish}}\n", freeAddress(t), page)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	ps, err := process.Start(process.Config{Name: "rave", Path: shared.binary, Args: []string{"serve", "-c", file}})
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Process: ps, t: t, http: page, file: file}
	t.Cleanup(p.finish)
	serves := func(name string) {
		t.Helper()
		eventually(ctx, t, "the certificate "+name, func() error {
			code, _, leaf, err := overTLS(page, "/api/v1/streams", "")
			if err == nil && (code != http.StatusOK || leaf.Subject.CommonName != name) {
				err = fmt.Errorf("%d, %s", code, leaf.Subject)
			}
			return err
		})
	}
	serves("first")
	certificateFiles(t, cert, key, "second")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	serves("second")
	if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.says(ctx, `configuration not reloaded.*http\.tls.*PEM`)
	serves("second")
}

// TestLAN has the page for the local network: by HTTPS, with a password that is printed with the address.
func TestLAN(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	page := freeAddress(t)
	_, port, _ := net.SplitHostPort(page)
	ps, err := process.Start(process.Config{Name: "rave", Path: shared.binary, Args: []string{"serve", "--lan"}, Env: []string{
		"RAVE_RTSP_LISTEN=" + freeAddress(t), "RAVE_RTSP_UDP=false", "RAVE_HTTP_LISTEN=" + page, "RAVE_WEBRTC_LISTEN=127.0.0.1:0",
		"RAVE_WEBRTC_TCP_LISTEN=127.0.0.1:0", "XDG_STATE_HOME=" + t.TempDir(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	p := &program{Process: ps, t: t, http: page}
	t.Cleanup(p.finish)
	p.says(ctx, `^    https://.*:`+port+`/$`)
	secret := p.says(ctx, `Log in as rave with the password (\S+)$`)[1]
	fingerprint := p.says(ctx, `^((?:[0-9A-F]{2}:){31}[0-9A-F]{2})$`)[1]
	p.says(ctx, `stream camera: https://.*:`+port+`/camera/publish$`)
	eventually(ctx, t, "the page", func() error {
		code, body, cert, err := overTLS(page, "/api/v1/streams", "rave:"+secret)
		if err != nil {
			return err
		}
		if got := regexp.MustCompile("..").FindAllString(fmt.Sprintf("%X", sha256.Sum256(cert.Raw)), -1); strings.Join(got, ":") != fingerprint {
			t.Errorf("the certificate is %v, not %s", got, fingerprint)
		}
		if code != http.StatusOK || !strings.Contains(body, `"camera"`) {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	})
	if code, body, _, err := overTLS(page, "/api/v1/streams", ""); err != nil || code != http.StatusUnauthorized || strings.Contains(body, "camera") {
		t.Errorf("a stranger: %d, %v, %s", code, err, body)
	}
	if out := p.Output(); strings.Contains(out, "\x1b[") || strings.Count(out, secret) != 1 {
		t.Errorf("a code is drawn into a pipe, or the password is told twice:\n%s", out)
	}
}

// TestToken makes a token by the command and uses it.
func TestToken(t *testing.T) {
	t.Parallel()
	ctx := deadline(t)
	code, output := command(ctx, t, nil, "token")
	m := regexp.MustCompile(`(?m)^token: (\S+)\ntoken_hash: (sha256:\S+)$`).FindStringSubmatch(output)
	if code != 0 || m == nil {
		t.Fatalf("%d %s", code, output)
	}
	p := serve(ctx, t, settings{streams: "  cam: {source: publish}", extra: fmt.Sprintf("users: [{name: obs, token_hash: %q, permissions: [status]}]", m[2])})
	for token, want := range map[string]int{m[1]: http.StatusOK, m[2]: http.StatusUnauthorized, "x": http.StatusUnauthorized} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.http+"/api/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("token %s: %d, want %d", token, resp.StatusCode, want)
		}
	}
	if code, _, err := describe(p.rtsp, "cam"); err != nil || code != http.StatusUnauthorized {
		t.Errorf("RTSP without a login: %d, %v", code, err)
	}
}
