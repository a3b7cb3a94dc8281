package ingest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
)

func TestSplitURL(t *testing.T) {
	for _, c := range []struct{ raw, want, user, password string }{
		{"rtsp://cam", "rtsp://cam", "", ""},
		{"RTSP://cam:8554/a/b?c=d", "rtsp://cam:8554/a/b?c=d", "", ""},
		{" rtsps://u:p@cam/x ", "rtsps://cam/x", "u", "p"},
		{"rtsp://u@cam/", "rtsp://cam/", "u", ""},
		{"rtsp://u:p%40ss%2F@cam/", "rtsp://cam/", "u", "p@ss/"},
		{"rtsp://u:p@ss@cam/", "rtsp://cam/", "u", "p@ss"},
		{"rtsp://u:a#b!c%d@cam:554/live", "rtsp://cam:554/live", "u", "a#b!c%d"},
		{"rtsp://u:100%@cam", "rtsp://cam", "u", "100%"},
		{"rtsp://u:a?b=c@cam/live", "rtsp://cam/live", "u", "a?b=c"},
		{"rtsp://u:a:b@cam/live", "rtsp://cam/live", "u", "a:b"},
		{"rtsp://cam/live@2", "rtsp://cam/live@2", "", ""},
		{"rtsp://cam?x=1", "rtsp://cam?x=1", "", ""},
		{"rtsp://u:p@[fe80::1%eth0]:554/x", "rtsp://[fe80::1%25eth0]:554/x", "u", "p"},
		{"rtsp://cam/a#b", "rtsp://cam/a%23b", "", ""},
	} {
		u, user, password, err := SplitURL(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
			continue
		}
		if u.String() != c.want || user != c.user || password != c.password {
			t.Errorf("%s: %s, %q, %q; want %s, %q, %q", c.raw, u, user, password, c.want, c.user, c.password)
		}
	}
}

