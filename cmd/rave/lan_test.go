package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rsc.io/qr"

	"rave/config"
)

// The certificate is kept as long as it will do, and is one that browsers take once they have been told to.
func TestCertificateIsKept(t *testing.T) {
	dir := t.TempDir()
	l := &lan{tls: config.TLS{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}}
	names, one, two := []string{"localhost", "nas"}, []net.IP{net.IPv4(192, 0, 2, 1)}, []net.IP{net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")}
	certify := func(addresses []net.IP, announced net.IP) *x509.Certificate {
		t.Helper()
		if err := l.certify(names, addresses, announced); err != nil {
			t.Fatal(err)
		}
		pair, err := tls.LoadX509KeyPair(l.tls.Certificate, l.tls.Key)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf
	}
	first := certify(one, one[0])
	for _, host := range []string{"localhost", "nas", "192.0.2.1"} {
		if err := first.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if life := first.NotAfter.Sub(first.NotBefore); life > 398*24*time.Hour || first.IsCA || len(first.ExtKeyUsage) != 1 {
		t.Errorf("valid for %v, CA %v", life, first.IsCA)
	}
	if info, err := os.Stat(l.tls.Key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info.Mode(), err)
	}
	if !certify(one, one[0]).Equal(first) || !certify(one, nil).Equal(first) {
		t.Error("another one, though the first would do")
	}
	if !certify(two, one[0]).Equal(first) {
		t.Error("another one, though the address that is announced is in it")
	}
	second := certify(two, two[1])
	if second.Equal(first) || second.VerifyHostname("2001:db8::1") != nil || second.VerifyHostname("192.0.2.1") != nil {
		t.Error("a new address is not in it")
	}
	if !certify(one, one[0]).Equal(second) {
		t.Error("another one, though an address has only gone")
	}
	if got := l.fingerprint(); !regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`).MatchString(got) {
		t.Errorf("fingerprint %s", got)
	}
	if err := os.WriteFile(l.tls.Key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.certify(names, one, nil); err == nil || !strings.Contains(err.Error(), "remove "+l.tls.Certificate) {
		t.Errorf("a broken key: %v", err)
	}
}

func TestStateDir(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	for _, c := range []struct{ systemd, xdg, want string }{
		{"", "", home + "/.local/state/rave"}, {"", home + "/xdg", home + "/xdg/rave"},
		{home + "/service", home + "/xdg", home + "/service"}, {home + "/one:" + home + "/two", "", home + "/one"},
	} {
		t.Setenv("STATE_DIRECTORY", c.systemd)
		t.Setenv("XDG_STATE_HOME", c.xdg)
		got, err := stateDir()
		if info, errStat := os.Stat(got); err != nil || errStat != nil || got != c.want || info.Mode().Perm() != 0o700 {
			t.Errorf("%+v: %s, %v, %v", c, got, err, errStat)
		}
	}
}

// The drawing, read as a camera reads it, has the modules of the code with four light ones around.
func TestDrawnCode(t *testing.T) {
	const text = "https://192.168.100.200:8080/"
	drawn, err := drawQR(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(drawn, "\n"), "\n")
	if len(lines) != (code.Size+9)/2 {
		t.Errorf("%d lines", len(lines))
	}
	for i, line := range lines {
		line, white := strings.CutPrefix(line, "\x1b[97;40m")
		line, ends := strings.CutSuffix(line, "\x1b[0m")
		cells := []rune(line)
		if !white || !ends || len(cells) != code.Size+8 {
			t.Fatalf("line %d: %q", i, line)
		}
		for j, cell := range cells {
			x, y := j-4, 2*i-4
			inside := func(y int) bool { return x >= 0 && y >= 0 && x < code.Size && y < code.Size }
			top, bottom := inside(y) && code.Black(x, y), inside(y+1) && code.Black(x, y+1)
			want := map[[2]bool]rune{{true, true}: ' ', {false, true}: '▀', {true, false}: '▄', {false, false}: '█'}[[2]bool{top, bottom}]
			if cell != want {
				t.Fatalf("module %d,%d: %q, want %q", x, y, cell, want)
			}
		}
	}
}

func TestNewPassword(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		p := newPassword()
		if !regexp.MustCompile(`^[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}$`).MatchString(p) || seen[p] {
			t.Fatalf("password %q", p)
		}
		seen[p] = true
	}
}
