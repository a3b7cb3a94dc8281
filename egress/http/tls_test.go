package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// Another certificate is for new connections; the old ones go on. Old TLS and plain HTTP are refused.
func TestTLS(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	first, second := selfSigned(t, "first"), selfSigned(t, "second")
	s, ran := start(ctx, t, Config{Certificate: first})
	url := "https://" + s.Addr().String() + "/api/v1/status"
	client := func(trust *tls.Certificate, change func(*tls.Config)) *http.Client {
		pool := x509.NewCertPool()
		pool.AddCert(trust.Leaf)
		cfg := &tls.Config{RootCAs: pool}
		change(cfg)
		tr := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	ask := func(c *http.Client, url string) (code, proto int) {
		resp, err := c.Get(url)
		if err != nil {
			return 0, 0
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.ProtoMajor
	}
	nothing := func(*tls.Config) {}
	old := client(first, nothing)
	if code, proto := ask(old, url); code != 200 || proto != 2 {
		t.Errorf("the first certificate: %d over HTTP/%d", code, proto)
	}
	s.SetCertificate(second)
	for _, c := range []struct {
		what   string
		client *http.Client
		url    string
		code   int
	}{
		{"a connection from before", old, url, 200},
		{"the certificate that is gone", client(first, nothing), url, 0},
		{"the new one", client(second, nothing), url, 200},
		{"HTTP/1.1", client(second, func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }), url, 200},
		{"TLS 1.1", client(second, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), url, 0},
		{"plain HTTP", client(second, nothing), "http" + url[len("https"):], 400},
	} {
		if code, _ := ask(c.client, c.url); code != c.code {
			t.Errorf("%s: %d, want %d", c.what, code, c.code)
		}
	}
	cancel()
	ended(t, ran, 2*time.Second)
}