func TestSplitURLErrors(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"", "must begin with rtsp://"},
		{"http://u:secret@cam/", "must begin with rtsp://"},
		{"rtsp://u:sec/ret@cam/", "written %2F"},
		{"rtsp://u:secret@/", "names no host"},
		{"rtsp://u:secret@cam:port/", "no valid host and port"},
		{"rtsp://u:secret@cam#1", "a # in its host"},
		{"rtsp://u:secret@ca m/", "malformed"},
		{"rtsp://u:secret@cam/%zz", "malformed"},
	} {
		_, _, _, err := SplitURL(c.raw)
		if err == nil || !errors.Is(err, ErrPermanent) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.raw, err, c.want)
			continue
		}
		if s := err.Error(); strings.Contains(s, "sec") {
			t.Errorf("%s: error shows the password: %s", c.raw, s)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for raw, want := range map[string]string{
		"rtsp://cam:554/live":                      "rtsp://cam:554/live",
		"rtsp://u:p@cam/live":                      "rtsp://***@cam/live",
		"rtsp://u:p@ss/wo@cam/live":                "rtsp://***@cam/live",
		"u:p@cam/live":                             "***@cam/live",
		"rtsp://cam/İ?password=secret&x=1":         "rtsp://cam/İ?password=***&x=***",
		"rtsp://cam/live?password=a@secret":        "rtsp://***",
		"rtsp://cam/password=a@secret&channel=1":   "rtsp://***",
		"rtsp://u:p=@cam/live@2?a=b":               "rtsp://***@2?a=***",
		"plain text":                               "plain text",
		"rtsp://u:rtsp%3A%2F%2Fx@cam/live?pass=42": "rtsp://***@cam/live?pass=***",
	} {
		if got := RedactURL(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

// TestParametersAreHidden has a table of its own, which package config reads as well.
func TestParametersAreHidden(t *testing.T) {
	data, err := os.ReadFile("testdata/redact.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		in, want, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || in == "#" {
			continue
		}
		want = strings.TrimSpace(want)
		if got := RedactURL(in); got != want {
			t.Errorf("RedactURL(%s) is %s, want %s", in, got, want)
		}
		got := NewSecrets().String("open \"" + in + "\": no answer (" + in + " )")
		if wantText := "open \"" + want + "\": no answer (" + want + " )"; got != wantText {
			t.Errorf("a text has %s, want %s", got, wantText)
		}
	}
}

func TestSecretsInOtherTexts(t *testing.T) {
	for in, want := range map[string]string{
		"GET /live?sid=x4711 failed: status=404":      "GET /live?sid=*** failed: status=404",
		"bad authkey=x4711, retry=3":                  "bad authkey=*** retry=3",
		"why? because a=b":                            "why? because a=b",
		"rtsp://u:p@cam/?a=x4711 and rtsp://cam/?k=1": "rtsp://***@cam/?a=*** and rtsp://cam/?k=***",
		"<rtsp://cam/live?a=1>, \n'rtsp://u@cam'":     "<rtsp://cam/live?a=***>, \n'rtsp://***@cam'",
	} {
		if got := NewSecrets().String(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestSecrets(t *testing.T) {
	const secret = "hünter/2 @#!%"
	s := NewSecrets(secret, "", "abc")
	_, parseErr := url.Parse("rtsp://u:" + url.PathEscape(secret) + "@cam:port/")
	for _, err := range []error{
		fmt.Errorf("login with %s failed", secret),
		fmt.Errorf("login with %s failed", url.PathEscape(secret)),
		fmt.Errorf("login with %s failed", url.QueryEscape(secret)),
		fmt.Errorf("open %s: no", url.UserPassword("u", secret).String()),
		fmt.Errorf("describe rtsp://u:other@cam/x and rtsp://v:x@cam: %w", parseErr),
		&url.Error{Op: "parse", URL: "rtsp://u:" + secret + "@cam/", Err: errors.New("bad")},
	} {
		got := s.Error(err).Error()
		for _, leak := range []string{secret, "nter", "other", "v:x"} {
			if strings.Contains(got, leak) {
				t.Errorf("%q shows %q", got, leak)
			}
		}
	}
	wrapped := s.Error(fmt.Errorf("%s: %w", secret, ErrPermanent))
	if !errors.Is(wrapped, ErrPermanent) {
		t.Error("a redacted error must be recognised")
	}
	var ue *url.Error
	if errors.As(s.Error(parseErr), &ue) {
		t.Error("the error with the secret must not be taken out again")
	}
	if s.Error(nil) != nil {
		t.Error("nil must stay nil")
	}
	if got := s.String("abc is an ordinary word"); got != "abc is an ordinary word" {
		t.Error(got)
	}
}

func FuzzSplitURL(f *testing.F) {
	for _, s := range []string{
		"rtsp://u:p@ss@cam/", "rtsp://u:100%@cam", "rtsp://[fe80::1%eth0]/x", "rtsp://cam/?password=s3cr3t", "rtsp://u:a/b@cam:1/",
		"rtsp://:@/", "rtsp://%25@%:/%", "://@", "rtsp://\x00@\xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_ = RedactURL(raw)
		u, user, password, err := SplitURL(raw)
		if err != nil {
			if !errors.Is(err, ErrPermanent) {
				t.Errorf("%q: %v is not permanent", raw, err)
			}
			return
		}
		if u.User != nil || u.Hostname() == "" || u.Scheme != "rtsp" && u.Scheme != "rtsps" {
			t.Errorf("%q: %#v", raw, u)
		}
		// Taking it together again gives the same.
		again := *u
		if user != "" || password != "" {
			again.User = url.UserPassword(user, password)
		}
		v, user2, password2, err := SplitURL(again.String())
		if err != nil || v.String() != u.String() || user2 != user || password2 != password {
			t.Errorf("%q: %v %q %q, then %v %q %q %v", raw, u, user, password, v, user2, password2, err)
		}
	})
}

// Text around a secret does not bring it back.
func FuzzSecrets(f *testing.F) {
	f.Add("p@ss/word", "open rtsp://u:", "@cam")
	f.Add("****", "", "")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < 4 || strings.Contains(secret, "*") { // the mask beside other text can look like such a secret
			return
		}
		s := NewSecrets(secret)
		if got := s.String(before + secret + after); strings.Contains(got, secret) {
			t.Errorf("%q is in %q", secret, got)
		}
	})
}
