package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rsc.io/qr"

	"rave/config"
)

// lan is what `serve --lan` adds to a configuration: HTTP and WebRTC for the local network, with a certificate, since
// browsers give a page the camera over HTTPS only, and a password, since others are in that network as well.
type lan struct {
	user  config.User
	tls   config.TLS
	taken bool // the user is in the configuration
}

func newLAN() (*lan, error) {
	dir, err := stateDir()
	if err != nil {
		return nil, err
	}
	l := &lan{tls: config.TLS{Certificate: filepath.Join(dir, "lan-cert.pem"), Key: filepath.Join(dir, "lan-key.pem")}}
	names, addresses := machineNames()
	if err := l.certify(names, addresses, outward()); err != nil {
		return nil, fmt.Errorf("certificate for --lan: %w", err)
	}
	l.user = config.User{
		Name: "rave", Password: config.Secret(newPassword()), Streams: []string{config.AllStreams},
		Permissions: []config.Permission{config.PermRead, config.PermPublish, config.PermStatus, config.PermAdmin},
	}
	return l, nil
}

// open makes a configuration, which may be of a reload, one for the local network.
func (l *lan) open(cfg *config.Config, err error) (*config.Config, error) {
	if err == nil {
		l.taken = cfg.ForLAN(l.user, l.tls)
	}
	return cfg, err
}

// newPassword is one to type on a phone: 60 random bits without letters that look alike.
func newPassword() string {
	text := strings.ToLower(rand.Text()) // letters, and digits from 2 to 7
	return text[:4] + "-" + text[4:8] + "-" + text[8:12]
}

// stateDir is where this machine's certificate is kept.
func stateDir() (string, error) {
	dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":") // systemd's, for RAVE alone
	if dir == "" {
		base := os.Getenv("XDG_STATE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("--lan needs a folder for its certificate: %w; set HOME or XDG_STATE_HOME", err)
			}
			base = filepath.Join(home, ".local", "state")
		}
		dir = filepath.Join(base, "rave")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("--lan needs a folder for its certificate: %w; set XDG_STATE_HOME to one that RAVE may write", err)
	}
	return dir, nil
}

// machineNames are the names and addresses by which others may know this machine.
func machineNames() (names []string, addresses []net.IP) {
	names = []string{"localhost"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host, host+".local")
	}
	all, _ := net.InterfaceAddrs() // none is as good as an error
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			addresses = append(addresses, n.IP)
		}
	}
	return names, addresses
}

// certify sees to it that there is a certificate for the names and addresses: that of before, as long as it will do, since
// each visitor has to accept another one again. It will do without the addresses that come and go (of containers, or made up
// for privacy), but not without the one that is announced; nil: none is.
func (l *lan) certify(names []string, addresses []net.IP, announced net.IP) error {
	const validity, least = 397 * 24 * time.Hour, 30 * 24 * time.Hour
	if pair, err := tls.LoadX509KeyPair(l.tls.Certificate, l.tls.Key); err == nil {
		known := func(host string) bool { return pair.Leaf.VerifyHostname(host) == nil }
		if time.Until(pair.Leaf.NotAfter) > least && all(names, known) && (announced == nil || known(announced.String())) {
			return nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w; remove %s and %s to have others made", err, l.tls.Certificate, l.tls.Key)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "RAVE on " + names[len(names)-1]}, DNSNames: names, IPAddresses: addresses,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validity), // a phone's clock may be behind
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(l.tls.Key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
		os.WriteFile(l.tls.Certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
}

func all[T any](list []T, is func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !is(v) })
}

// announce tells where the page is and how to log in. To a terminal it draws the address as well. The password is not part of
// the address: browsers let no page use such an address for what it loads.
func (l *lan) announce(w io.Writer, a *app, terminal bool) {
	url := a.pageURL()
	fmt.Fprintf(w, "\nOpen this on a phone or a computer of this network:\n\n    %s\n\n", url)
	if terminal {
		if code, err := drawQR(url); err != nil {
			a.log.Warn("the address cannot be drawn as a QR code", "err", err)
		} else {
			fmt.Fprintln(w, code)
		}
	}
	switch {
	case l.taken:
		fmt.Fprintf(w, "Log in as %s with the password %s\n(another one at each start; users: in a configuration file has ones that stay).\n",
			l.user.Name, string(l.user.Password))
	case a.cfg.Open():
		fmt.Fprintln(w, "Nobody needs to log in (auth: none).")
	default:
		fmt.Fprintln(w, "Log in as one of the users of the configuration.")
	}
	if a.cfg.HTTP.TLS == l.tls {
		fmt.Fprintf(w, "Browsers warn of the certificate, which RAVE has made itself; its SHA-256 is\n%s\n", l.fingerprint())
	}
	for _, s := range a.streams.streams() {
		if s.configured().cfg.Source.Publish() {
			fmt.Fprintf(w, "To send a phone's camera to stream %s: %s%s/publish\n", s.name, url, s.name)
		}
	}
	fmt.Fprintln(w)
}

// fingerprint is the certificate's, as browsers show it.
func (l *lan) fingerprint() string {
	pair, err := tls.LoadX509KeyPair(l.tls.Certificate, l.tls.Key)
	if err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(pair.Leaf.Raw)
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum)), " ", ":")
}

// drawQR draws a text as a QR code for a terminal, in black and white whatever its colours are: two rows of modules in each
// line, and the quiet zone that cameras need (ISO/IEC 18004 section 9.1).
func drawQR(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	const quiet = 4
	var out bytes.Buffer
	for y := -quiet; y < code.Size+quiet; y += 2 {
		out.WriteString("\x1b[97;40m") // the light modules are drawn, on black
		for x := -quiet; x < code.Size+quiet; x++ {
			out.WriteRune([]rune(" ▀▄█")[light(code, x, y)+2*light(code, x, y+1)])
		}
		out.WriteString("\x1b[0m\n")
	}
	return out.String(), nil
}

// light is 1 for a light module, as all outside of the code are.
func light(code *qr.Code, x, y int) int {
	if x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y) {
		return 0
	}
	return 1
}

// isTerminal reports whether a file is a terminal, and no file or pipe.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
